// What is loaded: skeletons, failures that say what happened, tables that page.
// @ts-check
import { h, signal, effect, onEnd, root, untracked } from './dom.js';
import { Problem, revived, signedIn } from './api.js';
import { m } from '../messages.js';
import { icon } from './icons.js';

/**
 * Something from the server. `load` is followed: it loads again when what it read before its first await changes, when
 * reload is called and when the server is back. What did not change is not drawn anew: open details, the focus and a
 * selection stay.
 * @template T @param {(stop: AbortSignal) => Promise<T>} load @param {{every?: number}} [o] seconds between silent reloads
 */
export function resource(load, o = {}) {
  const data = signal(/** @type {T|undefined} */ (undefined)), error = signal(/** @type {any} */ (null)), busy = signal(false);
  const turn = signal(0);
  /** @type {AbortController|undefined} */
  let stop, last = '', quiet = false;
  const self = { data, error, busy, silent: false, reload: () => turn.update((n) => n + 1), /** Loads again in the background. */ refresh() { quiet = true; self.reload(); } };
  effect(() => {
    turn();
    stop?.abort();
    const mine = stop = new AbortController(), silent = quiet;
    quiet = false;
    let work;
    try { work = load(mine.signal); } catch (e) { work = Promise.reject(e); }
    untracked(() => busy.set(true));
    work.then((d) => {
      if (mine !== stop) return;
      const text = JSON.stringify(d) ?? '';
      self.silent = silent;
      if (text !== last || data.peek() === undefined) { last = text; data.set(d); }
      error.set(null);
    }, (e) => { if (mine === stop && !mine.signal.aborted) error.set(e); })
      .finally(() => { if (mine === stop) busy.set(false); });
  });
  effect(() => { if (revived() && untracked(() => error.peek())) untracked(self.reload); });
  const timer = o.every && setInterval(() => { if (!document.hidden && !busy.peek() && signedIn.peek()) self.refresh(); }, o.every * 1000);
  onEnd(() => { stop?.abort(); if (timer) clearInterval(timer); });
  return self;
}

/** @template T @typedef {ReturnType<typeof resource<T>>} Resource */

/** Whether a failure is shown in place of what was loaded before. @param {any} e @param {boolean} has */
const grave = (e, has) => e && (!has || !(e instanceof Problem) || e.status < 500 && e.status !== 0 && e.status !== 429);

/**
 * Shows a resource: a skeleton while it loads first, the failure, or what render makes. What was there stays while it
 * loads again.
 * @template T @param {Resource<T>} r @param {(data: T) => any} render @param {() => any} [skeleton]
 */
export function show(r, render, skeleton = () => bones(3)) {
  return () => {
    const d = r.data(), e = r.error();
    if (grave(e, d !== undefined)) return failure(e, r.reload);
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
  const b = h('button', { type: 'button', class: 'copyable mono' + (o.short ? ' short' : ''), title: text, onclick: async (/** @type {Event} */ ev) => {
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

/**
 * A table of rows at hand. The first cell leads to the row's drawer or page. `set` keeps the rows that did not change.
 * @template T @param {{columns: Column<T>[], rows: T[], to?: (item: T) => string, label: string}} o
 */
export function table(o) {
  const look = (/** @type {Column<T>} */ c) => [c.number && 'number', c.wide && 'wide'].filter(Boolean).join(' ') || null;
  /** @typedef {{node: HTMLElement, end: () => void}} Row */
  const row = (/** @type {T} */ item) => root((end) => {
    const to = o.to?.(item);
    return { end, node: h('tr', { class: to ? 'leads' : null, onclick: to && ((/** @type {any} */ e) => {
      if (!e.target.closest('a,button,input,select,label') && !String(getSelection())) e.currentTarget.querySelector('a')?.click();
    }) }, o.columns.map((c, i) => h(i === 0 ? 'th' : 'td', { scope: i === 0 ? 'row' : null, class: look(c), 'data-label': c.label },
      to && i === 0 ? h('a', { href: to, class: 'cell' }, c.cell(item)) : h('div', { class: 'cell' }, c.cell(item))))) };
  });
  /** What is drawn, by what it shows. @type {Map<string, Row>} */
  let drawn = new Map();
  const draw = (/** @type {T[]} */ items, /** @type {Map<string, Row>} */ known) => items.map((item, i) => {
    let text = JSON.stringify(item);
    if (drawn.has(text)) text += i;
    const made = known.get(text) ?? row(item);
    known.delete(text); drawn.set(text, made);
    return made.node;
  });
  const body = h('tbody', null, draw(o.rows, new Map()));
  const node = h('div', { class: 'table', tabindex: 0, role: 'region', 'aria-label': o.label }, h('table', null, h('caption', { class: 'offscreen' }, o.label),
    h('thead', null, h('tr', null, o.columns.map((c) => h('th', { scope: 'col', class: look(c), style: c.width ? { width: c.width } : {} }, c.label)))), body));
  onEnd(() => { for (const r of drawn.values()) r.end(); });
  return {
    node,
    add: (/** @type {T[]} */ more) => body.append(...draw(more, new Map())),
    set(/** @type {T[]} */ all) {
      const known = drawn, at = body.contains(document.activeElement) ? document.activeElement?.closest('tr')?.sectionRowIndex ?? 0 : -1;
      drawn = new Map();
      const rows = draw(all, known);
      for (const gone of known.values()) { gone.end(); gone.node.remove(); }
      rows.forEach((r, i) => { if (body.children[i] !== r) body.insertBefore(r, body.children[i] ?? null); });
      if (at >= 0 && !body.contains(document.activeElement)) body.children[Math.min(at, rows.length - 1)]?.querySelector('a,button')?.focus({ preventScroll: true });
    },
  };
}

/**
 * A list of the API as a table that pages. `load` is followed like a resource's. What loads silently changes the rows that
 * changed and leaves the pages that were asked for.
 * @template T @param {{label: string, columns: Column<T>[], load: (cursor: string, stop: AbortSignal) => Promise<{items: T[], has_more?: boolean, next_cursor?: string|null}>,
 *   empty: () => any, to?: (item: T) => string, every?: number, got?: (items: T[]) => void}} o
 */
export function list(o) {
  /** @type {T[]} */
  let rows = [];
  let cursor = '', pages = 0;
  const state = signal(''), more = signal(false), loading = signal(false), problem = signal(/** @type {any} */ (null)), count = signal(0);
  const t = table({ ...o, rows: [] }), first = resource((stop) => o.load('', stop), { every: o.every });
  const idOf = (/** @type {any} */ item) => item.id ?? JSON.stringify(item);
  const took = (/** @type {any} */ page) => { cursor = page.next_cursor ?? ''; more.set(Boolean(page.has_more && cursor)); };
  effect(() => {
    const page = first.data();
    if (page) untracked(() => {
      const known = new Set(page.items.map(idOf));
      if (first.silent && pages > 1 && page.has_more) rows = [...page.items, ...rows.filter((r) => !known.has(idOf(r)))];
      else { rows = page.items; pages = 1; took(page); }
      problem.set(null); o.got?.(page.items);
      t.set(rows); count.set(rows.length); state.set(rows.length ? 'rows' : 'empty');
    });
  });
  const next = async () => {
    loading.set(true); problem.set(null);
    try {
      const page = await o.load(cursor, new AbortController().signal);
      pages++; rows = [...rows, ...page.items];
      t.add(page.items); took(page); count.set(rows.length);
    } catch (e) { problem.set(e); } finally { loading.set(false); }
  };
  const node = h('div', { class: 'list' }, () => {
    const e = first.error(), s = state();
    if (grave(e, s !== '')) return failure(e, first.reload);
    if (s !== 'rows') return s ? h('div', { class: 'empty' }, untracked(o.empty)) : bones(8);
    return [t.node, h('div', { class: 'foot' }, h('span', { class: 'hint', role: 'status' }, () => m.shown(count(), more())),
      () => more() && h('button', { type: 'button', class: 'button', disabled: loading, onclick: next }, loading() ? m.loading : m.loadMore)),
    () => problem() && failure(problem(), next)];
  });
  return { node, reload: first.reload, refresh: first.refresh, data: first.data };
}
