// Members of an organization and who is invited.
// @ts-check
import { h } from '../kit/dom.js';
import { get } from '../kit/api.js';
import { BASE } from '../kit/router.js';
import { list } from '../kit/load.js';
import { confirm, dialog, secret, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { m } from '../messages.js';
import { barred, me } from '../shell/session.js';
import { head, button } from '../shell/shell.js';
import { badge, time, their } from '../shell/format.js';
import { act, calls, empty } from './parts.js';

const roles = /** @type {[string, string][]} */ (['owner', 'admin', 'developer', 'viewer'].map((r) => [r, `${m.roles[r]} – ${m.roleMeans[r]}`]));

/** @param {{org: string}} params */
export function people({ org }) {
  const base = '/v1/organizations/' + encodeURIComponent(org), self = (/** @type {any} */ u) => u.id === me()?.user?.id;
  const members = list({
    label: m.members, load: (cursor, stop) => get(base + '/members', { limit: 50, cursor }, { signal: stop }), empty: () => h('p', null, m.noMembers),
    columns: [
      { label: m.name, cell: (u) => [their(u.name), self(u) && [' ', badge(m.you)]] }, { label: m.email, cell: (u) => their(u.email) }, { label: m.role, cell: (u) => badge(m.roles[u.role]) }, { label: m.since, cell: (u) => time(u.created_at), wide: true },
      { label: '', cell: (u) => h('span', { class: 'row-actions' }, button('members.write', m.changeRole, () => change(u), 'small'), self(u) ? button('members.leave', m.leaveOrganization, () => drop(u, true), 'small') : button('members.write', m.removeMember, () => drop(u), 'small')) }],
  });
  const change = (/** @type {any} */ u) => dialog(m.changeRole, (close) => form({
    fields: [{ name: 'role', label: m.roleOf(u.name), type: 'select', value: u.role, options: roles }],
    submit: m.save, cancel: close, request: (v) => ['PATCH', `${base}/members/${u.id}`, v], done: () => { close(); toast(m.saved); members.reload(); },
  }));
  const drop = (/** @type {any} */ u, leave = false) => confirm({
    title: leave ? m.leaveOrganization : m.removeMember, typed: u.email, verb: leave ? m.leaveOrganization : m.removeMember, consequences: h('p', null, m.removeMemberConsequences(u.name)),
    fields: [{ name: 'revoke_keys', label: m.revokeKeys, type: 'checkbox' }],
    request: (v) => ['DELETE', `${base}/members/${u.id}${v.revoke_keys ? '?revoke_keys=true' : ''}`], done: () => { toast(m.memberRemoved); members.reload(); },
  });
  /** @type {{node: any, reload: () => void}|null} */
  const invitations = barred('invitations.read') ? null : list({
    label: m.invitations, load: (cursor, stop) => get(base + '/invitations', { limit: 50, cursor }, { signal: stop }),
    empty: () => empty(m.noInvitations, null, ['POST', base + '/invitations', { email: 'ann@example.com', role: 'developer' }]),
    columns: [
      { label: m.email, cell: (i) => their(i.email) }, { label: m.role, cell: (i) => badge(m.roles[i.role]) }, { label: m.invited_, cell: (i) => time(i.created_at) }, { label: m.expires, cell: (i) => time(i.expires_at) },
      { label: '', cell: (i) => h('span', { class: 'row-actions' }, button('invitations.write', m.withdraw, () => act(['DELETE', `${base}/invitations/${i.id}`], m.withdrawn, () => invitations?.reload()), 'small')) }],
  });
  const invite = () => dialog(m.invite, (close) => form({
    fields: [{ name: 'email', label: m.email, type: 'email', required: true }, { name: 'role', label: m.role, type: 'select', value: 'developer', options: roles }],
    submit: m.invite, cancel: close, request: (v) => ['POST', base + '/invitations', v],
    done: (made) => {
      close(); invitations?.reload();
      if (made.accept_token) secret(m.invited(made.invitation.email), [{ label: m.invitationLink, value: `${location.origin}${BASE}/accept#token=${made.accept_token}`, env: 'INVITATION' }]);
      else toast(m.invitationSent);
    },
  }));
  return [
    head(m.nav.people, [calls([[m.members, 'GET', base + '/members'], [m.invitations, 'GET', base + '/invitations'], [m.invite, 'POST', base + '/invitations', { email: 'ann@example.com', role: 'developer' }]]), button('invitations.write', m.invite, invite, 'primary', 'plus')], m.peopleUnder),
    members.node, h('section', null, h('h2', null, m.invitations), invitations ? invitations.node : h('p', { class: 'hint' }, barred('invitations.read')))];
}
