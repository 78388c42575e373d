// Egresses: what is recorded or streamed out of rooms.
// @ts-check
import { h } from '../kit/dom.js';
import { get, post } from '../kit/api.js';
import { href, param, withQuery, here } from '../kit/router.js';
import { list, resource, show } from '../kit/load.js';
import { confirm, dialog, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { m } from '../messages.js';
import { inProject, ofThis, projectId } from '../shell/session.js';
import { head, button, drawer } from '../shell/shell.js';
import { badge, bytes, duration, ident, raw, stamp, status, terms, their, time } from '../shell/format.js';
import { choiceFilter, curlButton, empty, textFilter } from './parts.js';

const running = (/** @type {any} */ e) => ['starting', 'active', 'recording', 'ending'].includes(e.status);

export function recordings() {
  const q = '?project_id=' + projectId.peek(), open = param('open'), state = param('status'), room = param('room_name');
  const l = list({
    label: m.nav.recordings, every: 10, load: (cursor, stop) => get('/v1/media/egress', { ...ofThis(), status: state(), room_name: room(), limit: 50, cursor }, { signal: stop }), to: (e) => href(withQuery({ open: e.id })),
    columns: [{ label: m.room, cell: (e) => their(e.room_name || e.url) }, { label: m.type, cell: (e) => badge(e.type) }, { label: m.state_, cell: (e) => status(e.status) }, { label: m.started, cell: (e) => time(e.started_at) }, { label: m.durationWord, number: true, cell: (e) => duration(e.duration_seconds) },
      { label: m.outputs, cell: (e) => (e.outputs ?? []).map((/** @type {any} */ o) => [badge(o.kind), ' ']), wide: true }, { label: m.size, number: true, wide: true, cell: (e) => bytes((e.results ?? []).reduce((/** @type {number|null} */ n, /** @type {any} */ r) => r.size_bytes ? (n ?? 0) + r.size_bytes : n, null)) }, { label: 'id', cell: (e) => ident(e.id), wide: true }],
    empty: () => empty(m.noRecordings, h('a', { class: 'button primary', href: href(inProject('/rooms')) }, m.toRooms), `curl -X POST "$PULSE/v1/media/egress/start?project_id=${projectId.peek()}" -H "Authorization: Bearer $ACCESS" \\\n  -H 'Content-Type: application/json' -d '{"room_name":"standup","type":"room_composite","outputs":[{"kind":"file"}]}'`),
  });
  const stop = (/** @type {any} */ e) => confirm({ title: m.stopRecording, verb: m.stopRecording, consequences: h('p', null, m.stopConsequences), act: async () => { await post('/v1/media/egress/stop' + q, { egress_id: e.id }); toast(m.recordingStopped); open.set(''); l.reload(); } });
  const start = () => dialog(m.startRecording, (close) => form({ fields: [{ name: 'room_name', label: m.room, required: true, value: here.peek().query.get('room_name') ?? '' }, { name: 'type', label: m.type, type: 'select', options: [['room_composite', m.egressTypes.room], ['participant', m.egressTypes.participant]] }, { name: 'participant_identity', label: m.identity, hint: m.forParticipant, parse: (v) => v || undefined },
    { name: 'outputs', label: m.outputs, type: 'select', options: [['file', m.outputKinds.file], ['hls', m.outputKinds.hls], ['rtmp', m.outputKinds.rtmp]], parse: (v) => v }, { name: 'rtmp', label: m.rtmpURL, hint: m.rtmpHint, parse: (v) => v || undefined }],
  submit: m.startRecording, cancel: close, send: async ({ outputs, rtmp, ...v }) => { await post('/v1/media/egress/start' + q, { ...v, outputs: [outputs === 'rtmp' ? { kind: 'rtmp', urls: [rtmp] } : { kind: outputs }] }); close(); toast(m.recordingStarted); l.reload(); } }));
  drawer(open, open, (id) => ({ title: m.recording, body: () => { const r = resource(() => get('/v1/media/egress/' + encodeURIComponent(id), ofThis()), { every: 5 }); return show(r, (e) => [terms([['id', ident(e.id)], [m.room, their(e.room_name)], [m.type, badge(e.type)], [m.state_, status(e.status)], [m.started, stamp(e.started_at)], [m.ended, stamp(e.ended_at)], [m.durationWord, duration(e.duration_seconds)], e.error && [m.error, h('span', { class: 'bad' }, e.error)]]),
    h('h3', null, m.results), (e.results ?? []).length ? h('ul', { class: 'plain' }, e.results.map((/** @type {any} */ x) => h('li', null, badge(x.kind), ' ', x.url ? h('a', { href: /^https?:/.test(x.url) ? x.url : null, rel: 'noopener noreferrer', target: '_blank' }, x.path ?? x.playlist ?? x.url) : h('span', { class: 'mono' }, x.path ?? x.playlist ?? '–'), ' ', h('span', { class: 'hint' }, bytes(x.size_bytes), ' · ', duration(x.duration_seconds))))) : h('p', { class: 'hint' }, m.noResults),
    h('div', { class: 'actions' }, running(e) && button('egress.write', m.stopRecording, () => stop(e), 'danger'), curlButton('GET', `/v1/media/egress/${id}${q}`)), raw(e)]); } }));
  return [head(m.nav.recordings, [curlButton('GET', '/v1/media/egress' + q), button('egress.write', m.startRecording, start, 'primary', 'record')]),
    h('div', { class: 'filters' }, textFilter('room_name', m.room), choiceFilter('status', m.state_, [['', m.any], ['active', m.state('active')], ['complete', m.state('complete')], ['failed', m.state('failed')], ['aborted', m.state('aborted')]])), l.node];
}
