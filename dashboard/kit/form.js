// Forms: label above, hint under, the server's errors at their fields.
// @ts-check
import { h, signal, uid } from './dom.js';
import { call, curl, Problem } from './api.js';
import { copy } from './load.js';
import { icon } from './icons.js';
import { m } from '../messages.js';

/**
 * @typedef {object} Field
 * @property {string} name also the last part of the server's location @property {string} label @property {string} [hint]
 * @property {'text'|'email'|'password'|'number'|'datetime-local'|'select'|'textarea'|'checkbox'|'checks'|'url'|'date'} [type]
 * @property {any} [value] @property {[string, string][]} [options] @property {boolean} [required] @property {Record<string, any>} [attrs]
 * @property {(text: any) => any} [parse] makes the body's value; undefined leaves it out @property {boolean} [secret] not part of the curl @property {(value: (name: string) => any) => boolean} [when] whether the field is asked for
 */

/** A call of /v1. @typedef {[method: string, path: string, body?: any]} Call */

/**
 * A form. Its submit makes the call that `request` names and hands the answer to `done`, or calls `send`; a Problem lands on
 * its fields. A form with a request offers the same call as curl.
 * @param {{fields: (Field|null|false|undefined)[], submit: string, request?: (values: any) => Call, done?: (answer: any) => any, send?: (values: any) => Promise<any>,
 *   cancel?: () => void, danger?: boolean, disabled?: string, extra?: any, inline?: boolean}} o
 */
export function form(o) {
  const busy = signal(false), general = signal(/** @type {any} */ (null)), changed = signal(0);
  /** @type {{field: Field, error: import('./dom.js').Signal<string>, read: () => any, focus: () => void}[]} */
  const parts = [];
  /** Whether a field is asked for, as the others stand. @param {Field} f */
  const asked = (f) => !f.when || f.when((name) => parts.find((p) => p.field.name === name && (p.field === f || asked(p.field)))?.read());
  const rows = o.fields.filter((f) => !!f).map((f) => {
    const field = /** @type {Field} */ (f), id = uid('f'), error = signal('');
    const described = { id, name: field.name, 'aria-describedby': id + '-hint', 'aria-invalid': () => error() ? 'true' : null, ...field.attrs };
    /** @type {any} */
    let control;
    /** @type {() => any} */
    let read;
    if (field.type === 'select') {
      control = h('select', described, (field.options ?? []).map(([v, text]) => h('option', { value: v, selected: v === String(field.value ?? '') }, text)));
      read = () => control.value;
    } else if (field.type === 'textarea') {
      control = h('textarea', { rows: 4, spellcheck: false, ...described }); control.value = field.value ?? '';
      read = () => control.value;
    } else if (field.type === 'checks') {
      const chosen = new Set(field.value ?? []);
      control = h('div', { class: 'checks', role: 'group', 'aria-labelledby': id + '-label', id }, (field.options ?? []).map(([v, text]) =>
        h('label', { class: 'check' }, h('input', { type: 'checkbox', name: field.name, value: v, checked: chosen.has(v), onchange: (/** @type {any} */ e) => e.target.checked ? chosen.add(v) : chosen.delete(v) }), ' ', text)));
      read = () => [...chosen];
    } else {
      control = h('input', { type: field.type ?? 'text', required: field.required, autocomplete: 'off', spellcheck: false, dir: field.type === 'text' || !field.type ? 'auto' : null, ...described });
      if (field.type === 'checkbox') control.checked = Boolean(field.value); else control.value = field.value ?? '';
      read = () => field.type === 'checkbox' ? control.checked : control.value;
    }
    parts.push({ field, error, read, focus: () => control.focus() });
    const hint = h('p', { class: () => error() ? 'hint bad' : 'hint', id: id + '-hint' }, () => error() || field.hint || '');
    const hidden = field.when ? () => { changed(); return !asked(field); } : null;
    if (field.type === 'checkbox') return h('div', { class: 'field', hidden }, h('label', { class: 'check' }, control, ' ', field.label), hint);
    return h('div', { class: 'field', hidden }, field.type === 'checks' ? h('span', { class: 'label', id: id + '-label' }, field.label) : h('label', { for: id, class: 'label' }, field.label), control, hint);
  });
  const submit = async (/** @type {Event} */ ev) => {
    ev.preventDefault();
    if (busy.peek() || o.disabled) return;
    general.set(null);
    /** @type {any} */
    const values = {};
    for (const p of parts) {
      p.error.set('');
      if (!asked(p.field)) continue;
      try {
        const v = p.field.parse ? p.field.parse(p.read()) : p.read();
        if (v !== undefined) values[p.field.name] = v;
      } catch (e) { p.error.set(e instanceof Error ? e.message : m.invalid); }
      if (p.field.required && (p.read() === '' || Array.isArray(p.read()) && !p.read().length)) p.error.set(m.required);
    }
    const wrong = parts.find((p) => p.error.peek());
    if (wrong) { wrong.focus(); return; }
    busy.set(true);
    try {
      if (o.request) { const answer = await call(...o.request(values)); await o.done?.(answer); } else await o.send?.(values);
    } catch (e) { show(e); } finally { busy.set(false); }
  };
  /** The call as it would be sent now; a secret is left to whom it belongs. */
  const asCurl = () => {
    /** @type {any} */
    const values = {};
    for (const p of parts.filter((x) => asked(x.field))) {
      let v = p.read();
      try { v = p.field.parse ? p.field.parse(v) : v; } catch { /* as it was typed */ }
      if (v !== undefined) values[p.field.name] = p.field.type === 'password' || p.field.secret ? '…' : v;
    }
    return curl(...(o.request ?? (() => /** @type {Call} */ (['GET', ''])))(values));
  };
  /** @param {any} e */
  const show = (e) => {
    if (!(e instanceof Problem)) { console.warn(e); general.set(m.broken); return; }
    let first = null, left = [];
    for (const { location, message } of e.errors) {
      const name = location.replace(/^(body|query)\./, '');
      const part = parts.find((p) => p.field.name === name) ?? parts.find((p) => name.split(/[.[]/).includes(p.field.name));
      if (part && asked(part.field)) { part.error.set(message); first ??= part; } else left.push(`${location}: ${message}`);
    }
    if (!first || left.length) general.set([left.length ? left.join(' · ') : m.problem(e), e.requestId && h('span', { class: 'hint mono' }, ' ', e.requestId)]);
    first?.focus();
  };
  const button = h('button', { type: 'submit', class: 'button ' + (o.danger ? 'danger' : 'primary'), disabled: () => busy() || Boolean(o.disabled), title: o.disabled || null, 'aria-busy': () => busy() ? 'true' : null }, o.submit);
  return h('form', { class: o.inline ? 'form inline' : 'form', novalidate: true, onsubmit: submit, onchange: () => changed.update((n) => n + 1) }, rows, o.extra,
    () => general() && h('p', { class: 'bad note', role: 'alert' }, general()), o.disabled && h('p', { class: 'hint' }, o.disabled),
    h('div', { class: 'actions' }, button, o.cancel && h('button', { type: 'button', class: 'button', onclick: o.cancel }, m.cancel), o.request && !o.disabled && [h('span', { class: 'grow' }), curlOf(asCurl)]));
}

/** A button that copies a call for the command line. @param {() => string} text @param {string} [label] @param {string} [kind] */
export function curlOf(text, label = 'curl', kind = 'quiet') {
  const said = signal(false);
  return h('button', { type: 'button', class: 'button ' + kind, title: m.curlHint, onclick: async () => { await copy(text()); said.set(true); setTimeout(() => said.set(false), 1500); } }, icon('copy'), () => said() ? m.copied : label);
}
