// One room: who is in it, what they send, and what can be done about it.
// @ts-check
import { h, debounce } from '../kit/dom.js';
import { get, post, patch, remove, search, Problem } from '../kit/api.js';
import { go, href, param } from '../kit/router.js';
import { resource, show, table, bones } from '../kit/load.js';
import { confirm, dialog, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { ofThis, inProject } from '../shell/session.js';
import { head, button, drawer } from '../shell/shell.js';
import { count, status, time, their, ident, badge, terms, raw, code } from '../shell/format.js';
import { curlButton, stat } from './parts.js';
import { live } from './rooms.js';

/** @param {{room: string}} params */
export function room({ room }) {
  const base = '/v1/rooms/' + encodeURIComponent(room), q = search(ofThis());
  const open = param('open');
  const info = resource(() => get(base + q), { every: 5 });
  const people = resource(() => get(base + '/participants' + q), { every: 5 });
  const items = (/** @type {any} */ d) => d.items ?? d.participants ?? [];
  const soon = debounce(() => { info.reload(); people.reload(); }, 100);
  const stream = live((e) => { const about = e?.data?.room_name ?? e?.data?.room?.name ?? e?.data?.room; if (!about || about === room) soon(); });
  const person = (/** @type {string} */ identity) => base + '/participants/' + encodeURIComponent(identity);

  const evict = (/** @type {string} */ identity) => confirm({ title: m.removeParticipant, verb: m.removeParticipant, consequences: h('p', null, m.removeConsequences(identity, room)), act: async () => { await remove(person(identity) + q); toast(m.removed); open.set(''); soon(); } });
  const revoke = (/** @type {string} */ identity) => confirm({ title: m.revoke, verb: m.revoke, consequences: h('p', null, m.revokeConsequences(identity)), fields: [{ name: 'ban_seconds', label: m.banSeconds, type: 'number', value: 3600, attrs: { min: 0, max: 2592000 }, parse: Number }], act: async () => {},
    send: async (v) => { await post('/v1/tokens/revoke' + q, { participant_identity: identity, room_name: room, ban_seconds: v.ban_seconds }); toast(m.revoked); open.set(''); soon(); } });
  const mute = async (/** @type {string} */ identity, /** @type {any} */ t) => { try { await post(`${person(identity)}/mute${q}`, { track_sid: t.sid ?? t.track_sid, muted: !t.muted }); soon(); } catch (e) { toast(m.problem(e)); } };
  const end = () => confirm({ title: m.endRoom, typed: room, verb: m.endRoom, consequences: h('p', null, m.endConsequences(items(people.data.peek() ?? {}).length)), act: async () => { await remove(base + q); toast(m.roomEnded); go(inProject('/rooms')); } });
  const record = () => dialog(m.record, (close) => form({
    fields: [{ name: 'layout', label: m.layout, type: 'select', options: [['grid', m.layouts.grid], ['speaker', m.layouts.speaker], ['single-speaker', m.layouts.single]] }, { name: 'filepath', label: m.fileName, hint: m.fileNameHint, parse: (v) => v || undefined }],
    submit: m.startRecording, cancel: close,
    send: async (v) => { await post('/v1/media/egress/start' + q, { room_name: room, type: 'room_composite', layout: v.layout, outputs: [{ kind: 'file', ...(v.filepath ? { filepath: v.filepath } : {}) }] }); close(); toast(m.recordingStarted); go(inProject('/recordings')); },
  }));
  const data = () => dialog(m.sendData, (close) => form({ fields: [{ name: 'data', label: m.text, type: 'textarea', required: true, parse: (v) => btoa(String.fromCharCode(...new TextEncoder().encode(v))) }, { name: 'topic', label: m.topic, parse: (v) => v || undefined }], submit: m.sendData, cancel: close,
    send: async (v) => { await post(base + '/data' + q, v); close(); toast(m.sent); } }));
  const edit = () => dialog(m.editRoom, (close) => form({ fields: [{ name: 'metadata', label: m.metadata, type: 'textarea', value: info.data.peek()?.metadata }], submit: m.save, cancel: close, send: async (v) => { await patch(base + q, v); close(); soon(); } }));

  drawer(open, open, (identity) => ({ title: identity, body: () => show(people, (d) => {
    const p = items(d).find((/** @type {any} */ x) => x.participant_identity === identity);
    if (!p) return h('p', { class: 'note' }, m.leftRoom);
    return [terms([[m.name, their(p.participant_name)], ['sid', ident(p.sid ?? p.participant_sid)], [m.kind, p.kind], [m.state_, p.state], [m.joined, time(p.joined_at)], [m.metadata, p.metadata ? code(p.metadata) : '–']]),
      h('h3', null, m.tracks), tracks(p),
      h('div', { class: 'actions' }, button('tokens.revoke', m.revoke, () => revoke(identity)), button('rooms.write', m.removeParticipant, () => evict(identity), 'danger')), raw(p)];
  }) }));
  const tracks = (/** @type {any} */ p) => (p.tracks ?? []).length === 0 ? h('p', { class: 'hint' }, m.noTracks) : h('ul', { class: 'tracks' }, p.tracks.map((/** @type {any} */ t) => h('li', null, badge(t.source ?? t.kind ?? t.type), h('span', { class: 'hint' }, t.mime_type ?? ''), t.width ? h('span', { class: 'hint num' }, `${t.width}×${t.height}`) : null, h('span', { class: 'grow' }),
    t.muted ? status('muted') : status('publishing'), t.muted ? h('span', { class: 'hint' }, m.unmuteHint) : button('rooms.write', m.mute, () => mute(p.participant_identity, t), 'small'))));

  return [
    head(room, [h('span', null, stream.node), curlButton('GET', base + q), button('rooms.write', m.sendData, data), button('rooms.write', m.editRoom, edit), button('egress.write', m.record, record, '', 'record'), button('rooms.write', m.endRoom, end, 'danger'), h('a', { class: 'button primary', href: href(inProject('/join?room=' + encodeURIComponent(room))) }, m.join)]),
    () => info.error() instanceof Problem && info.error().status === 404 ? h('p', { class: 'note' }, m.roomGone, ' ', h('a', { href: href(inProject('/sessions?room_name=' + encodeURIComponent(room))) }, m.itsSessions)) : h('div', null, show(info, (r) => h('section', { class: 'stats' },
      stat(m.people, count(r.num_participants), r.max_participants ? m.atMost(r.max_participants) : null), stat(m.publishers, count(r.num_publishers)), stat(m.opened, time(r.created_at)), stat('sid', ident(r.sid))), () => bones(1)),
    h('section', null, h('h2', null, m.people), show(people, (d) => items(d).length === 0 ? h('div', { class: 'empty' }, h('p', null, m.roomEmpty)) : table({
      label: m.people, rows: items(d), to: (p) => '?open=' + encodeURIComponent(p.participant_identity), columns: [
        { label: m.identity, cell: (p) => their(p.participant_identity) }, { label: m.name, cell: (p) => their(p.participant_name) }, { label: m.kind, cell: (p) => p.kind ?? '–', wide: true }, { label: m.joined, cell: (p) => time(p.joined_at) },
        { label: m.tracks, cell: (p) => (p.tracks ?? []).length ? p.tracks.map((/** @type {any} */ t) => [badge((t.source ?? t.kind ?? '?') + (t.muted ? ' · ' + m.state('muted') : ''), t.muted ? '' : 'good'), ' ']) : '–' },
        { label: '', cell: (p) => h('span', { class: 'row-actions' }, button('rooms.write', m.removeParticipant, () => evict(p.participant_identity), 'small')) }] }).node)),
    h('p', null, h('a', { href: href(inProject('/sessions?view=timeline&room_name=' + encodeURIComponent(room))) }, icon('sessions'), ' ', m.itsSessions))),
  ];
}
