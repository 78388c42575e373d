// The rooms that are open now.
// @ts-check
import { h } from '../kit/dom.js';
import { get, post, follow } from '../kit/api.js';
import { go, href } from '../kit/router.js';
import { list } from '../kit/load.js';
import { onEnd, signal, debounce } from '../kit/dom.js';
import { dialog, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { ofThis, projectId, inProject } from '../shell/session.js';
import { head, button } from '../shell/shell.js';
import { count, status, time, their, ident, badge } from '../shell/format.js';
import { curlButton, empty } from './parts.js';

/** Calls `changed` when one of the project's rooms changes, by the event stream. @param {(event: any) => void} changed */
export function live(changed, types = '') {
  const state = signal(/** @type {'live'|'waiting'|'missing'} */ ('waiting')), stop = new AbortController();
  onEnd(() => stop.abort());
  follow(`/v1/events/stream?project_id=${projectId.peek()}${types ? '&type=' + types : ''}`, (e) => changed(e.data), stop.signal, (s) => state.set(s));
  return { state, node: () => state() === 'live' ? status('live', m.liveUpdates) : status('idle', m.polling) };
}

export function rooms() {
  const l = list({
    label: m.nav.rooms, every: 5,
    load: (cursor, stop) => get('/v1/rooms', { ...ofThis(), limit: 50, cursor }, { signal: stop }),
    to: (r) => href(inProject('/rooms/' + encodeURIComponent(r.room_name))),
    columns: [{ label: m.room, cell: (r) => their(r.room_name) }, { label: m.people, number: true, cell: (r) => [count(r.num_participants), r.max_participants ? h('span', { class: 'hint' }, ' / ' + count(r.max_participants)) : null] }, { label: m.publishers, number: true, cell: (r) => count(r.num_publishers) },
      { label: m.opened, cell: (r) => time(r.created_at) }, { label: m.recording, cell: (r) => r.recording ? badge(r.recording === true ? m.yes : typeof r.recording === 'string' ? r.recording : m.yes, 'bad') : '–', wide: true }, { label: m.region, cell: (r) => r.region || '–', wide: true }, { label: 'sid', cell: (r) => ident(r.sid), wide: true }],
    empty: () => empty(m.noRooms, h('a', { class: 'button primary', href: href(inProject('/join')) }, icon('rooms'), m.joinTestRoom), `curl -X POST "$PULSE/v1/rooms?project_id=${projectId.peek()}" -H "Authorization: Bearer $ACCESS" \\\n  -H 'Content-Type: application/json' -d '{"room_name":"standup"}'`),
  });
  const soon = debounce(l.reload, 150);
  const stream = live(() => soon());
  const create = () => dialog(m.createRoom, (close) => form({
    fields: [{ name: 'room_name', label: m.room, required: true }, { name: 'max_participants', label: m.maxParticipants, type: 'number', attrs: { min: 0 }, hint: m.zeroIsNone, parse: (v) => v === '' ? undefined : Number(v) },
      { name: 'empty_timeout', label: m.emptyTimeout, type: 'number', attrs: { min: 0, max: 86400 }, hint: m.secondsDefault, parse: (v) => v === '' ? undefined : Number(v) }, { name: 'metadata', label: m.metadata, type: 'textarea', parse: (v) => v || undefined }],
    submit: m.createRoom, cancel: close,
    send: async (v) => { const made = await post('/v1/rooms?project_id=' + projectId.peek(), v); close(); toast(m.roomCreated); go(inProject('/rooms/' + encodeURIComponent(made.room_name))); },
  }));
  return [head(m.nav.rooms, [h('span', null, stream.node), curlButton('GET', `/v1/rooms?project_id=${projectId.peek()}`), button('rooms.write', m.createRoom, create, '', 'plus'), h('a', { class: 'button primary', href: href(inProject('/join')) }, m.joinTestRoom)]), l.node];
}
