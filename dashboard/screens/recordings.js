// Egresses: what is recorded or streamed out of rooms.
// @ts-check
import { h } from '../kit/dom.js';
import { get } from '../kit/api.js';
import { go, href, param, withQuery } from '../kit/router.js';
import { list, resource, show } from '../kit/load.js';
import { confirm, dialog, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { inProject, ofThis, projectId, refreshOverview } from '../shell/session.js';
import { head, button, drawer } from '../shell/shell.js';
import { badge, bytes, duration, ident, raw, stamp, status, terms, their, time } from '../shell/format.js';
import { calls, choiceFilter, curlButton, empty, lines, textFilter } from './parts.js';

/** @typedef {import('../api.js').Schemas} S */
const G = '/v1/media/egress';
const running = (/** @type {S['Egress']} */ e) => ['starting', 'active', 'ending'].includes(e.status);
/** The size of all its files, null while none is known. @param {S['Egress']} e */
const sizeOf = (e) => e.results.reduce((/** @type {number|null} */ n, r) => r.size_bytes ? (n ?? 0) + r.size_bytes : n, null);
const layouts = /** @type {[string, string][]} */ ([['grid', m.layouts.grid], ['speaker', m.layouts.speaker], ['single-speaker', m.layouts.single]]);

/** Asks what to record. @param {string} room @param {() => void} done */
export function startRecording(room, done) {
  dialog(m.startRecording, (close) => form({
    fields: [
      { name: 'room_name', label: m.room, required: true, value: room },
      { name: 'type', label: m.type, type: 'select', options: Object.entries(m.egressTypes).slice(0, 2) },
      { name: 'participant_identity', label: m.identity, required: true, when: (v) => v('type') === 'participant' },
      { name: 'layout', label: m.layout, type: 'select', options: layouts, when: (v) => v('type') === 'room_composite' },
      { name: 'kind', label: m.output, type: 'select', options: Object.entries(m.outputKinds) },
      { name: 'urls', label: m.rtmpURLs, type: 'textarea', required: true, secret: true, hint: m.rtmpHint, parse: lines, when: (v) => v('kind') === 'rtmp' },
      { name: 'audio_only', label: m.audioOnly, type: 'checkbox', parse: (v) => v || undefined, when: (v) => v('type') === 'room_composite' },
    ],
    submit: m.startRecording, cancel: close,
    request: ({ kind, urls, ...v }) => ['POST', `${G}/start?project_id=${projectId.peek()}`, { ...v, outputs: [{ kind, ...(urls ? { urls } : {}) }] }],
    done: (/** @type {S['Egress']} */ e) => { close(); toast(m.recordingStarted); refreshOverview(); done(); go(inProject('/recordings?open=' + e.id)); },
  }));
}

export function recordings() {
  const q = '?project_id=' + projectId.peek(), open = param('open'), state = param('status'), room = param('room_name');
  const l = list({
    label: m.nav.recordings, every: 10, to: (e) => href(withQuery({ open: e.id })),
    load: (cursor, stop) => get(G, { ...ofThis(), status: state(), room_name: room(), limit: 50, cursor }, { signal: stop }),
    columns: [
      { label: m.room, cell: (e) => their(e.room_name || e.url) }, { label: m.type, cell: (e) => [m.egressTypes[e.type] ?? e.type, e.automatic && [' ', badge(m.automatic)]], wide: true }, { label: m.state_, cell: (e) => status(e.status) },
      { label: m.started, cell: (e) => time(e.started_at ?? e.created_at) }, { label: m.durationWord, number: true, cell: (e) => e.started_at ? duration(e.duration_seconds) : '–' },
      { label: m.outputs, cell: (e) => e.outputs.map((/** @type {any} */ o) => [badge(m.outputKinds[o.kind] ?? o.kind), ' ']), wide: true }, { label: m.size, number: true, cell: (e) => bytes(sizeOf(e)) }],
    empty: () => state() || room() ? h('p', null, m.noneMatches)
      : empty(m.noRecordings, h('a', { class: 'button primary', href: href(inProject('/rooms')) }, m.toRooms), ['POST', `${G}/start${q}`, { room_name: 'standup', type: 'room_composite', outputs: [{ kind: 'file' }] }]),
  });

  drawer(open, open, (id) => ({ title: m.recording, body: () => {
    const at = `${G}/${encodeURIComponent(id)}`, r = resource(() => get(at, ofThis()), { every: 5 });
    const changed = () => { r.reload(); l.reload(); refreshOverview(); };
    const stop = () => confirm({ title: m.stopRecording, verb: m.stopRecording, consequences: h('p', null, m.stopConsequences), request: () => ['POST', `${G}/stop${q}`, { egress_id: id }], done: () => { toast(m.recordingStopped); changed(); } });
    const edit = (/** @type {S['Egress']} */ e) => dialog(m.edit, (close) => form({
      fields: [
        e.type === 'room_composite' && { name: 'layout', label: m.layout, type: 'select', options: layouts, value: e.layout, parse: (v) => v === e.layout ? undefined : v },
        e.outputs.some((o) => o.kind === 'rtmp') && { name: 'add_urls', label: m.addURLs, type: 'textarea', secret: true, parse: (v) => lines(v).length ? lines(v) : undefined },
      ],
      submit: m.save, cancel: close, request: (v) => ['PATCH', at + q, v], done: () => { close(); toast(m.saved); changed(); },
    }));
    return show(r, (/** @type {S['Egress']} */ e) => [
      e.error && h('p', { class: 'note bad', role: 'status' }, icon('warning'), h('span', { class: 'grow' }, their(e.error))),
      terms([
        [m.state_, status(e.status)], e.room_name && [m.room, h('a', { href: href(inProject('/rooms/' + encodeURIComponent(e.room_name))) }, their(e.room_name))], e.url && ['URL', their(e.url)],
        e.participant_identity && [m.identity, their(e.participant_identity)], [m.type, [m.egressTypes[e.type] ?? e.type, e.automatic && [' ', badge(m.automatic)]]], e.layout && [m.layout, e.layout],
        [m.started, e.started_at ? stamp(e.started_at) : m.notYet], [m.ended, e.ended_at ? stamp(e.ended_at) : running(e) ? m.notYet : '–'], [m.durationWord, e.started_at ? duration(e.duration_seconds) : '–'], ['id', ident(e.id)]]),
      h('div', { class: 'actions' }, running(e) && button('egress.write', m.stopRecording, stop, 'danger'), e.status === 'active' && (e.type === 'room_composite' || e.outputs.some((o) => o.kind === 'rtmp')) && button('egress.write', m.edit, () => edit(e)),
        e.room_name && h('a', { class: 'button', href: href(inProject('/sessions?subject=egress&range=all&room_name=' + encodeURIComponent(e.room_name))) }, m.itsSessions),
        calls([[m.read, 'GET', at + q], [m.stopRecording, 'POST', `${G}/stop${q}`, { egress_id: id }]])),
      h('h3', null, m.outputs), h('ul', { class: 'plain' }, e.outputs.map((o) => h('li', null, badge(m.outputKinds[o.kind] ?? o.kind), ' ', h('span', { class: 'mono' }, their(o.path ?? (o.urls ?? []).join(' ')))))),
      h('h3', null, m.files), e.results.length === 0 ? h('p', { class: 'hint' }, running(e) ? m.noResults : m.nothingWritten) : h('ul', { class: 'plain' }, e.results.map(result)), raw(e)]);
  } }));

  const statuses = ['starting', 'active', 'ending', 'complete', 'failed', 'aborted', 'limit_reached'];
  return [
    head(m.nav.recordings, [curlButton('GET', G + q), button('egress.write', m.startRecording, () => startRecording(room.peek(), l.reload), 'primary', 'record')], m.recordingsUnder),
    h('div', { class: 'filters' }, textFilter('room_name', m.room), choiceFilter('status', m.state_, [['', m.any], ...statuses.map((s) => /** @type {[string, string]} */ ([s, m.state(s)]))])), l.node];
}

/** A file that was written. @param {S['EgressResult']} x */
const result = (x) => h('li', null, h('div', null, badge(m.outputKinds[x.kind] ?? x.kind), ' ',
  x.url && /^https?:/.test(x.url) ? h('a', { href: x.url, rel: 'noopener noreferrer', target: '_blank' }, their(x.playlist ?? x.path)) : h('span', { class: 'mono' }, their(x.playlist ?? x.path))),
h('span', { class: 'hint num' }, bytes(x.size_bytes), ' · ', duration(x.duration_seconds)), x.error && h('p', { class: 'bad' }, x.error));
