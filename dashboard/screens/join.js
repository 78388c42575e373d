// Joins a test room from the browser, to see and hear that the whole path works.
// @ts-check
import { h, signal, effect, onEnd } from '../kit/dom.js';
import { post } from '../kit/api.js';
import { here, href, param } from '../kit/router.js';
import { form } from '../kit/form.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { barred, inProject, me, projectId } from '../shell/session.js';
import { head } from '../shell/shell.js';
import { badge, status, their, count, terms } from '../shell/format.js';
import { join as enter } from '../rtc/room.js';

/** A token that the token lab hands over; it never stands in the URL. @type {any} */
let handed = null;
/** @param {any} token */
export const hand = (token) => { handed = token; };

export function join() {
  const token = handed, room = signal(/** @type {ReturnType<typeof enter>|null} */ (null)), said = signal(/** @type {any} */ (null)), info = signal(/** @type {any} */ (token)), picture = signal(/** @type {MediaStream|null} */ (null));
  handed = null;
  onEnd(() => room.peek()?.leave());
  /** @param {any} t @param {string} media */
  const begin = async (t, media) => {
    said.set(null);
    /** @type {MediaStream|null} */
    let stream = null;
    if (media !== 'none') {
      try {
        if (!navigator.mediaDevices) throw new Error(m.needsHTTPS);
        stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: media === 'camera' ? { width: 640, height: 360 } : false });
      } catch (e) { said.set(h('p', { class: 'note', role: 'alert' }, m.noDevice, ' ', e instanceof Error ? e.message : '')); return; }
    }
    info.set(t);
    const r = enter(t.server_url, t.participant_token);
    room.set(r);
    picture.set(stream);
    if (stream) effect(() => { if (r.state() === 'live') for (const track of /** @type {MediaStream} */ (stream).getTracks()) r.publish(track).catch((e) => said.set(h('p', { class: 'note', role: 'alert' }, String(e.message)))); });
  };
  const media = { name: 'media', label: m.media, type: /** @type {'select'} */ ('select'), value: 'camera', options: /** @type {[string, string][]} */ ([['camera', m.cameraAndMic], ['microphone', m.micOnly], ['none', m.receiveOnly]]) };
  const ask = () => form(token ? { fields: [media], submit: m.join, send: (v) => begin(token, v.media) } : {
    fields: [{ name: 'room_name', label: m.room, required: true, value: here.peek().query.get('room') ?? 'test-room' }, { name: 'participant_identity', label: m.identity, value: here.peek().query.get('identity') ?? (me.peek()?.user?.name ?? 'operator'), required: true }, media],
    submit: m.join, disabled: barred('tokens.create'), send: async ({ media: want, ...v }) => begin(await post('/v1/tokens/create?project_id=' + projectId.peek(), v), want) });
  const back = param('room');
  return [
    () => head(m.joinTestRoom, [room() && room()?.state() !== 'ended' && h('button', { type: 'button', class: 'button danger', onclick: () => room.peek()?.leave() }, m.leave)], m.joinUnder),
    () => said(),
    () => {
      const r = room();
      if (!r) return h('div', { class: 'narrow' }, token && terms([[m.room, their(token.room_name)], [m.identity, their(token.participant_identity)]]), ask());
      return [
        h('p', { class: 'actions' }, h('span', { class: 'strong' }, their(info.peek()?.room_name)), () => r.state() === 'live' ? status('live', m.inRoom) : r.state() === 'ended' ? status('ended', m.endedBecause(m.leaveReasons[r.reason()] ?? r.reason())) : status('waiting', m.connecting), ' ', h('span', { class: 'hint num' }, () => `↓ ${count(Math.round(r.rates().in / 1000))} kbit/s ↑ ${count(Math.round(r.rates().out / 1000))} kbit/s`)),
        () => r.state() === 'ended' && h('div', { class: 'actions' }, h('button', { type: 'button', class: 'button primary', onclick: () => { room.set(null); } }, m.again), h('a', { class: 'button', href: href(inProject('/sessions?room_name=' + encodeURIComponent(info.peek()?.room_name ?? back.peek()))) }, m.itsSessions)),
        h('div', { class: 'tiles' }, () => r.state() !== 'ended' && tile(info.peek()?.participant_identity ?? '', picture() ? [/** @type {MediaStream} */ (picture())] : [], true), () => r.state() !== 'ended' && r.people().map((p) => tile(p.identity, [...p.streams.values()], false, p.tracks.some((t) => t.type === 'AUDIO' && t.muted)))),
      ];
    },
  ];
}

/** One participant. @param {string} name @param {MediaStream[]} streams @param {boolean} [self] @param {boolean} [muted] */
function tile(name, streams, self = false, muted = false) {
  const video = streams.find((s) => s.getVideoTracks().length), rest = streams.filter((s) => s !== video && s.getAudioTracks().length);
  return h('figure', { class: 'tile', 'data-identity': name }, video ? h('video', { autoplay: true, playsinline: true, muted: self, srcObject: video, 'aria-label': name }) : h('div', { class: 'no-picture' }, icon('people')),
    !self && rest.map((s) => h('audio', { autoplay: true, srcObject: s })), h('figcaption', null, their(name), self && badge(m.you), muted && badge(m.state('muted'))));
}
