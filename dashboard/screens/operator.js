// The operator's screens: the installation, its organizations, the usage of all.
// @ts-check
import { h } from '../kit/dom.js';
import { get, patch, post, remove, search } from '../kit/api.js';
import { here, href, param } from '../kit/router.js';
import { list, resource, show, table, bones } from '../kit/load.js';
import { confirm, dialog, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { head, button } from '../shell/shell.js';
import { badge, count, duration, ident, raw, status, their, time } from '../shell/format.js';
import { all, choiceFilter, curlButton, optional, ranges, secretField, stat, textFilter, windowOf } from './parts.js';

export function installation() {
  const state = resource(() => get('/v1/status'), { every: 10 }), clusters = resource(() => optional(() => get('/v1/clusters')), { every: 15 }), ops = resource(() => optional(() => get('/v1/operations')), { every: 10 });
  const lastEvent = () => (clusters.data()?.items ?? []).map((/** @type {any} */ c) => c.last_event_at ?? c.last_event).filter(Boolean).sort().at(-1);
  const silent = () => clusters.data()?.items?.length > 0 && !lastEvent();
  return [head(m.nav.installation, [curlButton('GET', '/v1/status'), curlButton('GET', '/v1/operations')]),
    h('div', null, show(state, (s) => [h('section', { class: 'stats' }, stat(m.state_, status(s.status)), stat(m.version, h('span', { class: 'mono' }, s.version)), stat(m.uptime, duration(s.uptime_seconds)), stat(m.lastEvent, () => clusters.data() ? time(lastEvent(), m.never) : '–', m.fromLiveKit)),
      () => silent() && h('ul', { class: 'alerts' }, h('li', { class: 'warn' }, icon('warning'), h('span', { class: 'grow' }, m.noEventsReceived), h('code', null, '/v1/webhooks/livekit'))),
      h('section', null, h('h2', null, m.components), table({ label: m.components, rows: s.components, columns: [{ label: m.name, cell: (/** @type {any} */ c) => c.name }, { label: m.state_, cell: (/** @type {any} */ c) => status(c.status) }, { label: m.latency, number: true, cell: (/** @type {any} */ c) => count(Math.round(c.latency_ms * 100) / 100) + ' ms' }, { label: m.checked, cell: (/** @type {any} */ c) => time(c.checked_at) }] }).node)], () => bones(6))),
    h('section', null, h('h2', null, m.clusters), show(clusters, (c) => c === null ? h('p', { class: 'note' }, m.notOffered) : table({ label: m.clusters, rows: c.items, columns: [{ label: m.name, cell: (/** @type {any} */ x) => their(x.name) }, { label: m.state_, cell: (/** @type {any} */ x) => status(x.status) }, { label: m.region, cell: (/** @type {any} */ x) => x.region || '–' }, { label: 'URL', cell: (/** @type {any} */ x) => h('span', { class: 'mono' }, x.url ?? (x.urls ?? []).join(', ')), wide: true }, { label: m.nav.rooms, number: true, cell: (/** @type {any} */ x) => count(x.rooms) }, { label: m.people, number: true, cell: (/** @type {any} */ x) => count(x.participants) }, { label: m.lastEvent, cell: (/** @type {any} */ x) => time(x.last_event_at ?? x.last_event, m.never) }] }).node, () => bones(2))),
    h('section', null, h('div', { class: 'section-head' }, h('h2', null, m.queues), button('operations.manage', m.retryDead, () => confirm({ title: m.retryDead, verb: m.retryDead, consequences: h('p', null, m.retryDeadConsequences), act: async () => { await post('/v1/operations/dead-events/retry', {}); toast(m.retried); ops.reload(); } }))), show(ops, (o) => o === null ? h('p', { class: 'note' }, m.notOffered) : [queues(o), raw(o)], () => bones(3)))];
}

/** Whatever waits: rows of waiting, dead and oldest. @param {any} o */
function queues(o) {
  const rows = Object.entries(o).filter(([, v]) => v && typeof v === 'object' && !Array.isArray(v) && ('waiting' in v || 'dead' in v || 'oldest_age_seconds' in v));
  return table({ label: m.queues, rows, columns: [{ label: m.name, cell: ([k]) => m.queueNames[k] ?? k }, { label: m.waiting, number: true, cell: ([, v]) => count(/** @type {any} */ (v).waiting) }, { label: m.dead, number: true, cell: ([, v]) => { const n = /** @type {any} */ (v).dead; return n ? h('span', { class: 'bad strong' }, count(n)) : count(n); } }, { label: m.oldest, number: true, cell: ([, v]) => duration(/** @type {any} */ (v).oldest_age_seconds) }] }).node;
}

export function organizations() {
  const q = param('q'), plan = param('plan');
  const l = list({ label: m.nav.organizations, load: (cursor, stop) => get('/v1/organizations', { q: q(), plan: plan(), limit: 50, cursor }, { signal: stop }), to: (o) => href('/o/' + o.id),
    columns: [{ label: m.name, cell: (o) => their(o.name) }, { label: m.email, cell: (o) => their(o.admin_email) }, { label: m.plan, cell: (o) => badge(m.plans[o.plan] ?? o.plan) }, { label: m.state_, cell: (o) => o.suspended_at ? status('suspended') : status('active') }, { label: m.created, cell: (o) => time(o.created_at), wide: true }, { label: 'id', cell: (o) => ident(o.id), wide: true },
      { label: '', cell: (o) => h('span', { class: 'row-actions' }, h('button', { type: 'button', class: 'button small', onclick: () => change(o) }, m.plan), h('button', { type: 'button', class: 'button small', onclick: () => suspend(o) }, o.suspended_at ? m.unsuspend : m.suspend), h('button', { type: 'button', class: 'button small', onclick: () => drop(o) }, m.deleteWord)) }], empty: () => h('p', null, m.noOrganizations) });
  const change = (/** @type {any} */ o) => dialog(m.plan, (close) => form({ fields: [{ name: 'plan', label: o.name, type: 'select', value: o.plan, options: Object.entries(m.plans).map(([v, t]) => /** @type {[string, string]} */ ([v, t])) }], submit: m.changePlan, cancel: close, send: async (v) => { await patch('/v1/organizations/' + o.id, v); close(); toast(m.saved); l.reload(); } }));
  const suspend = (/** @type {any} */ o) => confirm({ title: o.suspended_at ? m.unsuspend : m.suspend, typed: o.suspended_at ? undefined : o.name, verb: o.suspended_at ? m.unsuspend : m.suspend, consequences: h('p', null, o.suspended_at ? m.unsuspendConsequences : m.suspendConsequences), act: async () => { await post(`/v1/organizations/${o.id}/${o.suspended_at ? 'unsuspend' : 'suspend'}`); toast(m.saved); l.reload(); } });
  const drop = (/** @type {any} */ o) => confirm({ title: m.deleteOrganization, typed: o.name, verb: m.deleteOrganization, consequences: h('p', null, m.deleteOrganizationAsOperator), act: async () => { await remove('/v1/organizations/' + o.id); toast(m.deleted); l.reload(); } });
  const create = () => dialog(m.createOrganization, (close) => form({ fields: [{ name: 'name', label: m.organizationName, required: true }, { name: 'admin_email', label: m.email, type: 'email', required: true }, { ...secretField, name: 'password', label: m.password, hint: m.passwordRule, attrs: { autocomplete: 'new-password' } }], submit: m.createOrganization, cancel: close, send: async (v) => { await post('/v1/organizations', v); close(); l.reload(); } }));
  return [head(m.nav.organizations, [curlButton('GET', '/v1/organizations'), h('button', { type: 'button', class: 'button primary', onclick: create }, icon('plus'), m.createOrganization)]), h('div', { class: 'filters' }, textFilter('q', m.nameOrEmail), choiceFilter('plan', m.plan, [['', m.any], ...Object.entries(m.plans)])), l.node];
}

export function usage() {
  const range = param('range', 'month');
  const r = resource(async (stop) => {
    const w = windowOf(range()), { items, complete } = await all('/v1/organizations', {}, stop), rows = [];
    // One call an organization, the first hundred; more would be a report, not a screen.
    for (const o of items.slice(0, 100)) { const u = await optional(() => get('/v1/usage', { org_id: o.id, group_by: 'project', ...w }, { signal: stop })); if (u === null) return null; rows.push({ o, totals: u.totals }); }
    return { rows: rows.sort((a, b) => b.totals.participant_seconds - a.totals.participant_seconds), complete: complete && items.length <= 100 };
  });
  return [head(m.nav.orgUsage, [curlButton('GET', () => '/v1/usage' + search({ org_id: 'org_…', group_by: 'project', ...windowOf(here().query.get('range') ?? 'month') }))], m.allOrganizations), h('div', { class: 'filters' }, choiceFilter('range', m.period, ranges, 'month')),
    h('div', null, show(r, (u) => u === null ? h('p', { class: 'note' }, m.notOffered) : [!u.complete && h('p', { class: 'note' }, m.newest(count(u.rows.length))), table({ label: m.nav.orgUsage, rows: u.rows, to: ({ o }) => href(`/o/${o.id}/usage`), columns: [{ label: m.organization, cell: ({ o }) => their(o.name) }, { label: m.plan, cell: ({ o }) => badge(m.plans[o.plan] ?? o.plan) }, ...['participant_seconds', 'room_seconds', 'egress_seconds'].map((k) => ({ label: m.meters[k], number: true, cell: (/** @type {any} */ x) => duration(x.totals[k]) })), { label: m.meters.tokens_issued, number: true, wide: true, cell: (x) => count(x.totals.tokens_issued) }] }).node], () => bones(6)))];
}
