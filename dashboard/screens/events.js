// What happened: Pulse's events, newest first, with a live tail.
// @ts-check
import { h, signal, onEnd } from '../kit/dom.js';
import { get, post, search, follow } from '../kit/api.js';
import { href, param, withQuery } from '../kit/router.js';
import { list, resource, show } from '../kit/load.js';
import { toast } from '../kit/dialog.js';
import { m } from '../messages.js';
import { ofThis, projectId } from '../shell/session.js';
import { head, button, drawer } from '../shell/shell.js';
import { badge, code, ident, stamp, status, terms, their } from '../shell/format.js';
import { choiceFilter, curlButton, empty, ranges, textFilter, windowOf } from './parts.js';

export function events() {
  const open = param('open'), type = param('type'), range = param('range', '24h');
  const fresh = signal(/** @type {any[]} */ ([])), tail = signal('waiting'), on = signal(true);
  const stop = new AbortController();
  onEnd(() => stop.abort());
  follow(`/v1/events/stream?project_id=${projectId.peek()}`, (e) => { if (on.peek() && (!type.peek() || matches(type.peek(), e.data.type))) fresh.update((all) => [e.data, ...all].slice(0, 100)); }, stop.signal, (s) => tail.set(s));
  const what = (/** @type {any} */ e) => { const d = e.data ?? {}; return d.room_name ?? d.room?.name ?? d.room ?? d.quota ?? d.endpoint_id ?? ''; };
  const who = (/** @type {any} */ e) => e.data?.participant_identity ?? e.data?.participant?.identity ?? e.data?.participant?.participant_identity ?? '';
  const columns = [{ label: m.event, cell: (/** @type {any} */ e) => h('span', { class: 'strong' }, e.type) }, { label: m.about, cell: (/** @type {any} */ e) => their(typeof what(e) === 'string' ? what(e) : '') }, { label: m.identity, cell: (/** @type {any} */ e) => their(typeof who(e) === 'string' ? who(e) : '') }, { label: m.time, cell: (/** @type {any} */ e) => stamp(e.timestamp ?? e.created_at) }, { label: 'id', cell: (/** @type {any} */ e) => ident(e.id), wide: true }];
  const asked = () => { const w = range() === 'all' ? {} : windowOf(range()); return { ...ofThis(), type: type(), ...w }; };
  const l = list({ label: m.nav.events, load: (cursor, stop) => get('/v1/events', { ...asked(), limit: 50, cursor }, { signal: stop }), to: (e) => href(withQuery({ open: e.id })), columns,
    got: () => fresh.set([]), empty: () => empty(m.noEvents, undefined, `curl -N "$PULSE/v1/events/stream?project_id=${projectId.peek()}" -H "Authorization: Bearer $ACCESS"`) });
  drawer(open, open, (id) => ({ title: m.event, body: () => { const r = resource(() => get('/v1/events/' + encodeURIComponent(id), ofThis())); return show(r, (e) => [terms([[m.event, e.type ?? e.event], [m.time, stamp(e.timestamp ?? e.created_at)], ['id', ident(e.id)], e.livekit_event_id && ['LiveKit', ident(e.livekit_event_id)]]), h('h3', null, m.data), code(JSON.stringify(e.data ?? e, null, 2)),
    h('div', { class: 'actions' }, button('webhooks.write', m.resend, async () => { try { await post(`/v1/events/${encodeURIComponent(id)}/resend?project_id=${projectId.peek()}`, {}); toast(m.resent); } catch (x) { toast(m.problem(x)); } }), curlButton('GET', `/v1/events/${id}?project_id=${projectId.peek()}`))]); } }));
  return [head(m.nav.events, [() => tail() === 'live' ? status('live', m.liveTail) : tail() === 'missing' ? status('disabled', m.noTail) : status('waiting', m.connecting), curlButton('GET', () => '/v1/events' + search(asked()))]),
    h('div', { class: 'filters' }, choiceFilter('range', m.period, [...ranges, ['all', m.range.all]], '24h'), textFilter('type', m.type, { placeholder: 'room.*' }), h('label', { class: 'filter check' }, h('input', { type: 'checkbox', checked: true, onchange: (/** @type {any} */ e) => on.set(e.target.checked) }), h('span', null, m.showNew))),
    () => fresh().length > 0 && h('section', { class: 'fresh', 'aria-live': 'polite' }, h('h2', null, m.sinceOpened(fresh().length)), h('ul', { class: 'plain' }, fresh().map((e) => h('li', null, h('a', { href: href(withQuery({ open: e.id })) }, badge(e.type)), ' ', their(typeof what(e) === 'string' ? what(e) : ''), ' ', their(typeof who(e) === 'string' ? who(e) : ''), ' ', h('span', { class: 'hint' }, stamp(e.timestamp)))))), l.node];
}
/** @param {string} pattern @param {string} type */
const matches = (pattern, type) => pattern === '*' || pattern === type || pattern.endsWith('.*') && type.startsWith(pattern.slice(0, -1));
