// A participant of a LiveKit room, for testing one: two peer connections and LiveKit's signalling in JSON.
// @ts-check
import { signal } from '../kit/dom.js';
import { response } from './protobuf.js';

/** @typedef {{sid: string, identity: string, name?: string, state?: string, tracks: {sid: string, source: string, type: string, muted?: boolean}[], streams: Map<string, MediaStream>}} Participant */

/** Joins a room. The signals it returns say what goes on in it.
 * @param {string} serverURL @param {string} token */
export function join(serverURL, token) {
  const state = signal(/** @type {'connecting'|'live'|'ended'} */ ('connecting')), reason = signal(''), people = signal(/** @type {Participant[]} */ ([])), local = signal(/** @type {Participant|null} */ (null));
  const rates = signal({ in: 0, out: 0 });
  /** @type {Map<string, Participant>} */
  const known = new Map();
  /** @type {Map<string, MediaStream>} */
  const early = new Map();
  /** @type {RTCPeerConnection|null} */ let publisher = null;
  /** @type {RTCPeerConnection|null} */ let subscriber = null;
  /** @type {Record<string, RTCIceCandidateInit[]>} */
  const held = { PUBLISHER: [], SUBSCRIBER: [] };
  /** @type {Map<string, (t: any) => void>} */
  const publishing = new Map();
  /** @type {Promise<any>} */
  let negotiating = Promise.resolve();
  let answered = () => {};
  /** @type {MediaStreamTrack[]} */
  const mine = [];
  /** @type {any} */ let ping;
  /** @type {any} */ let stats;

  const url = new URL(serverURL.replace(/^http/, 'ws').replace(/\/$/, '') + '/rtc');
  for (const [k, v] of Object.entries({ access_token: token, protocol: '12', auto_subscribe: '1', sdk: 'js', version: '2.0.0' })) url.searchParams.set(k, v);
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  const send = (/** @type {any} */ m) => { if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(m)); };
  // The first text tells the server to answer in JSON from then on.
  socket.onopen = () => send({ ping: Date.now() });
  socket.onmessage = (e) => handle(typeof e.data === 'string' ? JSON.parse(e.data) : response(new Uint8Array(e.data))).catch((err) => { console.warn(err); end('failed'); });
  socket.onclose = () => end(state.peek() === 'connecting' ? 'refused' : 'closed');

  /** @param {string} why */
  function end(why) {
    if (state.peek() === 'ended') return;
    reason.set(why);
    state.set('ended');
    clearInterval(ping); clearInterval(stats);
    for (const t of mine) t.stop();
    publisher?.close(); subscriber?.close();
    socket.close();
  }

  const show = () => people.set([...known.values()]);
  /** @param {any[]} list */
  function update(list) {
    for (const p of list) {
      if (p.sid === local.peek()?.sid) { local.set({ ...p, tracks: p.tracks ?? [], streams: new Map() }); continue; }
      if (p.state === 'DISCONNECTED') { known.delete(p.sid); continue; }
      const streams = known.get(p.sid)?.streams ?? new Map();
      for (const [sid, stream] of early) if (sid.startsWith(p.sid + '|')) { streams.set(sid.split('|')[1], stream); early.delete(sid); }
      known.set(p.sid, { ...p, tracks: p.tracks ?? [], streams });
    }
    show();
  }

  /** @param {any} m */
  async function handle(m) {
    if (m.join) {
      const config = { iceServers: (m.join.iceServers ?? []).map((/** @type {any} */ s) => ({ urls: s.urls ?? [], username: s.username, credential: s.credential })) };
      publisher = peer(config, 'PUBLISHER'); subscriber = peer(config, 'SUBSCRIBER');
      subscriber.ontrack = (e) => {
        const stream = e.streams[0] ?? new MediaStream([e.track]), [pa, tr] = stream.id.split('|'), p = known.get(pa);
        const shown = new MediaStream([e.track]);
        if (p) { p.streams.set(tr || e.track.id, shown); show(); } else early.set(`${pa}|${tr || e.track.id}`, shown);
      };
      local.set({ ...m.join.participant, tracks: [], streams: new Map() });
      update(m.join.otherParticipants ?? []);
      ping = setInterval(() => send({ ping: Date.now() }), (m.join.pingInterval || 5) * 1000);
      stats = setInterval(measure, 1000);
      state.set('live');
    } else if (m.offer) {
      await subscriber?.setRemoteDescription(m.offer);
      await flush('SUBSCRIBER');
      const answer = await subscriber?.createAnswer();
      await subscriber?.setLocalDescription(answer);
      send({ answer: { type: 'answer', sdp: answer?.sdp, id: m.offer.id } });
    } else if (m.answer) {
      await publisher?.setRemoteDescription(m.answer);
      await flush('PUBLISHER');
      answered();
    } else if (m.trickle) {
      const target = m.trickle.target === 'SUBSCRIBER' ? 'SUBSCRIBER' : 'PUBLISHER';
      if (m.trickle.candidateInit) held[target].push(JSON.parse(m.trickle.candidateInit));
      await flush(target);
    } else if (m.update) update(m.update.participants ?? []);
    else if (m.trackPublished) publishing.get(m.trackPublished.cid)?.(m.trackPublished.track);
    else if (m.leave) end(String(m.leave.reason ?? 'closed'));
    else if (m.mute) for (const t of mine) t.enabled = !m.mute.muted && t.enabled;
  }

  /** @param {RTCConfiguration} config @param {'PUBLISHER'|'SUBSCRIBER'} target */
  function peer(config, target) {
    const pc = new RTCPeerConnection(config);
    pc.onicecandidate = (e) => { if (e.candidate) send({ trickle: { candidateInit: JSON.stringify(e.candidate.toJSON()), target } }); };
    pc.onconnectionstatechange = () => { if (pc.connectionState === 'failed') end('media'); };
    return pc;
  }
  /** Candidates that came before the description wait for it. @param {'PUBLISHER'|'SUBSCRIBER'} target */
  async function flush(target) {
    const pc = target === 'PUBLISHER' ? publisher : subscriber;
    if (!pc?.remoteDescription) return;
    for (const c of held[target].splice(0)) await pc.addIceCandidate(c).catch(() => {});
  }

  /** Sends a camera's or microphone's track. @param {MediaStreamTrack} track */
  async function publish(track) {
    const video = track.kind === 'video', size = track.getSettings();
    mine.push(track);
    const accepted = new Promise((done, fail) => { publishing.set(track.id, done); setTimeout(() => fail(new Error('the server did not accept the track')), 10_000); });
    send({ addTrack: { cid: track.id, name: video ? 'camera' : 'microphone', type: video ? 'VIDEO' : 'AUDIO', source: video ? 'CAMERA' : 'MICROPHONE', ...(video ? { width: size.width ?? 640, height: size.height ?? 480 } : {}) } });
    await accepted;
    // One offer at a time: the next waits for the answer to this one.
    await (negotiating = negotiating.catch(() => {}).then(async () => {
      publisher?.addTransceiver(track, { direction: 'sendonly', streams: [new MediaStream([track])] });
      const offer = await publisher?.createOffer(), done = new Promise((resolve) => { answered = () => resolve(null); });
      await publisher?.setLocalDescription(offer);
      send({ offer: { type: 'offer', sdp: offer?.sdp } });
      await done;
    }));
  }

  let before = { in: 0, out: 0, at: 0 };
  /** Bits a second, in and out. */
  async function measure() {
    const sum = { in: 0, out: 0, at: performance.now() };
    for (const [pc, way] of /** @type {const} */ ([[subscriber, 'in'], [publisher, 'out']])) for (const s of (await pc?.getStats())?.values() ?? []) {
      if (s.type === 'inbound-rtp' && way === 'in') sum.in += s.bytesReceived ?? 0;
      if (s.type === 'outbound-rtp' && way === 'out') sum.out += s.bytesSent ?? 0;
    }
    if (before.at) { const seconds = (sum.at - before.at) / 1000; rates.set({ in: (sum.in - before.in) * 8 / seconds, out: (sum.out - before.out) * 8 / seconds }); }
    before = sum;
  }

  return { state, reason, people, local, rates, publish, leave: () => { send({ leave: { reason: 'CLIENT_INITIATED' } }); end('left'); } };
}
