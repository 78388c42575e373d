// Events of a day, signed as LiveKit signs them: what screens look like with something on them.
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { BASE, api, tenant } from './lib.mjs';

const KEY = process.env.PULSE_LIVEKIT_KEY, SECRET = process.env.PULSE_LIVEKIT_SECRET;
const b64 = (v) => Buffer.from(v).toString('base64url');

/** Posts one event, or a text that is none, to the installation. */
export async function event(body) {
  const text = typeof body === 'string' ? body : JSON.stringify(body), now = Math.floor(Date.now() / 1000);
  const claims = `${b64(JSON.stringify({ alg: 'HS256', typ: 'JWT' }))}.${b64(JSON.stringify({ iss: KEY, nbf: now - 5, exp: now + 300, sha256: createHash('sha256').update(text).digest('base64') }))}`;
  const answer = await fetch(BASE + '/v1/webhooks/livekit', { method: 'POST', body: text, headers: { 'content-type': 'application/webhook+json', authorization: `${claims}.${createHmac('sha256', SECRET).update(claims).digest('base64url')}` } });
  if (!answer.ok) throw new Error(`event: ${answer.status} ${await answer.text()}`);
}

let serial = 0;
export const id = (prefix) => prefix + randomBytes(5).toString('hex') + (serial++).toString(36).padStart(4, '0');

/** A room with people who came and, mostly, left. Times are seconds. */
export async function call(project, name, began, people, ended) {
  const room = { sid: id('RM_'), name: `${project}_${name}`, creationTime: String(began), emptyTimeout: 300 };
  const at = (event_, when, more = {}) => event({ event: event_, id: id('EV_'), createdAt: String(when), room, ...more });
  await at('room_started', began);
  for (const [identity, from, to] of people) {
    const participant = { sid: id('PA_'), identity, name: identity, state: 'ACTIVE', joinedAt: String(from), joinedAtMs: String(from * 1000), kind: 'STANDARD' };
    await at('participant_joined', from, { participant });
    if (to) await at('participant_left', to, { participant: { ...participant, state: 'DISCONNECTED', disconnectReason: 'CLIENT_INITIATED' } });
  }
  if (ended) await at('room_finished', ended);
}

/** A room in which n people are: n sessions, of an hour until now. */
export async function crowd(project, name, n) {
  const began = Math.floor(Date.now() / 1000) - 3600, room = { sid: id('RM_'), name: `${project}_${name}`, creationTime: String(began), emptyTimeout: 300 };
  await event({ event: 'room_started', id: id('EV_'), createdAt: String(began), room });
  let next = 0;
  await Promise.all(Array.from({ length: 24 }, async () => {
    for (let i; (i = next++) < n;) {
      const at = began + Math.floor(i * 3500 / n);
      await event({ event: 'participant_joined', id: id('EV_'), createdAt: String(at), room, participant: { sid: id('PA_'), identity: 'p' + i, name: 'Participant ' + i, state: 'ACTIVE', joinedAt: String(at), joinedAtMs: String(at * 1000), kind: 'STANDARD' } });
    }
  }));
}

/** A tenant with a day of calls behind it and one going on. */
export async function seeded() {
  const t = await tenant('Northwind Health');
  await api('PATCH', '/v1/projects/' + t.project, { name: 'Consultations' }, t.access);
  const second = await api('POST', '/v1/projects', { name: 'Team meetings', region: 'eu-central' }, t.access);
  const third = await api('POST', '/v1/projects', { name: 'Staging' }, t.access);
  const now = Math.floor(Date.now() / 1000), names = ['dr-okafor', 'nurse-lin', 'ann', 'bob', 'carla', 'dmitri', 'elif', 'farid'];
  for (let hour = 22; hour >= 1; hour--) {
    const busy = 1 + Math.round(2.2 * (1 + Math.sin((hour + 3) / 3.4)));
    for (let n = 0; n < busy; n++) {
      const began = now - hour * 3600 + n * 290, people = [];
      for (let p = 0; p < 2 + (hour + n) % 4; p++) people.push([names[(p + hour) % names.length], began + 8 + p * 37, Math.min(now - 60, began + 900 + ((p * 397 + hour * 61 + n * 131) % 1700))]);
      // Somebody loses the connection and comes back.
      if (n === 0) people.push([people[0][0], people[0][2] + 40, Math.min(now - 30, people[0][2] + 300)]);
      await call(t.project, `visit-${String(410 - hour * 3 - n)}`, began, people, Math.min(now - 20, began + 2900));
    }
    if (hour % 3 === 0) await call(second.project.id, 'daily', now - hour * 3600, names.slice(0, 5).map((who, i) => [who, now - hour * 3600 + 5 + i * 11, now - hour * 3600 + 1500 + i * 60]), now - hour * 3600 + 1900);
  }
  await api('POST', `/v1/projects/${t.project}/keys`, { name: 'ci runner', scopes: ['tokens:create', 'rooms:read'], expires_at: new Date((now + 86400 * 60) * 1000).toISOString(), allowed_ips: ['203.0.113.0/24'] }, t.access);
  await api('POST', `/v1/projects/${t.project}/keys`, { name: 'usage export', scopes: ['usage:read'] }, t.access);
  await api('POST', '/v1/tokens/create', { room_name: 'visit-412', participant_identity: 'ann' }, t.key);
  for (const [email, role] of [['maria@northwind.example', 'admin'], ['sam@northwind.example', 'developer']]) {
    const made = await api('POST', `/v1/organizations/${t.org}/invitations`, { email: email.replace('@', `+${process.pid}@`), role }, t.access);
    if (role === 'admin') await api('POST', '/v1/invitations/accept', { token: made.accept_token, name: 'Maria Ortiz', password: 'correct horse battery' });
  }
  await api('PATCH', '/v1/auth/me', { name: 'Ann Weber' }, t.access);
  return { ...t, second: second.project.id, third: third.project.id };
}
