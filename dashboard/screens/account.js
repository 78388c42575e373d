// One's own account: name, password, logins.
// @ts-check
import { h } from '../kit/dom.js';
import { get, patch, post, remove } from '../kit/api.js';
import { list } from '../kit/load.js';
import { confirm, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { m } from '../messages.js';
import { enter, me } from '../shell/session.js';
import { head } from '../shell/shell.js';
import { badge, ident, terms, their, time } from '../shell/format.js';
import { secretField, curlButton } from './parts.js';

export function account() {
  const logins = list({ label: m.logins, load: (cursor, stop) => get('/v1/auth/sessions', { limit: 50, cursor }, { signal: stop }), empty: () => h('p', null, m.noLogins),
    columns: [{ label: m.began, cell: (s) => [time(s.created_at), s.current && [' ', badge(m.thisOne, 'good')]] }, { label: m.lastSeen, cell: (s) => time(s.last_used_at ?? s.refreshed_at) }, { label: 'IP', cell: (s) => h('span', { class: 'mono' }, s.ip || '–') }, { label: m.agent, cell: (s) => their(s.user_agent), wide: true }, { label: m.expires, cell: (s) => time(s.expires_at), wide: true },
      { label: '', cell: (s) => !s.current && h('span', { class: 'row-actions' }, h('button', { type: 'button', class: 'button small', onclick: () => confirm({ title: m.endLogin, verb: m.endLogin, consequences: h('p', null, m.endLoginConsequences), act: async () => { await remove('/v1/auth/sessions/' + s.id); toast(m.loginEnded); logins.reload(); } }) }, m.endLogin)) }] });
  return [head(m.nav.account, [curlButton('GET', '/v1/auth/me')]),
    h('section', { class: 'setting' }, h('div', null, h('h2', null, m.you_), h('p', { class: 'hint' }, m.youHint)), h('div', null, () => me() && [form({ fields: [{ name: 'name', label: m.name, required: true, value: me()?.user?.name }], submit: m.save, send: async (v) => { await patch('/v1/auth/me', v); toast(m.saved); enter(); } }),
      terms([[m.email, me()?.user?.email], [m.role, badge(m.roles[me()?.user?.role ?? ''])], ['id', ident(me()?.user?.id)]])])),
    h('section', { class: 'setting' }, h('div', null, h('h2', null, m.password), h('p', { class: 'hint' }, m.passwordHint)), h('div', null, form({ fields: [{ ...secretField, name: 'current_password', label: m.currentPassword, attrs: { autocomplete: 'current-password' } }, { ...secretField, name: 'new_password', label: m.newPassword, hint: m.passwordRule, attrs: { autocomplete: 'new-password' } }], submit: m.changePassword, send: async (v) => { await post('/v1/auth/password', v); toast(m.passwordChanged); logins.reload(); } }))),
    h('section', null, h('h2', null, m.logins), logins.node)];
}
