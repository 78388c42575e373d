// A meter over time.
// @ts-check
import { bars } from '../kit/chart.js';
import { clock, count, day, exact, secondsUnit } from '../shell/format.js';

/** A usage answer as bars of one meter. @param {{window: string, items: any[]}} report @param {string} meter @param {string} label @param {boolean} [untitled] a heading says it */
export function meterChart(report, meter, label, untitled) {
  const values = report.items.map((i) => i[meter] ?? 0), unit = meter.endsWith('_seconds') ? secondsUnit(Math.max(...values, 0)) : { per: 1, text: count };
  return bars({
    label, untitled, series: [label], rows: report.items.map((i) => ({ start: i.start, end: i.end, values: [(i[meter] ?? 0) / unit.per] })), value: unit.text,
    time: (t) => report.window === 'hour' ? clock(t).slice(0, 5) : day(t).slice(5), span: (r) => report.window === 'hour' ? exact(r.start).slice(0, 16) : report.window === 'day' ? day(r.start) : day(r.start).slice(0, 7),
  });
}
