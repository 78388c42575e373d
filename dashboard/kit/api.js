// The client of /v1: credentials, refresh, problems, retries. The access token lives in this module's variable only;
// the refresh token in a cookie that scripts cannot read.
// @ts-check
import { signal } from './dom.js';

/** What went wrong with a call. `status` 0: the server did not answer. */
export class Problem extends Error {
  /** @param {number} status @param {any} body @param {{retryAfter?: number, requestId?: string}} [more] */
  constructor(status, body, more = {}) {
    super(body?.detail || body?.error || '');
    this.status = status;
    /** @type {string} */ this.code = body?.code ?? (status === 0 ? 'unreachable' : 'http_' + status);
    /** @type {string} */ this.requestId = body?.request_id ?? more.requestId ?? '';
    /** @type {{location: string, message: string}[]} */ this.errors = body?.errors ?? [];
    this.retryAfter = more.retryAfter ?? 0;
    this.body = body ?? {};
  }
}

/** `ok`, `unreachable` while the server does not answer, `limited` while it wants to be left alone. */
export const link = signal(/** @type {'ok'|'unreachable'|'limited'} */ ('ok'));
/** Grows when the server answers again: failed reads try again. */
export const revived = signal(0);
/** Whether somebody is logged in; null until that is known. */
export const signedIn = signal(/** @type {boolean|null} */ (null));
/** Why the last session ended: `expired`, `elsewhere`, `` by choice. */
export const endedBy = signal('');

let access = '';
let accessEnds = 0;
const tabs = typeof BroadcastChannel === 'function' ? new BroadcastChannel('pulse.session') : null;
if (tabs) tabs.onmessage = ({ data }) => {
  if (data.out) { access = ''; endedBy.set('elsewhere'); signedIn.set(false); }
  // Another person logged in here: what is on screen is not theirs.
  else if (data.in) { if (signedIn.peek()) location.reload(); }
  else if (data.access && access) { access = data.access; accessEnds = data.ends; }
};

const HINT = 'pulse.session'; // says that there may be a cookie; no secret
const hint = {
  get() { try { return localStorage.getItem(HINT) !== null; } catch { return true; } },
  /** @param {boolean} on */
  set(on) { try { on ? localStorage.setItem(HINT, '1') : localStorage.removeItem(HINT); } catch { /* no storage */ } },
};

/** Takes the session of a login. @param {{access_token: string, expires_in: number}} session @param {boolean} [fresh] */
export function begin(session, fresh = true) {
  access = session.access_token;
  accessEnds = Date.now() + (session.expires_in - 30) * 1000;
  hint.set(true);
  if (fresh) { tabs?.postMessage({ in: true }); endedBy.set(''); signedIn.set(true); } else tabs?.postMessage({ access, ends: accessEnds });
}

/** @param {string} why */
function end(why) {
  access = '';
  hint.set(false);
  endedBy.set(why);
  signedIn.set(false);
}

/** Ends the session on the server and in every tab. */
export async function logout() {
  await send('POST', '/v1/auth/logout', { headers: { 'X-Pulse-Request': '1' } }).catch(() => {});
  tabs?.postMessage({ out: true });
  end('');
}

/** @type {Promise<boolean>|null} */
let refreshing = null;
/** A new access token by the cookie; one tab at a time, so that no token is used twice. @returns {Promise<boolean>} */
function refresh() {
  const stale = access;
  const work = async () => {
    if (access && access !== stale) return true; // another tab was quicker
    try {
      const answer = await send('POST', '/v1/auth/refresh', { headers: { 'X-Pulse-Request': '1' } });
      begin(answer.session, false);
      return true;
    } catch (e) {
      if (e instanceof Problem && e.status >= 400 && e.status < 500 && e.status !== 429) { end(stale ? 'expired' : ''); return false; }
      throw e;
    }
  };
  refreshing ??= (navigator.locks ? navigator.locks.request('pulse.refresh', work) : work()).finally(() => { refreshing = null; });
  return refreshing;
}

/** Finds out whether somebody is logged in. */
export async function resume() {
  if (!hint.get()) { signedIn.set(false); return; }
  if (await refresh()) signedIn.set(true);
}

/** The access token, refreshed when it is about to end. */
export async function credential() {
  if (signedIn.peek() && Date.now() > accessEnds) await refresh();
  return access;
}

/** @param {string} method @param {string} path @param {{body?: any, headers?: Record<string, string>, signal?: AbortSignal, raw?: boolean}} [o] @returns {Promise<any>} */
async function send(method, path, o = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: 'application/json', ...o.headers };
  if (access && !headers.Authorization) headers.Authorization = 'Bearer ' + access;
  if (o.body !== undefined) headers['Content-Type'] = 'application/json';
  /** @type {Response} */
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: o.body === undefined ? undefined : JSON.stringify(o.body), signal: o.signal, cache: 'no-store', credentials: 'same-origin', redirect: 'error' });
  } catch (e) {
    if (o.signal?.aborted) throw e;
    link.set('unreachable');
    watch();
    throw new Problem(0, null);
  }
  if (link.peek() !== 'ok' && answer.status !== 429 && answer.status !== 503) { link.set('ok'); revived.update((n) => n + 1); }
  if (o.raw && answer.ok) return answer;
  const text = await answer.text();
  let data = null;
  try { data = text ? JSON.parse(text) : null; } catch { /* a proxy's page */ }
  if (answer.ok) return data;
  throw new Problem(answer.status, data, { retryAfter: Number(answer.headers.get('Retry-After')) || 0, requestId: answer.headers.get('X-Request-Id') ?? '' });
}

/** Something else than a call did not get an answer. */
export function suspect() { link.set('unreachable'); watch(); }

let watching = false;
/** Asks until the server answers again. */
function watch() {
  if (watching) return;
  watching = true;
  const again = () => fetch('/health', { cache: 'no-store' }).then((a) => {
    if (!a.ok) throw a;
    watching = false;
    link.set('ok');
    revived.update((n) => n + 1);
  }).catch(() => setTimeout(again, 2000));
  setTimeout(again, 1500);
}

/** @param {number} ms */
export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/**
 * Calls /v1. Reads are tried three times when the server is busy or away; writes carry an Idempotency-Key when they
 * make something, so that they could be sent again.
 * @param {string} method @param {string} path @param {any} [body] @param {{signal?: AbortSignal, raw?: boolean, headers?: Record<string, string>}} [o] @returns {Promise<any>}
 */
export async function call(method, path, body, o = {}) {
  const headers = { ...o.headers };
  if (method === 'POST' && body !== undefined && !/\/auth\//.test(path)) headers['Idempotency-Key'] = newKey();
  for (let attempt = 0; ; attempt++) {
    await credential();
    const used = access;
    try {
      const answer = await send(method, path, { ...o, body, headers });
      if (link.peek() === 'limited') link.set('ok');
      return answer;
    } catch (e) {
      if (!(e instanceof Problem)) throw e;
      if (e.status === 401 && used && attempt === 0 && !path.startsWith('/v1/auth/password') && await refresh()) continue;
      const busy = e.status === 0 || e.status === 429 || e.status === 502 || e.status === 503 || e.status === 504;
      if (e.status === 429) { link.set('limited'); setTimeout(() => { if (link.peek() === 'limited') { link.set('ok'); revived.update((n) => n + 1); } }, Math.min(60, e.retryAfter || 5) * 1000); }
      if (method !== 'GET' || !busy || attempt >= 2 || e.retryAfter > 5) throw e;
      await pause(Math.max(e.retryAfter * 1000, 300 * 2 ** attempt));
    }
  }
}

/** @param {string} path @param {Record<string, any>} [query] @param {{signal?: AbortSignal}} [o] */
export const get = (path, query, o) => call('GET', path + search(query), undefined, o);
/** @param {string} path @param {any} [body] */
export const post = (path, body) => call('POST', path, body);
/** @param {string} path @param {any} [body] */
export const patch = (path, body) => call('PATCH', path, body);
/** @param {string} path */
export const remove = (path) => call('DELETE', path);

/** A query string; empty values are left out. @param {Record<string, any>} [query] */
export function search(query) {
  const params = new URLSearchParams();
  for (const [k, v] of Object.entries(query ?? {})) if (v !== '' && v !== null && v !== undefined && v !== false) params.set(k, String(v));
  const text = params.toString();
  return text ? '?' + text : '';
}

/** A random name; crypto.randomUUID exists in secure contexts only. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');
}

/** The command line's equivalent, without a credential. @param {string} method @param {string} path @param {any} [body] */
export function curl(method, path, body) {
  const quote = (/** @type {string} */ s) => "'" + s.replaceAll("'", "'\\''") + "'";
  let out = `curl ${method === 'GET' ? '' : '-X ' + method + ' '}"$PULSE"${quote(path)} -H "Authorization: Bearer $ACCESS"`;
  if (body !== undefined) out += ` \\\n  -H 'Content-Type: application/json' -d ${quote(JSON.stringify(body))}`;
  return out;
}
