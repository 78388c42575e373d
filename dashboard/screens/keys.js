// Key pairs: scopes, ends, networks, last use; rotation with a grace period.
// @ts-check
import { h } from '../kit/dom.js';
import { get } from '../kit/api.js';
import { href, param, withQuery } from '../kit/router.js';
import { list, resource, show } from '../kit/load.js';
import { confirm, dialog, secret, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { m } from '../messages.js';
import { barred, project, projectId } from '../shell/session.js';
import { head, button, drawer } from '../shell/shell.js';
import { badge, ident, status, stamp, terms, their, time } from '../shell/format.js';
import { calls, curlButton, empty, all, guarded, lines } from './parts.js';

/** @typedef {import('../api.js').Schemas} S */
/** An instant as datetime-local shows it. @param {string} iso */
const local = (iso) => { const d = new Date(iso); return new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16); };
const ended = (/** @type {S['Key']} */ k) => k.expires_at !== null && Date.parse(k.expires_at) <= Date.now();
/** @param {S['Key']} k */
const stateOf = (k) => ended(k) ? status('expired') : k.rotated_at ? status('expiring', m.replaced) : k.expires_at ? [status('expiring'), ' ', h('span', { class: 'hint' }, time(k.expires_at))] : status('active');
/** @param {S['Key']} k */
const scopes = (k) => k.scopes.map((s) => [badge(s === '*' ? m.everything : s), ' ']);
/** @param {any} answer @param {string} title @param {() => void} [done] */
const reveal = (answer, title, done) => secret(title, [{ label: m.apiKey, value: answer.pulse_api_key, env: 'PULSE_API_KEY' }, { label: m.apiSecret, value: answer.pulse_api_secret, env: 'PULSE_API_SECRET' }], done);

/** @param {S['Key']} [k] @returns {import('../kit/form.js').Field[]} */
const fields = (k) => [
  { name: 'name', label: m.name, required: true, value: k?.name },
  { name: 'scopes', label: m.scopes, type: 'checks', required: true, value: k?.scopes ?? ['*'], options: Object.entries(m.scopeNames) },
  { name: 'expires_at', label: m.expires, type: 'datetime-local', hint: m.expiresHint, value: k?.expires_at ? local(k.expires_at) : '', parse: (v) => v ? new Date(v).toISOString() : k?.expires_at ? null : undefined },
  { name: 'allowed_ips', label: m.allowedIPs, type: 'textarea', hint: m.allowedIPsHint, value: (k?.allowed_ips ?? []).join('\n'), parse: lines },
];

export const keys = () => barred('keys.read') ? [head(m.nav.keys, [], m.keysUnder), guarded('keys.read', () => null)] : pairs();

function pairs() {
  const base = `/v1/projects/${projectId.peek()}/keys`, open = param('open');
  const l = list({
    label: m.nav.keys, to: (k) => href(withQuery({ open: k.id })), load: (cursor, stop) => get(base, { limit: 50, cursor }, { signal: stop }),
    columns: [
      { label: m.name, cell: (k) => their(k.name) }, { label: m.apiKey, cell: (k) => ident(k.pulse_api_key, m.apiKey) }, { label: m.secretWord, cell: (k) => h('span', { class: 'mono' }, '…' + k.secret_hint), wide: true }, { label: m.scopes, cell: scopes, wide: true },
      { label: m.lastUsed, cell: (k) => time(k.last_used_at, m.never) }, { label: m.state_, cell: stateOf }, { label: m.created, cell: (k) => time(k.created_at), wide: true }],
    empty: () => empty(m.noKeys, button('keys.write', m.createKey, create, 'primary'), ['POST', base, { name: 'server', scopes: ['*'] }]),
  });
  function create() {
    dialog(m.createKey, (close) => form({ fields: fields(), submit: m.createKey, cancel: close, request: (v) => ['POST', base, v], done: (made) => { close(); reveal(made, m.keyCreated, l.reload); } }));
  }
  const rotate = () => confirm({
    title: m.rotate, verb: m.rotate, consequences: h('p', null, m.rotateConsequences(project()?.name ?? '')),
    fields: [{ name: 'grace_period_seconds', label: m.grace, type: 'select', value: '86400', options: [['0', m.graces.none], ['3600', m.graces.hour], ['86400', m.graces.day], ['604800', m.graces.week]], parse: Number }],
    request: (v) => ['POST', `/v1/projects/${projectId.peek()}/regenerate-keys`, v], done: (made) => reveal(made, m.rotated, l.reload),
  });
  const drop = async (/** @type {S['Key']} */ k) => {
    // The API wants it said when no usable key is left.
    const usable = (await all(base, {})).items.filter((x) => !ended(x)), last = usable.length === 1 && usable[0].id === k.id;
    confirm({
      title: m.deleteKey, typed: k.name, verb: m.deleteKey, consequences: [h('p', null, m.deleteKeyConsequences(k.last_used_at ? m.usedBefore : m.usedNever)), last && h('p', { class: 'bad' }, m.lastKey)],
      request: () => ['DELETE', `${base}/${k.id}${last ? '?force=true' : ''}`], done: () => { toast(m.keyDeleted); open.set(''); l.reload(); },
    });
  };
  drawer(open, open, (id) => ({ title: m.keyWord, body: () => {
    const at = `${base}/${encodeURIComponent(id)}`, r = resource(() => get(at));
    const edit = (/** @type {S['Key']} */ k) => dialog(m.edit, (close) => form({ fields: fields(k), submit: m.save, cancel: close, request: (v) => ['PATCH', at, v], done: () => { close(); toast(m.saved); r.reload(); l.reload(); } }));
    return show(r, (k) => [
      terms([
        [m.name, their(k.name)], [m.apiKey, ident(k.pulse_api_key)], [m.secretWord, h('span', { class: 'mono' }, '…' + k.secret_hint)], [m.state_, stateOf(k)], [m.scopes, scopes(k)],
        [m.allowedIPs, k.allowed_ips.length ? h('span', { class: 'mono' }, k.allowed_ips.join(', ')) : m.anywhere], [m.lastUsed, k.last_used_at ? [stamp(k.last_used_at), ' ', h('span', { class: 'hint' }, time(k.last_used_at))] : m.never],
        [m.expires, k.expires_at ? stamp(k.expires_at) : m.never], [m.created, stamp(k.created_at)], ['id', ident(k.id)]]),
      h('div', { class: 'actions' }, button('keys.write', m.edit, () => edit(k)), button('keys.write', m.deleteKey, () => drop(k), 'danger'), calls([[m.read, 'GET', at], [m.deleteKey, 'DELETE', at]]))]);
  } }));
  return [head(m.nav.keys, [curlButton('GET', base), button('keys.write', m.rotate, rotate), button('keys.write', m.createKey, create, 'primary', 'plus')], m.keysUnder), l.node];
}
