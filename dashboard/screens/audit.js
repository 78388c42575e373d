// The audit trail: who changed what, and that nobody changed the trail.
// @ts-check
import { h, computed, signal } from '../kit/dom.js';
import { get, search } from '../kit/api.js';
import { href, param, query, withQuery } from '../kit/router.js';
import { list, failure } from '../kit/load.js';
import { m } from '../messages.js';
import { barred, me, orgId } from '../shell/session.js';
import { head, button, drawer } from '../shell/shell.js';
import { count, ident, raw, stamp, status, terms, their } from '../shell/format.js';
import { choiceFilter, curlButton, exportFile, guarded, ranges, textFilter, windowOf } from './parts.js';

const asked = (/** @type {URLSearchParams} */ q) => { const range = q.get('range') ?? '30d'; return { ...(me()?.operator ? { org_id: orgId() } : {}), action: q.get('action'), actor: q.get('actor'), target: q.get('target'), ...(range === 'all' ? {} : windowOf(range)) }; };

export const audit = () => barred('audit.read') ? [head(m.nav.audit), guarded('audit.read', () => null)] : trail();

function trail() {
  const q = query();
  const open = param('open'), request = param('request_id'), check = signal(/** @type {any} */ (null)), wrong = signal(/** @type {any} */ (null)), key = computed(() => JSON.stringify(asked(q())));
  /** @type {Map<string, any>} */
  const seen = new Map();
  const l = list({ label: m.nav.audit, load: async (cursor, stop) => {
    const wanted = request(), page = await get('/v1/audit-logs', { ...JSON.parse(key()), limit: 50, cursor }, { signal: stop });
    for (const e of page.items) seen.set(e.id, e);
    return wanted ? { ...page, items: page.items.filter((/** @type {any} */ e) => e.request_id === wanted) } : page;
  }, to: (e) => href(withQuery({ open: e.id })), columns: [{ label: m.action, cell: (e) => h('span', { class: 'strong' }, e.action) }, { label: m.actor, cell: (e) => [their(e.actor.name || m.kinds[e.actor.kind] || e.actor.kind), ' ', e.actor.id && !e.actor.name ? h('span', { class: 'hint mono' }, e.actor.id.slice(0, 12) + '…') : null] }, { label: m.target, cell: (e) => [h('span', { class: 'hint' }, e.target.type + ' '), ident(e.target.id)] },
    { label: m.outcome, cell: (e) => status(e.outcome, e.code ? e.code : undefined) }, { label: m.time, cell: (e) => stamp(e.at) }, { label: 'IP', cell: (e) => h('span', { class: 'mono' }, e.ip || '–'), wide: true }, { label: '#', number: true, cell: (e) => count(e.seq), wide: true }], empty: () => h('p', null, m.noAudit) });
  drawer(open, open, (id) => ({ title: m.entry, body: () => () => {
    l.data();
    const e = seen.get(id);
    return e ? [terms([[m.action, e.action], [m.actor, [their(e.actor.name || m.kinds[e.actor.kind] || e.actor.kind), ' ', e.actor.id ? ident(e.actor.id) : null]], [m.target, [e.target.type, ' ', ident(e.target.id)]], [m.outcome, status(e.outcome)], e.code && ['code', e.code], [m.time, stamp(e.at)], ['IP', e.ip || '–'], [m.agent, their(e.user_agent)], [m.requestId, ident(e.request_id)], [m.number, count(e.seq)], ['hash', ident(e.hash)]]), diff(e.before ?? {}, e.after ?? {}), raw(e)] : h('p', { class: 'note' }, m.notOnPage);
  } }));
  const verify = async () => { wrong.set(null); check.set(null); try { check.set(await get('/v1/audit-logs/verify', me.peek()?.operator ? { org_id: orgId.peek() } : {})); } catch (e) { wrong.set(e); } };
  return [head(m.nav.audit, [curlButton('GET', () => '/v1/audit-logs' + search(asked(q.peek()))), h('button', { type: 'button', class: 'button', onclick: () => exportFile('/v1/audit-logs/export' + search(me.peek()?.operator ? { org_id: orgId.peek() } : {}), 'audit.jsonl') }, m.exportWord), button('audit.read', m.verifyTrail, verify, 'primary', 'check')]),
    () => wrong() && failure(wrong(), verify), () => check() && h('p', { class: 'note ' + (check().valid ? 'good' : 'bad'), role: 'status' }, check().valid ? status('valid', m.trailValid(count(check().entries))) : status('invalid', m.trailInvalid(check().first_invalid)), check().reason ? ' ' + check().reason : ''),
    h('div', { class: 'filters' }, choiceFilter('range', m.period, [...ranges, ['all', m.range.all]], '30d'), textFilter('action', m.action), textFilter('actor', m.actor), textFilter('target', m.target), () => request() && h('a', { class: 'chip', href: href(withQuery({ request_id: '' })) }, request(), ' ×')), l.node];
}

/** What an entry changed, line by line. @param {any} before @param {any} after */
function diff(before, after) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  if (!names.length) return null;
  const text = (/** @type {any} */ v) => typeof v === 'string' ? v : JSON.stringify(v);
  return [h('h3', null, m.changes), h('div', { class: 'diff' }, names.map((n) => h('div', { class: 'diff-row' }, h('span', { class: 'diff-name mono' }, n), n in before && h('del', null, h('span', { class: 'offscreen' }, m.before), h('bdi', null, text(before[n]))), n in after && h('ins', null, h('span', { class: 'offscreen' }, m.after), h('bdi', null, text(after[n]))))))];
}
