// The audit trail: who changed what, and that nobody changed the trail.
// @ts-check
import { h, computed, signal } from '../kit/dom.js';
import { get, search } from '../kit/api.js';
import { href, param, query, withQuery } from '../kit/router.js';
import { list, failure } from '../kit/load.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { barred, me, orgId } from '../shell/session.js';
import { head, button, drawer } from '../shell/shell.js';
import { count, ident, raw, stamp, status, terms, their } from '../shell/format.js';
import { all, calls, choiceFilter, exportFile, guarded, ranges, textFilter, windowOf } from './parts.js';

/** @typedef {import('../api.js').Schemas} S */
/** @typedef {S['AuditEntry']} Entry */

/** The organization, where the caller must name it. */
const ofOrg = () => (me.peek()?.operator ? { org_id: orgId.peek() } : {});
const asked = (/** @type {URLSearchParams} */ q) => {
  const range = q.get('range') ?? '30d';
  return {
    ...ofOrg(),
    action: q.get('action'),
    actor: q.get('actor'),
    target: q.get('target'),
    ...(range === 'all' ? {} : windowOf(range)),
  };
};

export const audit = () => (barred('audit.read') ? [head(m.nav.audit), guarded('audit.read', () => null)] : trail());

function trail() {
  const q = query(),
    open = param('open'),
    request = param('request_id'),
    check = signal(/** @type {any} */ (null)),
    wrong = signal(/** @type {any} */ (null)),
    key = computed(() => JSON.stringify(asked(q())));
  /** Entries on the page. @type {Map<string, Entry>} */
  const seen = new Map();
  /** Names of the people who are members. @type {Map<string, string>} */
  const names = new Map();
  const known = all(`/v1/organizations/${orgId.peek()}/members`, {}).then(
    ({ items }) => {
      for (const u of items) names.set(u.id, u.name);
    },
    () => {},
  );
  const actor = (/** @type {any} */ a) => [
    their(a.name || names.get(a.id) || m.kinds[a.kind] || a.kind),
    !a.name && !names.has(a.id) && a.id ? [' ', ident(a.id)] : null,
  ];
  const l = list({
    label: m.nav.audit,
    to: (e) => href(withQuery({ open: e.id })),
    load: async (cursor, stop) => {
      const wanted = request(),
        narrowed = JSON.parse(key());
      await known;
      // The trail has no filter for requests: one is looked for among the newest thousand entries.
      const page = wanted
        ? { ...(await all('/v1/audit-logs', ofOrg(), stop)), has_more: false }
        : await get('/v1/audit-logs', { ...narrowed, limit: 50, cursor }, { signal: stop });
      for (const e of page.items) seen.set(e.id, e);
      return wanted ? { ...page, items: page.items.filter((/** @type {Entry} */ e) => e.request_id === wanted) } : page;
    },
    columns: [
      { label: m.action, cell: (e) => e.action },
      { label: m.actor, cell: (e) => actor(e.actor) },
      { label: m.target, cell: (e) => [h('span', { class: 'hint' }, e.target.type + ' '), ident(e.target.id)] },
      { label: m.outcome, cell: (e) => [status(e.outcome), e.code && [' ', h('span', { class: 'hint mono' }, e.code)]] },
      { label: m.time, cell: (e) => stamp(e.at) },
      { label: 'IP', cell: (e) => h('span', { class: 'mono' }, e.ip || '–'), wide: true },
      { label: '#', number: true, cell: (e) => count(e.seq), wide: true },
    ],
    empty: () => h('p', null, request() ? m.noneMatches : m.noAudit),
  });
  drawer(open, open, (id) => ({
    title: m.entry,
    body: () => () => {
      l.data();
      const e = seen.get(id);
      return e
        ? [
            terms([
              [m.action, h('span', { class: 'strong' }, e.action)],
              [m.actor, actor(e.actor)],
              e.actor.credential_id && [m.credential, ident(e.actor.credential_id)],
              [m.target, [e.target.type, ' ', ident(e.target.id)]],
              [m.outcome, status(e.outcome)],
              e.code && [m.code, h('span', { class: 'mono' }, e.code)],
              [m.time, stamp(e.at)],
              ['IP', e.ip || '–'],
              [m.agent, their(e.user_agent)],
              [m.requestId, ident(e.request_id)],
              [m.number, count(e.seq)],
              [m.hash, ident(e.hash)],
            ]),
            diff(e.before ?? {}, e.after ?? {}),
            raw(e),
          ]
        : h('p', { class: 'note' }, m.notOnPage);
    },
  }));
  const verify = async () => {
    wrong.set(null);
    check.set(null);
    try {
      check.set(await get('/v1/audit-logs/verify', ofOrg()));
    } catch (e) {
      wrong.set(e);
    }
  };
  return [
    head(
      m.nav.audit,
      [
        calls(() => [
          [m.read, 'GET', '/v1/audit-logs' + search(asked(q.peek()))],
          [m.verifyTrail, 'GET', '/v1/audit-logs/verify' + search(ofOrg())],
          [m.exportWord, 'GET', '/v1/audit-logs/export' + search({ ...asked(q.peek()), format: 'csv' })],
        ]),
        h(
          'button',
          {
            type: 'button',
            class: 'button',
            onclick: () => exportFile('/v1/audit-logs/export' + search({ ...asked(q.peek()), format: 'csv' }), 'audit.csv'),
          },
          m.exportCSV,
        ),
        button('audit.read', m.verifyTrail, verify, 'primary', 'check'),
      ],
      m.auditUnder,
    ),
    () => wrong() && failure(wrong(), verify),
    () =>
      check() &&
      h(
        'p',
        { class: 'note ' + (check().valid ? 'good' : 'bad'), role: 'status' },
        check().valid ? status('valid', m.trailValid(count(check().entries))) : status('invalid', m.trailInvalid(check().first_invalid)),
        check().reason ? ' ' + check().reason : '',
      ),
    h(
      'div',
      { class: 'filters' },
      choiceFilter('range', m.period, [...ranges, ['all', m.range.all]], '30d'),
      textFilter('action', m.action, { placeholder: 'key.create' }),
      textFilter('actor', m.actor, { placeholder: 'usr_…' }),
      textFilter('target', m.target, { placeholder: 'prj_…' }),
      () =>
        request() &&
        h('a', { class: 'chip mono', href: href(withQuery({ request_id: '' })), 'aria-label': m.everyRequest }, request(), icon('close')),
    ),
    l.node,
  ];
}

/** What an entry changed, field by field. @param {any} before @param {any} after */
function diff(before, after) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (n) => JSON.stringify(before[n]) !== JSON.stringify(after[n]),
  );
  if (!names.length) return null;
  const text = (/** @type {any} */ v) => (typeof v === 'string' ? v || '""' : JSON.stringify(v));
  return [
    h('h3', null, m.changes),
    h(
      'div',
      { class: 'diff' },
      names.map((n) =>
        h(
          'div',
          { class: 'diff-row' },
          h('span', { class: 'diff-name mono' }, n),
          n in before && h('del', null, h('span', { class: 'offscreen' }, m.before), h('bdi', null, text(before[n]))),
          n in after && h('ins', null, h('span', { class: 'offscreen' }, m.after), h('bdi', null, text(after[n]))),
        ),
      ),
    ),
  ];
}
