// The rooms that are open now.
// @ts-check
import { h, debounce } from '../kit/dom.js';
import { get } from '../kit/api.js';
import { go, href } from '../kit/router.js';
import { list } from '../kit/load.js';
import { dialog, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { ofThis, projectId, inProject } from '../shell/session.js';
import { head, button } from '../shell/shell.js';
import { count, ident, status, time, their } from '../shell/format.js';
import { curlButton, empty, live } from './parts.js';

/** @typedef {import('../api.js').Schemas} S */
const whole = (/** @type {string} */ v) => v === '' ? undefined : Number(v);
/** How open rooms are shown, here and on the overview. @type {import('../kit/load.js').Column<S['Room']>[]} */
export const columns = [
  { label: m.room, cell: (r) => their(r.room_name) }, { label: m.people, number: true, cell: (r) => [count(r.num_participants), r.max_participants ? h('span', { class: 'hint' }, ' / ' + count(r.max_participants)) : null] },
  { label: m.publishers, number: true, cell: (r) => count(r.num_publishers) }, { label: m.opened, cell: (r) => time(r.created_at) }, { label: m.recording, cell: (r) => r.recording ? status('recording') : '–', wide: true },
  { label: m.region, cell: (r) => r.region || '–', wide: true }, { label: 'sid', cell: (r) => ident(r.sid), wide: true }];
/** @param {S['Room']} r */
export const roomPage = (r) => href(inProject('/rooms/' + encodeURIComponent(r.room_name)));

export function rooms() {
  const q = '?project_id=' + projectId.peek();
  const l = list({
    label: m.nav.rooms, every: 5, to: roomPage, columns, load: (cursor, stop) => get('/v1/rooms', { ...ofThis(), limit: 50, cursor }, { signal: stop }),
    empty: () => empty(m.noRooms, h('a', { class: 'button primary', href: href(inProject('/join')) }, icon('rooms'), m.joinTestRoom), ['POST', '/v1/rooms' + q, { room_name: 'standup' }]),
  });
  const stream = live(debounce(l.refresh, 150));
  const create = () => dialog(m.createRoom, (close) => form({
    fields: [
      { name: 'room_name', label: m.room, required: true }, { name: 'max_participants', label: m.maxParticipants, type: 'number', attrs: { min: 0 }, hint: m.zeroIsNone, parse: whole },
      { name: 'empty_timeout', label: m.emptyTimeout, type: 'number', attrs: { min: 0, max: 86400 }, hint: m.secondsDefault, parse: whole }, { name: 'metadata', label: m.metadata, type: 'textarea', parse: (v) => v || undefined },
      { name: 'recording', label: m.recordFromStart, type: 'checkbox', parse: (v) => v || undefined }],
    submit: m.createRoom, cancel: close, request: (v) => ['POST', '/v1/rooms' + q, v],
    done: (made) => { close(); toast(m.roomCreated); go(inProject('/rooms/' + encodeURIComponent(made.room_name))); },
  }));
  return [head(m.nav.rooms, [h('span', null, stream.node), curlButton('GET', '/v1/rooms' + q), button('rooms.write', m.createRoom, create, '', 'plus'), h('a', { class: 'button primary', href: href(inProject('/join')) }, m.joinTestRoom)]), l.node];
}
