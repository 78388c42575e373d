// ⌘K: screens, projects, recent ids; a pasted id leads where it belongs.
// @ts-check
import { h, signal, computed } from '../kit/dom.js';
import { dialog } from '../kit/dialog.js';
import { go } from '../kit/router.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { overview, projectId, orgId, me, homeOf } from './session.js';
import { projectScreens, orgScreens, operatorScreens } from './shell.js';
import { store, stored } from './format.js';

const ID = /^(prj|org|usr|key|inv|evt|whe|dlv|aud|req|egr|igr|PA|RM|EG|IN|EV)_[\w-]+$/;
/** @returns {string[]} */
const recent = () => { try { return JSON.parse(stored('pulse.recent', '[]')); } catch { return []; } };

/** Keeps an id that was looked at, to offer it again. @param {string} id */
export const remember = (id) => { if (ID.test(id)) store('pulse.recent', JSON.stringify([id, ...recent().filter((r) => r !== id)].slice(0, 8))); };

/** @param {'projects'|'keys'|''} [only] */
export function openPalette(only = '') {
  if (document.querySelector('.palette')) return;
  if (only === 'keys') { dialog(m.shortcuts, () => h('dl', { class: 'terms' }, m.shortcutList.map(([k, v]) => [h('dt', null, h('kbd', null, k)), h('dd', null, v)]))); return; }
  const text = signal(''), at = signal(0);
  /** @typedef {{label: string, hint: string, to: string, picture: string}} Item */
  /** @type {Item[]} */
  const all = [];
  const p = projectId.peek(), o = orgId.peek();
  if (!only) {
    if (p) for (const [to, picture, label] of projectScreens()) all.push({ label, hint: m.project, to: `/p/${p}${to}`, picture });
    if (o) for (const [to, picture, label] of orgScreens()) all.push({ label, hint: m.organization, to: `/o/${o}${to}`, picture });
    if (me.peek()?.operator) for (const [to, picture, label] of operatorScreens()) all.push({ label, hint: m.operator, to, picture });
    else all.push({ label: m.nav.account, hint: '', to: '/account', picture: 'people' });
  }
  for (const row of overview.peek()?.items ?? []) all.push({ label: row.name, hint: m.project, to: '/p/' + row.project_id, picture: 'rooms' });
  if (!only) for (const id of recent()) if (homeOf(id)) all.push({ label: id, hint: m.recent, to: homeOf(id), picture: 'sessions' });
  const found = computed(() => {
    const q = text().trim();
    if (ID.test(q) && homeOf(q)) return [{ label: q, hint: m.goThere, to: homeOf(q), picture: 'search' }];
    const words = q.toLowerCase().split(/\s+/);
    return all.filter((i) => words.every((w) => (i.label + ' ' + i.hint).toLowerCase().includes(w))).slice(0, 50);
  });
  const d = dialog(only ? m.switchProject : m.search, (close) => {
    const choose = (/** @type {Item|undefined} */ i) => {
      if (!i) return;
      remember(i.label);
      close(); go(i.to);
    };
    return [h('input', { type: 'text', class: 'palette-input', placeholder: only ? m.findProject : m.searchHint, role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'palette-list', 'aria-label': m.search, autocomplete: 'off', spellcheck: false,
      'aria-activedescendant': () => found().length ? 'palette-' + at() : null,
      oninput: (/** @type {any} */ e) => { text.set(e.target.value); at.set(0); },
      onkeydown: (/** @type {KeyboardEvent} */ e) => {
        const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
        if (step) { e.preventDefault(); at.set(Math.max(0, Math.min(found.peek().length - 1, at.peek() + step))); document.getElementById('palette-' + at.peek())?.scrollIntoView({ block: 'nearest' }); }
        if (e.key === 'Enter') { e.preventDefault(); choose(found.peek()[at.peek()]); }
      } }),
    h('div', { role: 'listbox', id: 'palette-list', 'aria-label': m.results, tabindex: -1 }, () => found().map((i, n) => h('div', { role: 'option', id: 'palette-' + n, class: 'option', 'aria-selected': () => String(at() === n), onclick: () => choose(i), onpointermove: () => at.set(n) },
      icon(i.picture), h('bdi', { class: 'grow' }, i.label), h('span', { class: 'hint' }, i.hint)))), () => !found().length && h('p', { class: 'hint pad' }, m.nothingFound)];
  });
  d.node.classList.add('palette');
}
