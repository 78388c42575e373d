// A room's sessions over time.
// @ts-check
import { h } from '../kit/dom.js';

/**
 * A row an identity, a bar a session; hatched while it is open. Arrow keys go from bar to bar; `say` hears what the bar that
 * is pointed at is.
 * @param {{label: string, start: number, end: number, rows: {name: string, bars: {id: string, from: number, to: number|null, text: string, href: string, corrected?: boolean}[]}[], time: (ms: number) => string, say: (text: string) => void}} o
 */
export function timeline(o) {
  const span = Math.max(o.end - o.start, 1000), pos = (/** @type {number} */ t) => Math.min(100, Math.max(0, (t - o.start) / span * 100));
  const marks = [0, 1, 2, 3, 4].map((i) => o.start + span * i / 4);
  return h('div', { class: 'timeline', role: 'group', 'aria-label': o.label, onkeydown: (/** @type {any} */ e) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[/** @type {string} */ (e.key)];
    if (!step) return;
    const all = [...e.currentTarget.querySelectorAll('a')], next = all[all.indexOf(document.activeElement) + step];
    if (next) { e.preventDefault(); next.focus(); }
  } },
  h('div', { class: 'tl-head', 'aria-hidden': 'true' }, h('span', null), h('div', { class: 'tl-track' }, marks.map((t, i) => h('span', { class: 'tick' + (i === 4 ? ' last' : ''), style: { left: i * 25 + '%' } }, o.time(t))))),
  o.rows.map((r) => h('div', { class: 'tl-row' }, h('span', { class: 'tl-name', title: r.name }, h('bdi', null, r.name)), h('div', { class: 'tl-track' },
    r.bars.map((b) => {
      const tell = () => o.say(`${r.name}: ${b.text}`), hush = () => o.say('');
      return h('a', { href: b.href, class: 'tl-bar' + (b.to === null ? ' open' : '') + (b.corrected ? ' corrected' : ''), title: b.text, 'aria-label': `${r.name}: ${b.text}`, 'data-id': b.id,
        onfocus: tell, onpointerenter: tell, onblur: hush, onpointerleave: hush, style: { left: pos(b.from) + '%', width: Math.max(pos(b.to ?? o.end) - pos(b.from), 0.4) + '%' } });
    })))));
}
