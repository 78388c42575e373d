// Charts in SVG with the same numbers as a table; arrow keys move the crosshair.
// @ts-check
import { h, signal, uid, onEnd } from './dom.js';
import { table } from './load.js';
import { m } from '../messages.js';

/** A round upper bound and its steps. @param {number} most @returns {number[]} */
export function ticks(most) {
  if (!(most > 0)) return [0, 1];
  const raw = most / 3, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => s >= raw) ?? power * 10;
  const out = [];
  for (let v = 0; v < most + step; v += step) out.push(v);
  return out;
}

/** Follows the width of an element. @param {(width: number) => any} draw */
function sized(draw) {
  const width = signal(0);
  const node = h('div', { class: 'plot' }, () => width() > 0 && draw(width()));
  const watch = new ResizeObserver(() => width.set(Math.floor(node.clientWidth)));
  watch.observe(node);
  onEnd(() => watch.disconnect());
  return node;
}

/**
 * Bars over time, stacked when there are several series.
 * @param {{label: string, rows: {start: string, end: string, values: number[]}[], series: string[], value: (n: number) => string, time: (iso: string) => string, span: (row: {start: string, end: string}) => string, height?: number, untitled?: boolean}} o
 */
export function bars(o) {
  const asTable = signal(false), at = signal(-1), H = o.height ?? 200, T = 8, B = 22, id = uid('chart');
  const totals = o.rows.map((r) => r.values.reduce((a, b) => a + b, 0));
  const scale = ticks(Math.max(...totals, 0)), top = scale[scale.length - 1];
  const y = (/** @type {number} */ v) => T + (H - T - B) * (1 - v / top);
  const exact = (/** @type {number} */ i) => o.series.map((s, j) => (o.series.length > 1 ? s + ' ' : '') + o.value(o.rows[i].values[j])).join(', ');
  const now = Date.now();
  const draw = (/** @type {number} */ W) => {
    const L = 8 + 6.6 * Math.max(...scale.map((v) => o.value(v).length)), n = o.rows.length, step = (W - L) / Math.max(n, 1), bar = Math.max(1, Math.min(step - (step > 4 ? 2 : 0.5), 40));
    const every = Math.max(1, Math.ceil(n / Math.min(4, Math.floor((W - L) / 90) || 1)));
    const middle = (/** @type {number} */ i) => L + step * (i + 0.5);
    return h('svg:svg', { width: W, height: H, viewBox: `0 0 ${W} ${H}`, role: 'group', tabindex: 0, 'aria-labelledby': id, 'aria-describedby': id + '-now',
      onpointermove: (/** @type {PointerEvent} */ e) => at.set(Math.max(0, Math.min(n - 1, Math.floor((e.offsetX - L) / step)))),
      onpointerleave: () => at.set(-1), onfocus: () => at.peek() < 0 && at.set(n - 1), onblur: () => at.set(-1),
      onkeydown: (/** @type {KeyboardEvent} */ e) => {
        const to = { ArrowLeft: at.peek() - 1, ArrowRight: at.peek() + 1, Home: 0, End: n - 1 }[e.key];
        if (to !== undefined) { e.preventDefault(); at.set(Math.max(0, Math.min(n - 1, to))); }
      } },
    h('svg:defs', null, h('svg:pattern', { id: id + '-hatch', width: 5, height: 5, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' }, h('svg:path', { d: 'M0 0v5', class: 'hatch' }))),
    scale.map((v) => [h('svg:line', { class: 'grid', x1: L, x2: W, y1: y(v), y2: y(v) }), h('svg:text', { class: 'tick', x: L - 6, y: y(v) + 4, 'text-anchor': 'end' }, o.value(v))]),
    o.rows.map((r, i) => {
      let sum = 0;
      return [r.values.map((v, j) => {
        const low = sum; sum += v;
        return v > 0 && h('svg:rect', { class: 'column s' + j, x: middle(i) - bar / 2, width: bar, y: y(sum), height: Math.max(y(low) - y(sum), 1), rx: bar > 6 && j === r.values.length - 1 ? 1.5 : 0 });
      }), Date.parse(r.end) > now && totals[i] > 0 && h('svg:rect', { x: middle(i) - bar / 2, width: bar, y: y(totals[i]), height: Math.max(y(0) - y(totals[i]), 1), fill: `url(#${id}-hatch)` }),
      i % every === 0 && h('svg:text', { class: 'tick', x: Math.min(middle(i), W - 24), y: H - 6, 'text-anchor': i === 0 ? 'start' : 'middle' }, o.time(r.start))];
    }),
    totals.every((v) => v === 0) && h('svg:text', { class: 'nothing', x: L + (W - L) / 2, y: (H - B) / 2, 'text-anchor': 'middle' }, m.nothingYet),
    () => at() >= 0 && n > 0 && h('svg:line', { class: 'cross', x1: middle(at()), x2: middle(at()), y1: T, y2: H - B }));
  };
  const rows = () => table({ label: o.label, rows: o.rows, columns: [{ label: m.time, cell: (r) => o.span(r) },
    ...o.series.map((s, j) => ({ label: s, number: true, cell: (/** @type {any} */ r) => o.value(r.values[j]) }))] }).node;
  return h('figure', { class: 'chart' }, h('figcaption', null, h('span', { id, class: o.untitled ? 'offscreen' : 'strong' }, o.label),
    h('span', { class: 'hint now', id: id + '-now', 'aria-live': 'polite' }, () => at() >= 0 && o.rows[at()] ? `${o.span(o.rows[at()])} · ${exact(at())}` : ''),
    o.series.length > 1 && h('span', { class: 'legend' }, o.series.map((s, j) => h('span', null, h('i', { class: 'swatch s' + j }), s))),
    h('button', { type: 'button', class: 'button quiet', 'aria-pressed': () => String(asTable()), onclick: () => asTable.update((v) => !v) }, () => asTable() ? m.asChart : m.asTable)),
  () => asTable() ? rows() : sized(draw));
}

/** A small line without axes. @param {number[]} values @param {string} label */
export function sparkline(values, label) {
  const W = 96, H = 20, most = Math.max(...values, 1e-9);
  const points = values.map((v, i) => `${(i / Math.max(values.length - 1, 1) * (W - 2) + 1).toFixed(1)},${(H - 2 - v / most * (H - 4)).toFixed(1)}`).join(' ');
  return h('svg:svg', { class: 'spark', width: W, height: H, viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': label }, h('svg:polyline', { points }));
}
