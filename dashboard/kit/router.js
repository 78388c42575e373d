// The URL is the state: paths choose screens, the query holds filters, ranges and the open drawer.
// @ts-check
import { signal, effect, onEnd, root, untracked, append } from './dom.js';

export const BASE = '/dashboard';

/** @typedef {{path: string, query: URLSearchParams}} Location */
/** @returns {Location} */
const read = () => ({ path: location.pathname.replace(/^\/dashboard\/?/, '/').replace(/(.)\/$/, '$1'), query: new URLSearchParams(location.search) });

/** Where we are. */
export const here = signal(read());
/** The path alone: changes when the screen does. */
export const path = signal(here.peek().path);

function moved() {
  here.set(read());
  path.set(here.peek().path);
}
addEventListener('popstate', moved);

/** @param {string} to a path inside the dashboard, with a query @param {{replace?: boolean}} [o] */
export function go(to, o = {}) {
  const url = BASE + to;
  if (url === location.pathname + location.search) return;
  history[o.replace ? 'replaceState' : 'pushState'](null, '', url);
  const before = path.peek();
  moved();
  if (path.peek() !== before) scrollTo(0, 0);
}

/** The address of a path inside, for href. @param {string} to */
export const href = (to) => BASE + to;

/** Follows links inside without loading the page. */
document.addEventListener('click', (e) => {
  if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
  const a = /** @type {HTMLAnchorElement|null} */ (/** @type {Element} */ (e.target).closest?.('a[href]'));
  if (!a || a.target || a.hasAttribute('download') || a.origin !== location.origin || !(a.pathname + '/').startsWith(BASE + '/') || a.hash && a.pathname === location.pathname) return;
  e.preventDefault();
  go(a.pathname.slice(BASE.length) + a.search);
});

/** The query of this screen, which hears nothing of the next one's. @returns {import('./dom.js').Signal<URLSearchParams>} */
export function query() {
  const own = here.peek().path, value = signal(here.peek().query);
  effect(() => { const at = here(); if (at.path === own) value.set(at.query); });
  return value;
}

/** One parameter of the query as a signal that can be set. @param {string} name @param {string} [otherwise] */
export function param(name, otherwise = '') {
  const own = here.peek().path, all = query(), value = signal(all.peek().get(name) ?? otherwise);
  effect(() => value.set(all().get(name) ?? otherwise));
  return Object.assign(() => value(), {
    peek: value.peek,
    /** @param {string} next @param {{replace?: boolean}} [o] */
    set(next, o = {}) { if (here.peek().path === own) setQuery({ [name]: next === otherwise ? '' : next }, o); },
  });
}

/** @param {Record<string, string>} changes @param {{replace?: boolean}} [o] */
export function setQuery(changes, o = {}) { go(withQuery(changes), o); }

/** This path with some parameters changed, '' takes one away. @param {Record<string, string>} changes */
export function withQuery(changes) {
  const q = new URLSearchParams(location.search);
  for (const [k, v] of Object.entries(changes)) v === '' ? q.delete(k) : q.set(k, v);
  const text = q.toString();
  return path.peek() + (text ? '?' + text : '');
}

/** Matches `/p/:project/rooms` against a path. @param {string} pattern @param {string} at @returns {Record<string, string>|null} */
export function match(pattern, at) {
  const want = pattern.split('/'), have = at.split('/');
  if (want.length !== have.length) return null;
  /** @type {Record<string, string>} */
  const params = {};
  for (let i = 0; i < want.length; i++) {
    if (want[i].startsWith(':')) {
      if (!have[i]) return null;
      try { params[want[i].slice(1)] = decodeURIComponent(have[i]); } catch { return null; }
    } else if (want[i] !== have[i]) return null;
  }
  return params;
}

/**
 * Shows the screen of the path in an element. A screen is made once for its path; the query it follows by itself.
 * @param {HTMLElement} into @param {(path: string) => Promise<(() => any)>|(() => any)} choose
 */
export function outlet(into, choose) {
  let turn = 0;
  /** @type {() => void} */
  let end = () => {};
  effect(() => {
    const at = path(), mine = ++turn;
    untracked(async () => {
      const make = await choose(at);
      if (mine !== turn) return;
      end();
      for (const left of document.querySelectorAll('dialog[open]:not(.stays)')) /** @type {HTMLDialogElement} */ (left).close();
      into.replaceChildren();
      root((stop) => { end = stop; append(into, make()); });
      into.dataset.path = at;
    });
  });
  onEnd(() => { turn++; end(); });
}
