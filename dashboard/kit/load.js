// What is loaded: skeletons, failures that say what happened, tables that page.
// @ts-check
import { h, signal, effect, onEnd, untracked } from './dom.js';
import { Problem, revived, signedIn } from './api.js';
import { m } from '../messages.js';
import { icon } from './icons.js';

/**
 * Something from the server. `load` is followed: it loads again when what it read before its first await changes, when
 * reload is called and when the server is back.
 * @template T @param {(stop: AbortSignal) => Promise<T>} load @param {{every?: number}} [o] seconds between silent reloads
 */
export function resource(load, o = {}) {
  const data = signal(/** @type {T|undefined} */ (undefined)), error = signal(/** @type {any} */ (null)), busy = signal(false);
  const turn = signal(0);
  /** @type {AbortController|undefined} */
  let stop;
  effect(() => {
    turn();
    stop?.abort();
    const mine = stop = new AbortController();
    let work;
    try { work = load(mine.signal); } catch (e) { work = Promise.reject(e); }
    untracked(() => busy.set(true));
    work.then((d) => { if (mine === stop) { data.set(d); error.set(null); } }, (e) => { if (mine === stop && !mine.signal.aborted) error.set(e); })
      .finally(() => { if (mine === stop) busy.set(false); });
  });
  const reload = () => turn.update((n) => n + 1);
  effect(() => { if (revived() && untracked(() => error.peek())) untracked(reload); });
  const timer = o.every && setInterval(() => { if (!document.hidden && !busy.peek() && signedIn.peek()) reload(); }, o.every * 1000);
  onEnd(() => { stop?.abort(); if (timer) clearInterval(timer); });
  return { data, error, busy, reload };
}

/** @template T @typedef {ReturnType<typeof resource<T>>} Resource */

/**
 * Shows a resource: a skeleton while it loads first, the failure, or what render makes. What was there stays while it
 * loads again.
 * @template T @param {Resource<T>} r @param {(data: T) => any} render @param {() => any} [skeleton]
 */
export function show(r, render, skeleton = () => bones(3)) {
  return () => {
    const d = r.data(), e = r.error();
    if (e && (d === undefined || !(e instanceof Problem) || e.status < 500 && e.status !== 0 && e.status !== 429)) return failure(e, r.reload);
    return d === undefined ? skeleton() : untracked(() => render(d));
  };
}

/** Grey rows, seen after 150 ms (theme.css). @param {number} n */
export const bones = (n) => h('div', { class: 'bones', 'aria-busy': 'true', 'aria-label': m.loading, role: 'status' }, Array.from({ length: n }, () => h('div', { class: 'bone' })));

/** What happened, what to quote, and again. @param {any} e @param {() => void} [again] */
export function failure(e, again) {
  const p = e instanceof Problem ? e : null;
  if (!p) console.warn(e);
  return h('div', { class: 'failure', role: 'alert' }, icon('warning'),
    h('div', null, h('p', { class: 'strong' }, p ? m.problem(p) : m.broken),
      p?.requestId && h('p', { class: 'hint' }, m.requestId + ' ', copyable(p.requestId))),
    again && h('button', { type: 'button', class: 'button', onclick: again }, m.retry));
}

/** Text that copies on click. @param {string} text @param {{short?: boolean, label?: string}} [o] */
export function copyable(text, o = {}) {
  const shown = o.short && text.length > 20 ? text.slice(0, 9) + '…' + text.slice(-6) : text;
  const b = h('button', { type: 'button', class: 'copyable mono', title: text, onclick: async (/** @type {Event} */ ev) => {
    ev.preventDefault(); ev.stopPropagation();
    await copy(text);
    b.dataset.copied = '1';
    setTimeout(() => delete b.dataset.copied, 1200);
  } }, h('bdi', null, shown), h('span', { class: 'offscreen' }, ` ${m.copy} ${o.label ?? ''}`));
  return b;
}

/** The clipboard needs a secure context; on plain http a selection is copied. @param {string} text */
export async function copy(text) {
  if (navigator.clipboard && isSecureContext) { try { return await navigator.clipboard.writeText(text); } catch { /* refused */ } }
  const area = h('textarea', { class: 'offscreen', readonly: true, 'aria-hidden': 'true', tabindex: -1 });
  area.value = text;
  const before = /** @type {HTMLElement} */ (document.activeElement), open = document.querySelector('dialog[open]') ?? document.body;
  open.appendChild(area).select();
  document.execCommand('copy');
  area.remove();
  before?.focus?.();
}

/**
 * @template T @typedef {object} Column
 * @property {string} label @property {(item: T) => any} cell @property {boolean} [number] @property {string} [width]
 * @property {boolean} [wide] shown on wide screens only
 */

/** A table of rows at hand. The first cell leads to the row's drawer or page.
 * @template T @param {{columns: Column<T>[], rows: T[], to?: (item: T) => string, label: string, into?: HTMLElement, live?: (item: T) => boolean}} o */
export function table(o) {
  const rows = (/** @type {T[]} */ items) => items.map((item) => {
    const to = o.to?.(item);
    return h('tr', { class: to ? 'leads' : null, onclick: to && ((/** @type {any} */ e) => {
      if (!e.target.closest('a,button,input,select,label') && !String(getSelection())) e.currentTarget.querySelector('a')?.click();
    }) }, o.columns.map((c, i) => h(i === 0 ? 'th' : 'td', { scope: i === 0 ? 'row' : null, class: [c.number && 'number', c.wide && 'wide'].filter(Boolean).join(' ') || null, 'data-label': c.label },
      to && i === 0 ? h('a', { href: to, class: 'cell' }, c.cell(item)) : h('div', { class: 'cell' }, c.cell(item)))));
  });
  const body = h('tbody', null, rows(o.rows));
  const node = h('div', { class: 'table', tabindex: 0, role: 'region', 'aria-label': o.label }, h('table', null, h('caption', { class: 'offscreen' }, o.label),
    h('thead', null, h('tr', null, o.columns.map((c) => h('th', { scope: 'col', class: [c.number && 'number', c.wide && 'wide'].filter(Boolean).join(' ') || null, style: c.width ? { width: c.width } : {} }, c.label)))), body));
  return { node, add: (/** @type {T[]} */ more) => body.append(...rows(more)), set: (/** @type {T[]} */ all) => body.replaceChildren(...rows(all)) };
}

/**
 * A list of the API as a table that pages. `load` is followed like a resource's.
 * @template T @param {{label: string, columns: Column<T>[], load: (cursor: string, stop: AbortSignal) => Promise<{items: T[], has_more?: boolean, next_cursor?: string|null}>,
 *   empty: () => any, to?: (item: T) => string, every?: number, got?: (items: T[]) => void}} o
 */
export function list(o) {
  let cursor = '', shown = 0;
  const more = signal(false), loading = signal(false), problem = signal(/** @type {any} */ (null)), count = signal(0);
  const first = resource((stop) => o.load('', stop), { every: o.every });
  /** @type {ReturnType<typeof table<T>>} */
  let t;
  const next = async () => {
    loading.set(true); problem.set(null);
    try {
      const page = await o.load(cursor, new AbortController().signal);
      t.add(page.items); took(page);
    } catch (e) { problem.set(e); } finally { loading.set(false); }
  };
  const took = (/** @type {any} */ page) => { cursor = page.next_cursor ?? ''; more.set(Boolean(page.has_more && cursor)); shown += page.items.length; count.set(shown); };
  const node = h('div', { class: 'list' }, show(first, (page) => {
    shown = 0; took(page); problem.set(null);
    o.got?.(page.items);
    if (!page.items.length) return h('div', { class: 'empty' }, o.empty());
    t = table({ ...o, rows: page.items });
    return [t.node, h('div', { class: 'foot' }, h('span', { class: 'hint', role: 'status' }, () => m.shown(count(), more())),
      () => more() && h('button', { type: 'button', class: 'button', disabled: loading, onclick: next }, loading() ? m.loading : m.loadMore)),
    () => problem() && failure(problem(), next)];
  }, () => bones(8)));
  return { node, reload: first.reload, data: first.data };
}
