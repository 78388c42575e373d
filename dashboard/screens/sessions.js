// Usage sessions: a table, a timeline of a room, and the proof of each.
// @ts-check
import { h, computed } from '../kit/dom.js';
import { get, search } from '../kit/api.js';
import { param, query, withQuery, href } from '../kit/router.js';
import { list, resource, show, bones } from '../kit/load.js';
import { timeline } from '../kit/chart.js';
import { m } from '../messages.js';
import { ofThis, projectId, inProject } from '../shell/session.js';
import { head, drawer } from '../shell/shell.js';
import { duration, stamp, their, ident, terms, raw, exact, clock, status, code, count } from '../shell/format.js';
import { textFilter, choiceFilter, flagFilter, ranges, windowOf, curlButton, empty, exportFile, all, tabs } from './parts.js';

/** What the filters ask for. */
function filters(/** @type {URLSearchParams} */ q) {
  const range = q.get('range') ?? '24h', w = range === 'all' ? {} : windowOf(range);
  return { ...ofThis(), room_name: q.get('room_name'), participant_identity: q.get('identity'), subject: q.get('subject') ?? 'participant', room_sid: q.get('room_sid'), open: q.get('only') === 'true' ? 'true' : '', ...w };
}

export function sessions() {
  const q = query();
  const open = param('open'), view = tabs('view', [['table', m.table], ['timeline', m.timeline]]);
  // The drawer's parameter changes the URL too: only other filters load anew.
  const asked = computed(() => JSON.stringify(filters(q()))), ask = () => JSON.parse(asked());
  const l = () => list({
    label: m.nav.sessions, load: (cursor, stop) => get('/v1/usage/sessions', { ...ask(), limit: 100, cursor }, { signal: stop }),
    to: (s) => href(withQuery({ open: s.id })),
    columns: [{ label: m.room, cell: (s) => their(s.room_name) }, { label: m.identity, cell: (s) => their(s.participant_identity || s.subject) }, { label: m.kind, cell: (s) => (s.kind || s.subject).toLowerCase(), wide: true }, { label: m.joined, cell: (s) => stamp(s.joined_at) },
      { label: m.left, cell: (s) => s.left_at ? stamp(s.left_at) : status('open') }, { label: m.durationWord, number: true, cell: (s) => duration(s.duration_seconds) }, { label: m.reason, cell: (s) => s.end_reason ?? '–', wide: true }],
    empty: () => empty(m.noSessions, h('a', { class: 'button primary', href: href(inProject('/join')) }, m.joinTestRoom), `curl "$PULSE/v1/usage/sessions?project_id=${projectId.peek()}" -H "Authorization: Bearer $ACCESS"`),
  }).node;
  drawer(open, open, (id) => ({ title: id, body: () => proof(id) }));
  return [
    head(m.nav.sessions, [h('button', { type: 'button', class: 'button', onclick: () => exportFile('/v1/usage/export' + search({ ...ofThis(), of: 'sessions', format: 'csv', ...windowOf(q.peek().get('range') ?? '24h') }), 'sessions.csv') }, m.exportCSV), curlButton('GET', () => '/v1/usage/sessions' + search(filters(q.peek())))]),
    h('div', { class: 'filters' }, choiceFilter('range', m.period, [...ranges, ['all', m.range.all]], '24h'), textFilter('room_name', m.room), textFilter('identity', m.identity), choiceFilter('subject', m.subject, [['participant', m.subjects.participant], ['room', m.subjects.room], ['egress', m.subjects.egress], ['ingress', m.subjects.ingress]], 'participant'), flagFilter('only', m.openOnly), view.node),
    () => view.at() === 'timeline' ? gantt(ask) : l(),
  ];
}

/** Sessions by room, an identity's on one line. @param {() => any} ask */
function gantt(ask) {
  const r = resource((stop) => all('/v1/usage/sessions', ask(), stop));
  return show(r, ({ items, complete }) => {
    if (!items.length) return h('div', { class: 'empty' }, h('p', null, m.noSessions));
    /** @type {Map<string, any[]>} */
    const rooms = new Map();
    for (const s of items) { const k = s.room_name + '\n' + s.room_sid; rooms.set(k, [...rooms.get(k) ?? [], s]); }
    return [!complete && h('p', { class: 'note' }, m.newest(count(items.length))), [...rooms.values()].slice(0, 50).map((list) => {
      const start = Math.min(...list.map((s) => Date.parse(s.joined_at))), end = Math.max(...list.map((s) => s.left_at ? Date.parse(s.left_at) : Date.now()));
      /** @type {Map<string, any[]>} */
      const people = new Map();
      for (const s of list) { const k = s.participant_identity || s.subject; people.set(k, [...people.get(k) ?? [], s]); }
      return h('section', null, h('h3', null, their(list[0].room_name), ' ', h('span', { class: 'hint' }, ident(list[0].room_sid), ' ', exact(start), ' · ', duration((end - start) / 1000))), timeline({
        label: list[0].room_name, start, end, time: (t) => clock(t), rows: [...people].map(([name, of]) => ({ name, bars: of.sort((a, b) => Date.parse(a.joined_at) - Date.parse(b.joined_at)).map((s) => ({
          id: s.id, from: Date.parse(s.joined_at), to: s.left_at ? Date.parse(s.left_at) : null, href: href(withQuery({ open: s.id })), corrected: s.end_reason === 'reconciled',
          text: `${exact(s.joined_at)} – ${s.left_at ? exact(s.left_at) : m.state('open')} · ${duration(s.duration_seconds)}${s.end_reason ? ' · ' + s.end_reason : ''}` })) })) }));
    })];
  }, () => bones(6));
}

/** A session with the events that prove it, as they came. @param {string} id */
function proof(id) {
  const r = resource(() => get('/v1/usage/sessions/' + encodeURIComponent(id), ofThis()));
  return show(r, (s) => [terms([[m.room, h('a', { href: href(withQuery({ room_name: s.room_name, open: '' })) }, their(s.room_name))], ['room sid', ident(s.room_sid)], s.participant_identity && [m.identity, h('a', { href: href(withQuery({ identity: s.participant_identity, open: '' })) }, their(s.participant_identity))], [m.kind, (s.kind || s.subject).toLowerCase()],
    [m.joined, stamp(s.joined_at)], [m.left, s.left_at ? stamp(s.left_at) : status('open')], [m.durationWord, duration(s.duration_seconds)], [m.reason, s.end_reason ?? '–']]),
  h('h3', null, m.proof), h('p', { class: 'hint' }, m.proofHint), s.event_ids.length === 0 ? h('p', null, m.noProof) : h('ol', { class: 'proof' }, s.event_ids.slice(0, 50).map(event)), raw(s),
  h('div', { class: 'actions' }, curlButton('GET', `/v1/usage/sessions/${encodeURIComponent(id)}?project_id=${projectId.peek()}`))]);
}

/** @param {string} id */
function event(id) {
  const r = resource(() => get('/v1/events/' + encodeURIComponent(id), ofThis()));
  return h('li', null, () => r.error()?.status === 404 ? h('span', null, ident(id)) : h('div', null, show(r, (e) => h('details', null, h('summary', null, h('span', { class: 'strong' }, e.type ?? e.event), ' ', stamp(e.timestamp ?? e.created_at)), ident(id), code(JSON.stringify(e.data ?? e, null, 2))), () => ident(id))));
}
