// What happened: Pulse's events, newest first, as they come.
// @ts-check
import { h, debounce, signal } from '../kit/dom.js';
import { get, search } from '../kit/api.js';
import { href, param, withQuery } from '../kit/router.js';
import { list, resource, show } from '../kit/load.js';
import { m } from '../messages.js';
import { inProject, ofThis, projectId } from '../shell/session.js';
import { head, button, drawer } from '../shell/shell.js';
import { code, ident, raw, stamp, status, terms, their } from '../shell/format.js';
import { act, calls, choiceFilter, curlButton, empty, live, ranges, textFilter, windowOf } from './parts.js';

/** @typedef {import('../api.js').Schemas} S */
/** Families of the catalogue that the filter suggests. */
const families = ['room.*', 'participant.*', 'track.*', 'egress.*', 'recording.*', 'ingress.*', 'quota.*', 'key.*', 'token.*', 'project.*', 'member.*', 'webhook.*'];
/** What an event is about, besides its room and its participant. @param {any} d */
const about = (d) => d.room_name || d.quota || d.url || d.name || d.email || d.key_id || d.endpoint_id || '';

export function events() {
  const open = param('open'), type = param('type'), range = param('range', '24h'), following = signal(true);
  const asked = () => ({ ...ofThis(), type: type(), ...(range() === 'all' ? {} : windowOf(range())) });
  const l = list({
    label: m.nav.events, to: (e) => href(withQuery({ open: e.id })),
    load: (cursor, stop) => get('/v1/events', { ...asked(), limit: 50, cursor }, { signal: stop }),
    columns: [
      { label: m.event, cell: (e) => e.type }, { label: m.about, cell: (e) => their(about(e.data)) },
      { label: m.identity, cell: (e) => their(e.data.participant_identity) }, { label: m.time, cell: (e) => stamp(e.timestamp) }, { label: 'id', cell: (e) => ident(e.id), wide: true }],
    empty: () => empty(type() ? m.noneMatches : m.noEvents, undefined, ['GET', `/v1/events/stream?project_id=${projectId.peek()}`]),
  });
  const soon = debounce(l.refresh, 250), tail = live(() => { if (following.peek()) soon(); }, m.connecting);

  drawer(open, open, (id) => ({ title: m.event, body: () => {
    const at = '/v1/events/' + encodeURIComponent(id), q = search(ofThis()), r = resource(() => get(at, ofThis()));
    return show(r, (/** @type {S['Event']} */ e) => {
      const { room_name: room, participant_identity: identity } = /** @type {any} */ (e.data);
      return [
        terms([[m.event, h('span', { class: 'strong' }, e.type)], [m.time, stamp(e.timestamp)],
          room && [m.room, h('a', { href: href(inProject('/sessions?range=all&room_name=' + encodeURIComponent(room))) }, their(room))],
          identity && [m.identity, h('a', { href: href(inProject('/sessions?range=all&identity=' + encodeURIComponent(identity))) }, their(identity))],
          ['id', ident(e.id)], e.livekit_event_id && [m.livekitId, ident(e.livekit_event_id)]]),
        h('div', { class: 'actions' }, button('webhooks.write', m.resend, () => act(['POST', `${at}/resend`, {}], m.resent)),
          calls([[m.read, 'GET', at + q], [m.resend, 'POST', `${at}/resend`, {}]])),
        h('h3', null, m.data), code(JSON.stringify(e.data, null, 2)), raw(e)];
    });
  } }));

  return [
    head(m.nav.events, [() => tail.state() === 'missing' ? status('disabled', m.noTail) : following() ? tail.node() : status('idle', m.paused), curlButton('GET', () => '/v1/events' + search(asked()))], m.eventsUnder),
    h('div', { class: 'filters' }, choiceFilter('range', m.period, [...ranges, ['all', m.range.all]], '24h'), textFilter('type', m.type, { placeholder: 'room.*', list: 'event-types' }),
      h('datalist', { id: 'event-types' }, families.map((f) => h('option', { value: f }))),
      h('label', { class: 'filter check' }, h('input', { type: 'checkbox', checked: true, onchange: (/** @type {any} */ e) => { following.set(e.target.checked); if (e.target.checked) l.refresh(); } }), h('span', null, m.showNew))),
    l.node];
}
