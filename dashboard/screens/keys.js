// Key pairs: scopes, ends, networks, last use; rotation with a grace period.
// @ts-check
import { h } from '../kit/dom.js';
import { get, post, patch, remove } from '../kit/api.js';
import { href, param, withQuery } from '../kit/router.js';
import { list, resource, show } from '../kit/load.js';
import { confirm, dialog, secret, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { m } from '../messages.js';
import { barred, project, projectId } from '../shell/session.js';
import { head, button, drawer } from '../shell/shell.js';
import { badge, ident, status, stamp, terms, their, time } from '../shell/format.js';
import { curlButton, empty, all, guarded } from './parts.js';

/** A local date-time as the API wants it. @param {string} v */
const instant = (v) => v ? new Date(v).toISOString() : undefined;
const lines = (/** @type {string} */ v) => v.split(/[\s,]+/).filter(Boolean);
/** @param {any} answer @param {string} title @param {() => void} [done] */
const reveal = (answer, title, done) => secret(title, [{ label: m.apiKey, value: answer.pulse_api_key, env: 'PULSE_API_KEY' }, { label: m.apiSecret, value: answer.pulse_api_secret, env: 'PULSE_API_SECRET' }], done);
/** @param {any} k */
const stateOf = (k) => k.expires_at && Date.parse(k.expires_at) <= Date.now() ? status('expired') : k.rotated_at ? status('expiring', m.replaced) : k.expires_at ? status('expiring') : status('active');
/** @param {any} [k] @returns {import('../kit/form.js').Field[]} */
const fields = (k) => [{ name: 'name', label: m.name, required: true, value: k?.name }, { name: 'scopes', label: m.scopes, type: 'checks', required: true, value: k?.scopes ?? ['*'], options: Object.entries(m.scopeNames).map(([v, text]) => /** @type {[string, string]} */ ([v, text])) },
  { name: 'expires_at', label: m.expires, type: 'datetime-local', hint: m.expiresHint, value: k?.expires_at ? local(k.expires_at) : '', parse: (v) => v ? instant(v) : k?.expires_at ? null : undefined }, { name: 'allowed_ips', label: m.allowedIPs, type: 'textarea', hint: m.allowedIPsHint, value: (k?.allowed_ips ?? []).join('\n'), parse: lines }];
/** @param {string} iso */
const local = (iso) => { const d = new Date(iso); return new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16); };

export const keys = () => barred('keys.read') ? [head(m.nav.keys, [], m.keysUnder), guarded('keys.read', () => null)] : pairs();

function pairs() {
  const base = `/v1/projects/${projectId.peek()}/keys`, open = param('open');
  const l = list({
    label: m.nav.keys, load: (cursor, stop) => get(base, { limit: 50, cursor }, { signal: stop }), to: (k) => href(withQuery({ open: k.id })),
    columns: [{ label: m.name, cell: (k) => their(k.name) }, { label: m.apiKey, cell: (k) => ident(k.pulse_api_key, m.apiKey) }, { label: m.secretWord, cell: (k) => h('span', { class: 'mono' }, '…' + k.secret_hint), wide: true }, { label: m.scopes, cell: (k) => k.scopes.map((/** @type {string} */ s) => [badge(s === '*' ? m.everything : s), ' ']), wide: true },
      { label: m.lastUsed, cell: (k) => time(k.last_used_at, m.never) }, { label: m.state_, cell: stateOf }, { label: m.created, cell: (k) => time(k.created_at), wide: true }],
    empty: () => empty(m.noKeys, button('keys.write', m.createKey, create, 'primary')),
  });
  function create() {
    dialog(m.createKey, (close) => form({ fields: fields(), submit: m.createKey, cancel: close, send: async (v) => { const made = await post(base, v); close(); reveal(made, m.keyCreated, l.reload); } }));
  }
  const rotate = () => confirm({ title: m.rotate, verb: m.rotate, consequences: h('p', null, m.rotateConsequences(project()?.name ?? '')), act: async () => {},
    fields: [{ name: 'grace_period_seconds', label: m.grace, type: 'select', value: '86400', options: [['0', m.graces.none], ['3600', m.graces.hour], ['86400', m.graces.day], ['604800', m.graces.week]], parse: Number }],
    send: async (v) => { const made = await post(`/v1/projects/${projectId.peek()}/regenerate-keys`, v); setTimeout(() => reveal(made, m.rotated, l.reload)); } });
  drawer(open, open, (id) => {
    const r = () => resource(() => get(`${base}/${encodeURIComponent(id)}`));
    return { title: m.keyWord, body: () => { const k$ = r(); return show(k$, (k) => [terms([[m.name, their(k.name)], [m.apiKey, ident(k.pulse_api_key)], [m.secretWord, h('span', { class: 'mono' }, '…' + k.secret_hint)], [m.state_, stateOf(k)], [m.scopes, k.scopes.map((/** @type {string} */ s) => [badge(s === '*' ? m.everything : s), ' '])], [m.allowedIPs, k.allowed_ips.length ? h('span', { class: 'mono' }, k.allowed_ips.join(', ')) : m.anywhere],
      [m.lastUsed, time(k.last_used_at, m.never)], [m.expires, k.expires_at ? stamp(k.expires_at) : m.never], [m.created, stamp(k.created_at)], ['id', ident(k.id)]]),
    h('div', { class: 'actions' }, button('keys.write', m.edit, () => dialog(m.edit, (close) => form({ fields: fields(k), submit: m.save, cancel: close, send: async (v) => { await patch(`${base}/${k.id}`, v); close(); k$.reload(); l.reload(); } }))),
      button('keys.write', m.deleteKey, () => drop(k), 'danger'), curlButton('GET', `${base}/${k.id}`))]); } };
  });
  const drop = (/** @type {any} */ k) => confirm({ title: m.deleteKey, typed: k.name, verb: m.deleteKey, consequences: h('p', null, m.deleteKeyConsequences(k.last_used_at ? m.usedBefore : m.usedNever)), act: async () => {
    const last = (await all(base, {})).items.filter((/** @type {any} */ x) => !x.expires_at || Date.parse(x.expires_at) > Date.now()).length <= 1;
    await remove(`${base}/${k.id}${last ? '?force=true' : ''}`); toast(m.keyDeleted); open.set(''); l.reload();
  } });
  return [head(m.nav.keys, [curlButton('GET', base), button('keys.write', m.rotate, rotate), button('keys.write', m.createKey, create, 'primary', 'plus')], m.keysUnder), l.node];
}
