// One's own account: name, password, logins.
// @ts-check
import { h } from '../kit/dom.js';
import { get, remove } from '../kit/api.js';
import { list } from '../kit/load.js';
import { confirm, dialog, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { m } from '../messages.js';
import { enter, me } from '../shell/session.js';
import { head } from '../shell/shell.js';
import { badge, ident, terms, their, time } from '../shell/format.js';
import { all, calls, secretField, setting } from './parts.js';

/** @typedef {import('../api.js').Schemas} S */

export function account() {
  const A = '/v1/auth/sessions';
  const logins = list({
    label: m.logins, load: (cursor, stop) => get(A, { limit: 50, cursor }, { signal: stop }), empty: () => h('p', null, m.noLogins),
    columns: [
      { label: m.began, cell: (s) => [time(s.created_at), s.current && [' ', badge(m.thisOne, 'good')]] }, { label: m.lastSeen, cell: (s) => time(s.last_used_at) }, { label: 'IP', cell: (s) => h('span', { class: 'mono' }, s.ip || '–') },
      { label: m.agent, cell: (s) => their(browserOf(s.user_agent)), wide: true }, { label: m.expires, cell: (s) => time(s.expires_at), wide: true },
      { label: '', cell: (s) => !s.current && h('span', { class: 'row-actions' }, h('button', { type: 'button', class: 'button small', onclick: () => end(s) }, m.endLogin)) }],
  });
  const end = (/** @type {S['LoginSession']} */ s) => confirm({ title: m.endLogin, verb: m.endLogin, consequences: h('p', null, m.endLoginConsequences), request: () => ['DELETE', `${A}/${s.id}`], done: () => { toast(m.loginEnded); logins.reload(); } });
  const endOthers = async () => {
    const others = (await all(A, {})).items.filter((s) => !s.current);
    if (!others.length) { toast(m.noOtherLogins); return; }
    dialog(m.endOthers, (close) => [h('p', null, m.endOthersConsequences(others.length)), form({ fields: [], submit: m.endOthers, danger: true, cancel: close, send: async () => { for (const s of others) await remove(`${A}/${s.id}`); close(); toast(m.loginEnded); logins.reload(); } })]);
  };
  return [
    head(m.nav.account, [calls([[m.read, 'GET', '/v1/auth/me'], [m.logins, 'GET', A]])]),
    setting(m.you_, m.youHint, () => me() && [
      terms([[m.email, me()?.user?.email], [m.role, badge(m.roles[me()?.user?.role ?? ''])], ['id', ident(me()?.user?.id)]]),
      form({ fields: [{ name: 'name', label: m.name, required: true, value: me()?.user?.name }], submit: m.save, request: (v) => ['PATCH', '/v1/auth/me', v], done: () => { toast(m.saved); enter(); } })]),
    setting(m.password, m.passwordHint, form({
      fields: [{ ...secretField, name: 'current_password', label: m.currentPassword, attrs: { autocomplete: 'current-password' } }, { ...secretField, name: 'new_password', label: m.newPassword, hint: m.passwordRule, attrs: { autocomplete: 'new-password' } }],
      submit: m.changePassword, request: (v) => ['POST', '/v1/auth/password', v], done: () => { toast(m.passwordChanged); logins.reload(); } })),
    h('section', null, h('div', { class: 'section-head' }, h('h2', null, m.logins), h('button', { type: 'button', class: 'button small', onclick: endOthers }, m.endOthers)), logins.node)];
}

/** A browser's name and system out of its long text. @param {string} agent */
function browserOf(agent) {
  const name = /(Firefox|Edg|OPR|Chrome|Safari)\/(\d+)/.exec(agent.replace(/Version\/(\d+)[\d.]* .*Safari\/[\d.]+/, 'Safari/$1')), system = /(Windows|Mac OS X|Android|iPhone|iPad|Linux)/.exec(agent);
  return name ? [{ Edg: 'Edge', OPR: 'Opera' }[name[1]] ?? name[1], name[2], system && '· ' + system[1].replace('Mac OS X', 'macOS')].filter(Boolean).join(' ') : agent;
}
