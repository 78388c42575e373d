// Reads the few of LiveKit's signalling messages (livekit_rtc.proto) that arrive before the server knows that this
// client speaks JSON. The result has the shape of their JSON form.
// @ts-check

/** The fields of a message: number, and a number or bytes. @param {Uint8Array} bytes @returns {Generator<[number, number|Uint8Array]>} */
export function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0, factor = 1;
    for (;;) {
      if (at >= bytes.length || factor > 2 ** 63) throw new Error('a truncated message');
      const b = bytes[at++];
      value += (b & 127) * factor;
      if (b < 128) return value;
      factor *= 128;
    }
  };
  while (at < bytes.length) {
    const tag = varint(), wire = tag % 8, number = Math.floor(tag / 8);
    if (wire === 0) yield [number, varint()];
    else if (wire === 2) {
      const length = varint();
      if (at + length > bytes.length) throw new Error('a truncated message');
      yield [number, bytes.subarray(at, at += length)];
    } else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else throw new Error('an unknown wire type');
  }
}

const utf8 = new TextDecoder();
const kinds = ['AUDIO', 'VIDEO', 'DATA'];
const sources = ['UNKNOWN', 'CAMERA', 'MICROPHONE', 'SCREEN_SHARE', 'SCREEN_SHARE_AUDIO'];
const states = ['JOINING', 'JOINED', 'ACTIVE', 'DISCONNECTED'];
const text = (/** @type {any} */ v) => utf8.decode(v);

/** A reader of a message: what each field number means. `[]` behind a name: it repeats.
 * @param {Record<number, [string, (v: any) => any]>} table @returns {(bytes: Uint8Array) => any} */
const message = (table) => (bytes) => {
  /** @type {any} */
  const out = {};
  for (const [number, value] of fields(bytes)) {
    const known = table[number];
    if (!known) continue;
    const [name, read] = known;
    if (name.endsWith('[]')) (out[name.slice(0, -2)] ??= []).push(read(value)); else out[name] = read(value);
  }
  return out;
};

const track = message({ 1: ['sid', text], 2: ['type', (v) => kinds[v]], 3: ['name', text], 4: ['muted', Boolean], 9: ['source', (v) => sources[v]] });
const participant = message({ 1: ['sid', text], 2: ['identity', text], 3: ['state', (v) => states[v]], 4: ['tracks[]', track], 9: ['name', text] });
const description = message({ 1: ['type', text], 2: ['sdp', text], 3: ['id', Number] });
const ice = message({ 1: ['urls[]', text], 2: ['username', text], 3: ['credential', text] });
const room = message({ 1: ['sid', text], 2: ['name', text] });
/** A SignalResponse. */
export const response = message({
  1: ['join', message({ 1: ['room', room], 2: ['participant', participant], 3: ['otherParticipants[]', participant], 5: ['iceServers[]', ice], 6: ['subscriberPrimary', Boolean], 10: ['pingTimeout', Number], 11: ['pingInterval', Number] })],
  2: ['answer', description], 3: ['offer', description],
  4: ['trickle', message({ 1: ['candidateInit', text], 2: ['target', (v) => v === 1 ? 'SUBSCRIBER' : 'PUBLISHER'] })],
  5: ['update', message({ 1: ['participants[]', participant] })], 6: ['trackPublished', message({ 1: ['cid', text], 2: ['track', track] })], 8: ['leave', message({ 2: ['reason', String] })],
});
