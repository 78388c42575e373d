// What several screens use.
// @ts-check
import { h, debounce, onEnd, signal } from '../kit/dom.js';
import { get, curl as asCurl, Problem, call } from '../kit/api.js';
import { copy } from '../kit/load.js';
import { download, toast } from '../kit/dialog.js';
import { curlOf } from '../kit/form.js';
import { icon } from '../kit/icons.js';
import { param, setQuery, href } from '../kit/router.js';
import { m } from '../messages.js';
import { barred, projectId } from '../shell/session.js';
import { menu } from '../shell/shell.js';
import { follow } from '../shell/stream.js';
import { count, status, code } from '../shell/format.js';

export const secretField = { type: /** @type {'password'} */ ('password'), required: true };

/** @typedef {[label: string, method: string, path: string, body?: any][]} Calls */
/**
 * A menu of the calls behind a page or a drawer, each copied for the command line. A function is asked when the menu
 * opens: calls with the filters of that moment.
 * @param {Calls|(() => Calls)} list
 */
export const calls = (list) =>
  menu(
    [icon('copy'), 'curl'],
    () =>
      (typeof list === 'function' ? list() : list).map(([label, ...made]) =>
        h(
          'button',
          {
            type: 'button',
            class: 'nav',
            onclick: async () => {
              await copy(asCurl(...made));
              toast(m.copied);
            },
          },
          h('span', { class: 'grow' }, label),
          h('span', { class: 'hint mono' }, made[0]),
        ),
      ),
    '',
  );

/** An action that needs no form: calls, says that it is done, and what went wrong. @param {import('../kit/form.js').Call} made @param {string} said @param {() => any} [then] */
export async function act(made, said, then) {
  try {
    await call(...made);
    toast(said);
    await then?.();
  } catch (e) {
    toast(m.problem(e), 'bad');
  }
}

/** A button that copies the equivalent call. @param {string} method @param {string|(() => string)} path @param {any} [body] */
export function curlButton(method, path, body) {
  return curlOf(() => asCurl(method, typeof path === 'function' ? path() : path, body), 'curl', '');
}

/** A text filter that follows typing and is kept in the URL. @param {string} name @param {string} label @param {Record<string, any>} [attrs] */
export function textFilter(name, label, attrs = {}) {
  const value = param(name);
  const slow = debounce((v) => setQuery({ [name]: v, open: '' }, { replace: true }), 300);
  return h(
    'label',
    { class: 'filter' },
    h('span', null, label),
    h('input', {
      type: 'text',
      dir: 'auto',
      value: () => value(),
      autocomplete: 'off',
      spellcheck: false,
      oninput: (/** @type {any} */ e) => slow(e.target.value.trim()),
      ...attrs,
    }),
  );
}

/** @param {string} name @param {string} label @param {[string, string][]} options @param {string} [otherwise] */
export function choiceFilter(name, label, options, otherwise = '') {
  const value = param(name, otherwise);
  const node = h(
    'select',
    { onchange: (/** @type {any} */ e) => value.set(e.target.value) },
    options.map(([v, text]) => h('option', { value: v, selected: () => value() === v }, text)),
  );
  return h('label', { class: 'filter' }, h('span', null, label), node);
}

/** @param {string} name @param {string} label */
export function flagFilter(name, label) {
  const value = param(name);
  return h(
    'label',
    { class: 'filter check' },
    h('input', {
      type: 'checkbox',
      checked: () => value() === 'true',
      onchange: (/** @type {any} */ e) => value.set(e.target.checked ? 'true' : ''),
    }),
    h('span', null, label),
  );
}

/** The ranges that screens offer; '' is custom, by start and end. */
export const ranges = /** @type {[string, string][]} */ ([
  ['1h', m.range.hour],
  ['24h', m.range.day],
  ['7d', m.range.week],
  ['30d', m.range.month30],
  ['month', m.range.month],
  ['last-month', m.range.lastMonth],
]);
/** The half-open window of a range in UTC. @param {string} name @returns {{start: string, end: string}} */
export function windowOf(name, now = new Date()) {
  const iso = (/** @type {number|Date} */ d) => new Date(d).toISOString().replace(/\.\d+Z$/, 'Z');
  const hours = { '1h': 1, '24h': 24, '7d': 168, '30d': 720 }[name];
  const [y, mo] = [now.getUTCFullYear(), now.getUTCMonth()];
  if (name === 'month') return { start: iso(Date.UTC(y, mo, 1)), end: iso(Date.UTC(y, mo + 1, 1)) };
  if (name === 'last-month') return { start: iso(Date.UTC(y, mo - 1, 1)), end: iso(Date.UTC(y, mo, 1)) };
  if (!hours) return { start: '', end: '' };
  // Whole hours, or whole days where days are counted, so that buckets are whole.
  const unit = hours > 24 ? 86_400_000 : 3_600_000,
    end = (Math.floor(now.getTime() / unit) + 1) * unit;
  return { start: iso(end - hours * 3_600_000), end: iso(end) };
}

/** A number with its name. @param {string} label @param {any} value @param {any} [under] @param {string} [to] */
export const stat = (label, value, under, to) =>
  h(
    to ? 'a' : 'div',
    { class: 'stat', href: to ? href(to) : null },
    h('span', { class: 'stat-label' }, label),
    h('span', { class: 'stat-value num' }, value),
    under && h('span', { class: 'hint' }, under),
  );

/** How full something is, as a bar. @param {string} label @param {number} used @param {number} limit */
export function used(label, used, limit) {
  const part = Math.min(1, used / limit);
  return h(
    'div',
    {
      class: 'meter ' + (part >= 1 ? 'bad' : part >= 0.8 ? 'warn' : ''),
      role: 'progressbar',
      title: label,
      'aria-label': label,
      'aria-valuenow': Math.round(part * 100),
      'aria-valuemin': 0,
      'aria-valuemax': 100,
    },
    h('i', { style: { width: part * 100 + '%' } }),
  );
}
/** A quota: how much of a limit is used. @param {{label: string, used: number|null, limit: number|null}} q */
export function quota(q) {
  const part = q.limit ? (q.used ?? 0) / q.limit : 0;
  return h(
    'div',
    { class: 'quota' },
    h('span', { class: 'quota-label' }, q.label),
    h(
      'span',
      { class: 'quota-value num', title: count(q.used) },
      count(q.used === null ? null : Math.floor(q.used)),
      q.limit ? [' / ', count(q.limit)] : h('span', { class: 'hint' }, ' ' + m.noLimit),
    ),
    Boolean(q.limit) && used(q.label, q.used ?? 0, q.limit ?? 1),
    part >= 0.8 && status(part >= 1 ? 'reached' : 'warning'),
  );
}

/** The words of a text, by spaces, commas and lines. @param {string} v */
export const lines = (v) => v.split(/[\s,]+/).filter(Boolean);

/** An empty list: what would be here, and the action or call that fills it. @param {string} text @param {any} [action] @param {import('../kit/form.js').Call} [made] */
export const empty = (text, action, made) => [h('p', null, text), action, made && code(asCurl(...made))];

/** Whether a failure says that this installation lacks the route. @param {any} e */
export const lacking = (e) => e instanceof Problem && e.status === 404;
/** Loads, or says nothing where the route is missing. @param {() => Promise<any>} f */
export const optional = async (f) => {
  try {
    return await f();
  } catch (e) {
    if (lacking(e)) return null;
    throw e;
  }
};

/** Downloads an export by a link that works once; where there are none, through the page. @param {string} path @param {string} name */
export async function exportFile(path, name) {
  try {
    const { url } = await call('POST', '/v1/downloads', { path });
    h('a', { href: url, download: name }).click();
  } catch (e) {
    if (!lacking(e)) {
      toast(m.problem(e), 'bad');
      return;
    }
    const answer = await call('GET', path, undefined, { raw: true });
    download(name, await answer.text());
  }
}

/** What make makes, or why the caller may not see it. @param {string} action @param {() => any} make */
export const guarded = (action, make) => {
  const why = barred(action);
  return why ? h('p', { class: 'note' }, why) : make();
};

/** A few tabs that are links. @param {string} name parameter @param {[string, string][]} choices */
export function tabs(name, choices) {
  const at = param(name, choices[0][0]);
  return {
    at,
    node: h(
      'div',
      { class: 'tabs', role: 'tablist' },
      choices.map(([v, label]) =>
        h(
          'button',
          {
            type: 'button',
            role: 'tab',
            'aria-selected': () => String(at() === v),
            onclick: () => setQuery({ [name]: v === choices[0][0] ? '' : v, open: '' }),
          },
          label,
        ),
      ),
    ),
  };
}

/** Everything of a list up to 1,000, page by page. @param {string} path @param {Record<string, any>} query @param {AbortSignal} [stop] */
export async function all(path, query, stop) {
  const items = [];
  for (let cursor = '', n = 0; n < 10; n++) {
    const page = await get(path, { ...query, limit: 100, cursor }, { signal: stop });
    items.push(...page.items);
    if (!page.has_more || !page.next_cursor) return { items, complete: true };
    cursor = page.next_cursor;
  }
  return { items, complete: false };
}

/** Calls `changed` with each event of the project as it comes. `node` says whether it does. @param {(event: any) => void} changed @param {string} [otherwise] what is said while there is no stream */
export function live(changed, otherwise = m.polling) {
  const state = signal(/** @type {'live'|'waiting'|'missing'} */ ('waiting')),
    stop = new AbortController();
  onEnd(() => stop.abort());
  follow(
    `/v1/events/stream?project_id=${projectId.peek()}`,
    (e) => changed(e.data),
    stop.signal,
    (s) => state.set(s),
  );
  return { state, node: () => (state() === 'live' ? status('live') : status('idle', otherwise)) };
}

/** A part of a page of settings: what it is on the left, its form on the right. @param {string} title @param {any} hint @param {any} body */
export const setting = (title, hint, body) =>
  h('section', { class: 'setting' }, h('div', null, h('h2', null, title), h('p', { class: 'hint' }, hint)), h('div', null, body));
