// Members of an organization and who is invited.
// @ts-check
import { h } from '../kit/dom.js';
import { get, post, patch, remove } from '../kit/api.js';
import { BASE } from '../kit/router.js';
import { list } from '../kit/load.js';
import { confirm, dialog, secret, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { m } from '../messages.js';
import { barred, me } from '../shell/session.js';
import { head, button } from '../shell/shell.js';
import { badge, time, their } from '../shell/format.js';
import { curlButton } from './parts.js';

const roles = /** @type {[string, string][]} */ (['owner', 'admin', 'developer', 'viewer'].map((r) => [r, `${m.roles[r]} – ${m.roleMeans[r]}`]));

/** @param {{org: string}} params */
export function people({ org }) {
  const base = `/v1/organizations/${org}`;
  const members = list({ label: m.members, load: (cursor, stop) => get(base + '/members', { limit: 50, cursor }, { signal: stop }), empty: () => h('p', null, m.noMembers),
    columns: [{ label: m.name, cell: (u) => [their(u.name), u.id === me()?.user?.id && [' ', badge(m.you)]] }, { label: m.email, cell: (u) => their(u.email) }, { label: m.role, cell: (u) => badge(m.roles[u.role]) }, { label: m.since, cell: (u) => time(u.created_at), wide: true },
      { label: '', cell: (u) => h('span', { class: 'row-actions' }, button('members.write', m.changeRole, () => change(u), 'small'), u.id === me()?.user?.id ? button('members.leave', m.leaveOrganization, () => drop(u, true), 'small') : button('members.write', m.removeMember, () => drop(u), 'small')) }] });
  const change = (/** @type {any} */ u) => dialog(m.changeRole, (close) => form({ fields: [{ name: 'role', label: m.roleOf(u.name), type: 'select', value: u.role, options: roles }], submit: m.save, cancel: close, send: async (v) => { await patch(`${base}/members/${u.id}`, v); close(); toast(m.saved); members.reload(); } }));
  const drop = (/** @type {any} */ u, leave = false) => confirm({ title: leave ? m.leaveOrganization : m.removeMember, typed: u.email, verb: leave ? m.leaveOrganization : m.removeMember, consequences: h('p', null, m.removeMemberConsequences(u.name)), fields: [{ name: 'revoke_keys', label: m.revokeKeys, type: 'checkbox' }], act: async () => {},
    send: async (v) => { await remove(`${base}/members/${u.id}${v.revoke_keys ? '?revoke_keys=true' : ''}`); toast(m.memberRemoved); members.reload(); } });
  const invitations = () => barred('invitations.read') ? h('p', { class: 'hint' }, barred('invitations.read')) : (shown = list({ label: m.invitations, load: (cursor, stop) => get(base + '/invitations', { limit: 50, cursor }, { signal: stop }), empty: () => h('p', null, m.noInvitations),
    columns: [{ label: m.email, cell: (i) => their(i.email) }, { label: m.role, cell: (i) => badge(m.roles[i.role]) }, { label: m.invited_, cell: (i) => time(i.created_at) }, { label: m.expires, cell: (i) => time(i.expires_at) },
      { label: '', cell: (i) => h('span', { class: 'row-actions' }, button('invitations.write', m.withdraw, async () => { try { await remove(`${base}/invitations/${i.id}`); toast(m.withdrawn); shown?.reload(); } catch (e) { toast(m.problem(e)); } }, 'small')) }] })).node;
  /** @type {{node: any, reload: () => void}|null} */
  let shown = null;
  const invite = () => dialog(m.invite, (close) => form({ fields: [{ name: 'email', label: m.email, type: 'email', required: true }, { name: 'role', label: m.role, type: 'select', value: 'developer', options: roles }], submit: m.invite, cancel: close,
    send: async (v) => {
      const made = await post(base + '/invitations', v);
      close();
      if (made.accept_token) secret(m.invited(v.email), [{ label: m.invitationLink, value: `${location.origin}${BASE}/accept#token=${made.accept_token}`, env: 'INVITATION' }], () => shown?.reload());
      else { toast(m.invitationSent); shown?.reload(); }
    } }));
  return [head(m.nav.people, [curlButton('GET', base + '/members'), button('invitations.write', m.invite, invite, 'primary', 'plus')]), members.node, h('section', null, h('h2', null, m.invitations), invitations)];
}
