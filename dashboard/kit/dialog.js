// Dialogs, drawers, confirmations and toasts, on <dialog>: focus stays inside and goes back.
// @ts-check
import { h, root, uid, append, fill } from './dom.js';
import { form } from './form.js';
import { copy, copyable } from './load.js';
import { icon } from './icons.js';
import { m } from '../messages.js';

/**
 * Opens a dialog; `make` gets a function that closes it.
 * @param {string} title @param {(close: () => void) => any} make @param {{stay?: boolean, drawer?: boolean, closed?: () => void, wide?: boolean}} [o] `stay`: Escape and the backdrop do not close it
 */
export function dialog(title, make, o = {}) {
  const id = uid('d');
  const before = /** @type {HTMLElement|null} */ (document.activeElement);
  return root((end) => {
    const close = () => { if (node.open) node.close(); };
    const node = h('dialog', { class: (o.drawer ? 'drawer' : 'dialog') + (o.wide ? ' broad' : '') + (o.stay ? ' stays' : ''), 'aria-labelledby': id,
      oncancel: (/** @type {Event} */ e) => { if (o.stay) e.preventDefault(); },
      onkeydown: (/** @type {KeyboardEvent} */ e) => { if (o.stay && e.key === 'Escape') e.preventDefault(); },
      onclick: (/** @type {MouseEvent} */ e) => { if (e.target === node && !o.stay) close(); },
      onclose: () => { node.remove(); end(); o.closed?.(); if (before?.isConnected) before.focus(); },
    });
    const body = h('div', { class: 'content' });
    append(node, [h('header', null, h('h2', { id, dir: 'auto' }, title), !o.stay && h('button', { type: 'button', class: 'button icon-only', 'aria-label': m.close, onclick: close }, icon('close'))), body]);
    append(body, make(close));
    document.body.append(node);
    node.showModal();
    (body.querySelector('input,select,textarea') ?? node.querySelector('button'))?.focus();
    return { close, node };
  });
}

/** Asks before something that cannot be undone. With `typed` its name must be typed.
 * @param {{title: string, consequences: any, verb: string, typed?: string, request: (values: any) => import('./form.js').Call, done?: (answer: any) => any, fields?: import('./form.js').Field[]}} o */
export function confirm(o) {
  return dialog(o.title, (close) => [h('div', { class: 'prose' }, o.consequences), form({
    fields: [...(o.fields ?? []), o.typed !== undefined && { name: 'typed', label: m.typeName(o.typed), required: true, attrs: { dir: 'auto' }, parse: (t) => { if (t !== o.typed) throw new Error(m.typedDiffers); return undefined; } }],
    submit: o.verb, danger: true, cancel: close, request: ({ typed, ...values }) => o.request(values),
    done: (answer) => { close(); return o.done?.(answer); },
  })]);
}

/** Shows a key and its secret, this once. @param {string} title @param {{label: string, value: string, env: string}[]} parts @param {() => void} [done] */
export function secret(title, parts, done) {
  const env = parts.map((p) => `${p.env}=${p.value}`).join('\n') + '\n';
  dialog(title, (close) => [
    h('p', { class: 'note warning' }, icon('warning'), m.shownOnce),
    h('dl', { class: 'secrets' }, parts.map((p) => [h('dt', null, p.label), h('dd', null, copyable(p.value, { label: p.label }))])),
    h('div', { class: 'actions' },
      h('button', { type: 'button', class: 'button primary', onclick: close }, m.stored),
      h('button', { type: 'button', class: 'button', onclick: async () => { await copy(env); toast(m.copied); } }, m.copyEnv),
      h('button', { type: 'button', class: 'button', onclick: () => download('pulse.env', env) }, m.downloadEnv)),
  ], { stay: true, closed: done });
}

/** Hands a text to the browser as a file. @param {string} name @param {string} text @param {string} [type] */
export function download(name, text, type = 'text/plain') {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const tray = h('div', { class: 'toasts', role: 'status', 'aria-live': 'polite', popover: 'manual' });
/** Says that something was done, or went wrong. @param {string} text @param {'bad'|''} [tone] */
export function toast(text, tone = '') {
  if (!tray.isConnected) document.body.append(tray);
  fill(tray, h('div', { class: 'toast ' + tone }, icon(tone ? 'warning' : 'check'), text));
  tray.hidePopover?.();
  tray.showPopover?.(); // above an open dialog
  setTimeout(() => { if (tray.textContent === text) { tray.hidePopover?.(); tray.replaceChildren(); } }, 4000);
}
