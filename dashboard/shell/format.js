// Times, durations, sizes and counts as they are shown; an unknown is a dash, never 0.
// @ts-check
import { h, signal } from '../kit/dom.js';
import { copyable } from '../kit/load.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';

const DASH = '–';
/** @param {string} key @param {string} otherwise */
export const stored = (key, otherwise) => { try { return localStorage.getItem(key) ?? otherwise; } catch { return otherwise; } };
/** @param {string} key @param {string} value */
export const store = (key, value) => { try { localStorage.setItem(key, value); } catch { /* no storage */ } };

/** `local` or `utc`. */
export const zone = signal(stored('pulse.zone', 'local'));
/** The minute, for relative times. */
const now = signal(Date.now());
setInterval(() => now.set(Date.now()), 15_000);

/** The zone's name as the bar shows it. */
export const zoneName = () => zone() === 'utc' ? 'UTC' : Intl.DateTimeFormat(undefined, { timeZoneName: 'short' }).formatToParts(new Date()).find((p) => p.type === 'timeZoneName')?.value ?? m.localTime;

/** @param {Date} d */
function fields(d) {
  const at = zone() === 'utc' ? new Date(d) : new Date(d.getTime() - d.getTimezoneOffset() * 60_000);
  return at.toISOString();
}
/** `2026-11-27 14:02:11` in the chosen zone. @param {string|number|null|undefined} iso */
export function exact(iso) {
  if (iso === null || iso === undefined || iso === '') return DASH;
  const d = new Date(iso);
  return isNaN(d.getTime()) ? DASH : fields(d).slice(0, 19).replace('T', ' ');
}
/** @param {string|number} iso */
export const clock = (iso) => exact(iso).slice(11, 19);
/** @param {string|number} iso */
export const day = (iso) => exact(iso).slice(0, 10);

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'long' });
/** Relative within a day, the exact time on hover and focus. @param {string|null|undefined} iso @param {string} [none] */
export function time(iso, none = DASH) {
  if (!iso) return h('span', { class: 'muted' }, none);
  return h('time', { datetime: iso, title: () => exact(iso) + ' ' + zoneName() }, () => {
    const seconds = (Date.parse(iso) - now()) / 1000, away = Math.abs(seconds);
    if (away >= 86_400) return exact(iso);
    if (away < 45) return seconds > 10 ? m.soon : m.justNow;
    return away < 3600 ? relative.format(Math.round(seconds / 60), 'minute') : relative.format(Math.round(seconds / 3600), 'hour');
  });
}
/** The exact time, for logs. @param {string|null|undefined} iso */
export const stamp = (iso) => iso ? h('time', { datetime: iso, class: 'num', title: () => iso }, () => exact(iso)) : DASH;

const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
/** `29 m 04 s`. @param {number|null|undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || isNaN(seconds)) return DASH;
  const s = Math.round(seconds);
  if (s < 60) return seconds < 10 && seconds % 1 ? seconds.toFixed(1) + ' s' : s + ' s';
  if (s < 3600) return `${Math.floor(s / 60)} m ${two(s % 60)} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} m`;
  return `${Math.floor(s / 86_400)} d ${two(Math.floor(s / 3600) % 24)} h`;
}
const numbers = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });
/** @param {number|null|undefined} n */
export const count = (n) => n === null || n === undefined ? DASH : numbers.format(n);
/** @param {number|null|undefined} n */
export function bytes(n) {
  if (n === null || n === undefined) return DASH;
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let i = 0;
  while (n >= 1000 && i < 4) { n /= 1000; i++; }
  return (i ? n.toFixed(1) : n) + ' ' + units[i];
}
/** Seconds as a unit that fits the largest. @param {number} most */
export function secondsUnit(most) {
  if (most >= 7200) return { per: 3600, text: (/** @type {number} */ v) => count(v) + ' h' };
  if (most >= 120) return { per: 60, text: (/** @type {number} */ v) => count(v) + ' min' };
  return { per: 1, text: (/** @type {number} */ v) => count(v) + ' s' };
}

/** An id: shortened in the middle, copies on click. @param {string|null|undefined} text @param {string} [label] */
export const ident = (text, label) => text ? copyable(text, { short: true, label }) : DASH;

/** @type {Record<string, 'good'|'warn'|'bad'|'idle'|'live'>} */
const tones = {
  operational: 'good', ok: 'good', healthy: 'good', ready: 'good', delivered: 'good', complete: 'good', success: 'good', valid: 'good', enabled: 'good', active: 'good', publishing: 'live',
  live: 'live', open: 'live', recording: 'live', starting: 'warn', ending: 'warn', degraded: 'warn', retrying: 'warn', pending: 'warn', waiting: 'warn', expiring: 'warn', buffering: 'warn', warning: 'warn',
  down: 'bad', failed: 'bad', failure: 'bad', dead: 'bad', aborted: 'bad', limit_reached: 'bad', invalid: 'bad', suspended: 'bad', expired: 'bad', reached: 'bad', error: 'bad',
};
/** A dot and a word. @param {string} word @param {string} [shown] */
export const status = (word, shown) => h('span', { class: 'status ' + (tones[word] ?? 'idle') }, h('i', { 'aria-hidden': 'true' }), shown ?? m.state(word));
/** @param {any} text @param {string} [tone] */
export const badge = (text, tone = '') => h('span', { class: 'badge ' + tone }, text);
/** A text of somebody else's: its direction is its own. @param {string|null|undefined} text */
export const their = (text) => text ? h('bdi', { class: 'their', title: text }, text) : h('span', { class: 'muted' }, DASH);
/** A list of terms. @param {([string, any]|false|null|undefined|'')[]} rows */
export const terms = (rows) => h('dl', { class: 'terms' }, rows.filter((r) => !!r).map((r) => { const [k, v] = /** @type {[string, any]} */ (r); return [h('dt', null, k), h('dd', null, v)]; }));
/** @param {any} value */
export const raw = (value) => h('details', { class: 'raw' }, h('summary', null, m.rawJSON), code(JSON.stringify(value, null, 2)));
/** A block of code with a button that copies it. @param {string} text @param {string} [label] */
export const code = (text, label = m.copy) => h('div', { class: 'code' }, h('pre', { tabindex: 0 }, text), h('span', { class: 'code-copy' }, copyButton(text, label)));
/** @param {string} text @param {string} label @param {string} [kind] */
export function copyButton(text, label, kind = 'quiet') {
  const said = signal(false);
  return h('button', { type: 'button', class: 'button ' + kind, onclick: async () => { await (await import('../kit/load.js')).copy(text); said.set(true); setTimeout(() => said.set(false), 1500); } }, icon('copy'), () => said() ? m.copied : label);
}
