// The operator's screens: the installation, its organizations, the usage of all.
// @ts-check
import { h } from '../kit/dom.js';
import { get, search } from '../kit/api.js';
import { here, href, param } from '../kit/router.js';
import { list, resource, show, table, bones } from '../kit/load.js';
import { confirm, dialog, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { head, button } from '../shell/shell.js';
import { badge, count, duration, ident, raw, stamp, status, their, time } from '../shell/format.js';
import { all, calls, choiceFilter, curlButton, optional, ranges, secretField, stat, textFilter, windowOf } from './parts.js';

/** @typedef {import('../api.js').Schemas} S */

/** How far behind a queue may be, in seconds, before somebody should look. */
const LATE = 60;
/** How far the clock may be off the database's, in seconds, as in the alert PulseClockOffset. */
const CLOCK_OFF = 2;

export function installation() {
  const state = resource(() => get('/v1/status'), { every: 10 }),
    clusters = resource(() => get('/v1/clusters'), { every: 15 }),
    ops = resource(() => get('/v1/operations'), { every: 10 });
  const lastEvent = () =>
    (clusters.data()?.items ?? [])
      .map((/** @type {S['Cluster']} */ c) => c.last_event_at ?? '')
      .sort()
      .at(-1) || null;
  const retry = (/** @type {number} */ dead) =>
    confirm({
      title: m.retryDead,
      verb: m.retryDead,
      consequences: h('p', null, m.retryDeadConsequences(dead)),
      fields: [
        {
          name: 'limit',
          label: m.atMostEvents,
          type: 'number',
          value: Math.min(1000, Math.max(1, dead)),
          attrs: { min: 1, max: 1000 },
          parse: Number,
        },
      ],
      request: (v) => ['POST', '/v1/operations/dead-events/retry', v],
      done: (/** @type {S['RetriedEvents']} */ a) => {
        toast(m.retriedDead(a.retried, a.remaining));
        ops.reload();
        state.reload();
      },
    });
  return [
    head(m.nav.installation, [
      calls([
        [m.state_, 'GET', '/v1/status'],
        [m.clusters, 'GET', '/v1/clusters'],
        [m.nav.installation, 'GET', '/v1/operations'],
        [m.retryDead, 'POST', '/v1/operations/dead-events/retry', { limit: 100 }],
      ]),
    ]),
    () => {
      const found = alerts(state.data(), clusters.data(), ops.data());
      return (
        found.length > 0 &&
        h(
          'ul',
          { class: 'alerts' },
          found.map(([tone, text]) => h('li', { class: tone }, icon('warning'), h('span', { class: 'grow' }, text))),
        )
      );
    },
    h(
      'div',
      null,
      show(
        state,
        (/** @type {S['Status']} */ s) => [
          h(
            'section',
            { class: 'stats' },
            stat(m.state_, status(s.status)),
            stat(m.version, h('span', { class: 'mono' }, s.version)),
            stat(m.uptime, duration(s.uptime_seconds)),
            stat(m.lastEvent, () => (clusters.data() ? time(lastEvent(), m.never) : '–'), m.fromLiveKit),
            stat(m.inboxLag, () => (ops.data() ? lag(ops.data().inbox) : '–'), m.oldestWaiting),
            stat(m.evictionLag, () => (ops.data() ? lag(ops.data().evictions) : '–'), m.oldestWaiting),
          ),
          h(
            'section',
            null,
            h('h2', null, m.components),
            table({
              label: m.components,
              rows: s.components,
              columns: [
                { label: m.name, cell: (c) => m.componentNames[c.name] ?? c.name },
                { label: m.state_, cell: (c) => status(c.status) },
                { label: m.detail, cell: (c) => their(c.detail) },
                { label: m.latency, number: true, cell: (c) => latency(c.latency_ms) },
                { label: m.checked, cell: (c) => time(c.checked_at), wide: true },
              ],
            }).node,
          ),
        ],
        () => bones(6),
      ),
    ),
    h(
      'section',
      null,
      h('h2', null, m.clusters),
      show(
        clusters,
        (c) =>
          table({
            label: m.clusters,
            rows: /** @type {S['Cluster'][]} */ (c.items),
            columns: [
              { label: m.name, cell: (x) => their(x.name) },
              { label: m.state_, cell: (x) => status(x.status) },
              { label: m.region, cell: (x) => x.region || '–' },
              { label: 'URL', cell: (x) => h('span', { class: 'mono' }, their(x.url)), wide: true },
              { label: m.nav.rooms, number: true, cell: (x) => count(x.rooms) },
              { label: m.people, number: true, cell: (x) => count(x.participants) },
              { label: m.latency, number: true, cell: (x) => latency(x.latency_ms), wide: true },
              { label: m.apiKeys, cell: (x) => x.key_ids.map((k) => [badge(k), ' ']), wide: true },
              { label: m.lastEvent, cell: (x) => time(x.last_event_at, m.never) },
            ],
          }).node,
        () => bones(2),
      ),
    ),
    show(
      ops,
      (/** @type {S['Operations']} */ o) => [
        h(
          'section',
          null,
          h(
            'div',
            { class: 'section-head' },
            h('h2', null, m.queues),
            o.inbox.dead > 0 && button('operations.manage', m.retryDead, () => retry(o.inbox.dead)),
          ),
          table({
            label: m.queues,
            rows: /** @type {['inbox'|'evictions'|'deliveries'][]} */ ([['inbox'], ['evictions'], ['deliveries']]),
            columns: [
              { label: m.name, cell: ([k]) => m.queueNames[k] },
              { label: m.waiting, number: true, cell: ([k]) => capped(o[k].waiting) },
              { label: m.dead, number: true, cell: ([k]) => (o[k].dead ? h('span', { class: 'bad strong' }, capped(o[k].dead)) : '0') },
              { label: m.oldest, number: true, cell: ([k]) => duration(o[k].oldest_age_seconds) },
            ],
          }).node,
        ),
        h(
          'section',
          null,
          h('h2', null, m.backupsTitle),
          h(
            'section',
            { class: 'stats' },
            stat(m.backupsTitle, status(o.backups.enabled ? 'enabled' : 'disabled'), o.backups.enabled ? null : m.backupsOff),
            stat(
              m.lastBackup,
              o.backups.last_success_at ? time(o.backups.last_success_at) : m.never,
              o.backups.last_success_at ? stamp(o.backups.last_success_at) : null,
            ),
            stat(m.clockOffset, offset(o.clock_offset_seconds), m.clockOffsetHint),
          ),
        ),
        h(
          'section',
          null,
          h('h2', null, m.leases),
          o.leases.length === 0
            ? h('div', { class: 'empty' }, h('p', null, m.noLeases))
            : table({
                label: m.leases,
                rows: o.leases,
                columns: [
                  { label: m.job, cell: (l) => l.name },
                  { label: m.holder, cell: (l) => [h('span', { class: 'mono' }, l.holder), l.own && [' ', badge(m.thisProcess)]] },
                  { label: m.leaseTime, number: true, cell: (l) => duration(l.ttl_seconds) },
                ],
              }).node,
        ),
        raw(o),
      ],
      () => bones(6),
    ),
  ];
}

const latency = (/** @type {number} */ ms) => count(Math.round(ms * 10) / 10) + ' ms';
const offset = (/** @type {number} */ s) => (s > 0 ? '+' : '') + count(Math.round(s * 1000)) + ' ms';
/** Counts of queues stop at 10,000. @param {number} n */
const capped = (n) => (n >= 10_000 ? '10,000+' : count(n));
/** @param {S['Backlog']} q */
const lag = (q) => (q.oldest_age_seconds === null ? '0 s' : duration(q.oldest_age_seconds));

/** What the operator should look at, most urgent first. @param {S['Status']|undefined} s @param {any} clusters @param {S['Operations']|undefined} o @returns {[string, any][]} */
function alerts(s, clusters, o) {
  /** @type {[string, any][]} */
  const out = [];
  const dead = (o?.inbox.dead ?? 0) > 0;
  for (const c of s?.components ?? [])
    if (c.status !== 'operational' && !(dead && c.name === 'events' && !c.detail))
      out.push([
        c.status === 'down' ? 'bad' : 'warn',
        m.componentIs(m.componentNames[c.name] ?? c.name, m.state(c.status), c.detail ?? ''),
      ]);
  if (clusters?.items.length > 0 && clusters.items.every((/** @type {any} */ c) => !c.last_event_at))
    out.push(['warn', [m.noEventsReceived, ' ', h('code', null, location.origin + '/v1/webhooks/livekit')]]);
  if (o)
    // Not deliveries: they wait for endpoints that fail, hours between attempts, and in the end for their owners to
    // recover them.
    for (const k of /** @type {const} */ (['inbox', 'evictions'])) {
      if (o[k].dead > 0) out.push([k === 'inbox' ? 'bad' : 'warn', m.deadIn(m.queueNames[k], capped(o[k].dead))]);
      if ((o[k].oldest_age_seconds ?? 0) > LATE)
        out.push(['warn', m.lateBy(m.queueNames[k], duration(o[k].oldest_age_seconds))]);
    }
  if (o && Math.abs(o.clock_offset_seconds) >= CLOCK_OFF) out.push(['warn', m.clockIsOff(offset(o.clock_offset_seconds))]);
  return out.sort((a, b) => Number(a[0] !== 'bad') - Number(b[0] !== 'bad'));
}

export function organizations() {
  const q = param('q'),
    plan = param('plan');
  const l = list({
    label: m.nav.organizations,
    to: (o) => href('/o/' + o.id),
    load: (cursor, stop) => get('/v1/organizations', { q: q(), plan: plan(), limit: 50, cursor }, { signal: stop }),
    empty: () => h('p', null, m.noOrganizations),
    columns: [
      { label: m.name, cell: (o) => their(o.name) },
      { label: m.email, cell: (o) => their(o.admin_email) },
      { label: m.plan, cell: (o) => badge(m.plans[o.plan] ?? o.plan) },
      { label: m.state_, cell: (o) => (o.suspended_at ? status('suspended') : status('active')) },
      { label: m.created, cell: (o) => time(o.created_at), wide: true },
      { label: 'id', cell: (o) => ident(o.id), wide: true },
      {
        label: '',
        cell: (o) =>
          h(
            'span',
            { class: 'row-actions' },
            action(m.plan, () => change(o)),
            action(o.suspended_at ? m.unsuspend : m.suspend, () => suspend(o)),
            action(m.deleteWord, () => drop(o)),
          ),
      },
    ],
  });
  const action = (/** @type {string} */ label, /** @type {() => void} */ act) =>
    h('button', { type: 'button', class: 'button small', onclick: act }, label);
  const change = (/** @type {S['Organization']} */ o) =>
    dialog(m.plan, (close) =>
      form({
        fields: [{ name: 'plan', label: o.name, type: 'select', value: o.plan, options: Object.entries(m.plans) }],
        submit: m.changePlan,
        cancel: close,
        request: (v) => ['PATCH', '/v1/organizations/' + o.id, v],
        done: () => {
          close();
          toast(m.saved);
          l.reload();
        },
      }),
    );
  const suspend = (/** @type {S['Organization']} */ o) =>
    confirm({
      title: o.suspended_at ? m.unsuspend : m.suspend,
      typed: o.suspended_at ? undefined : o.name,
      verb: o.suspended_at ? m.unsuspend : m.suspend,
      consequences: h('p', null, o.suspended_at ? m.unsuspendConsequences : m.suspendConsequences),
      request: () => ['POST', `/v1/organizations/${o.id}/${o.suspended_at ? 'unsuspend' : 'suspend'}`],
      done: () => {
        toast(m.saved);
        l.reload();
      },
    });
  const drop = async (/** @type {S['Organization']} */ o) => {
    const projects = await get('/v1/overview', { org_id: o.id }).then(
      (a) => a.items,
      () => [],
    );
    confirm({
      title: m.deleteOrganization,
      typed: o.name,
      verb: m.deleteOrganization,
      consequences: h(
        'p',
        null,
        m.deleteOrganizationConsequences(
          projects.length,
          projects.reduce((/** @type {number} */ n, /** @type {any} */ p) => n + p.participants, 0),
        ),
      ),
      request: () => ['DELETE', '/v1/organizations/' + o.id],
      done: () => {
        toast(m.deleted);
        l.reload();
      },
    });
  };
  const create = () =>
    dialog(m.createOrganization, (close) =>
      form({
        fields: [
          { name: 'name', label: m.organizationName, required: true },
          { name: 'admin_email', label: m.email, type: 'email', required: true },
          { ...secretField, name: 'password', label: m.password, hint: m.passwordRule, attrs: { autocomplete: 'new-password' } },
        ],
        submit: m.createOrganization,
        cancel: close,
        request: (v) => ['POST', '/v1/organizations', v],
        done: () => {
          close();
          toast(m.saved);
          l.reload();
        },
      }),
    );
  return [
    head(m.nav.organizations, [
      curlButton('GET', '/v1/organizations'),
      h('button', { type: 'button', class: 'button primary', onclick: create }, icon('plus'), m.createOrganization),
    ]),
    h('div', { class: 'filters' }, textFilter('q', m.nameOrEmail), choiceFilter('plan', m.plan, [['', m.any], ...Object.entries(m.plans)])),
    l.node,
  ];
}

/** How many organizations the usage screen sums up: one call each. */
const COMPARED = 100;

export function usage() {
  const range = param('range', 'month');
  const r = resource(async (stop) => {
    const w = windowOf(range()),
      { items, complete } = await all('/v1/organizations', {}, stop),
      asked = items.slice(0, COMPARED),
      rows = [];
    for (let i = 0; i < asked.length; i += 5) {
      rows.push(
        ...(await Promise.all(
          asked
            .slice(i, i + 5)
            .map(async (o) => ({
              o,
              totals: (await optional(() => get('/v1/usage', { org_id: o.id, group_by: 'project', ...w }, { signal: stop })))?.totals,
            })),
        )),
      );
    }
    return {
      rows: rows.filter((x) => x.totals).sort((a, b) => b.totals.participant_seconds - a.totals.participant_seconds),
      complete: complete && items.length <= COMPARED,
    };
  });
  const times = /** @type {const} */ (['participant_seconds', 'room_seconds', 'egress_seconds', 'ingress_seconds']);
  return [
    head(
      m.usageByOrganization,
      [
        curlButton(
          'GET',
          () => '/v1/usage' + search({ org_id: 'org_…', group_by: 'project', ...windowOf(here().query.get('range') ?? 'month') }),
        ),
      ],
      m.allOrganizations,
    ),
    h('div', { class: 'filters' }, choiceFilter('range', m.period, ranges, 'month')),
    h(
      'div',
      null,
      show(
        r,
        (u) => [
          !u.complete && h('p', { class: 'note' }, m.newest(count(u.rows.length))),
          u.rows.length === 0
            ? h('div', { class: 'empty' }, h('p', null, m.noOrganizations))
            : table({
                label: m.nav.orgUsage,
                rows: u.rows,
                to: ({ o }) => href(`/o/${o.id}/usage`),
                columns: [
                  { label: m.organization, cell: ({ o }) => their(o.name) },
                  { label: m.plan, cell: ({ o }) => badge(m.plans[o.plan] ?? o.plan) },
                  ...times.map((k, i) => ({
                    label: m.meters[k],
                    number: true,
                    wide: i > 1,
                    cell: (/** @type {any} */ x) => duration(x.totals[k]),
                  })),
                  { label: m.meters.tokens_issued, number: true, wide: true, cell: (x) => count(x.totals.tokens_issued) },
                ],
              }).node,
        ],
        () => bones(6),
      ),
    ),
  ];
}
