// An organization's settings.
// @ts-check
import { h } from '../kit/dom.js';
import { get, logout } from '../kit/api.js';
import { go } from '../kit/router.js';
import { resource, show, bones } from '../kit/load.js';
import { confirm, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { m } from '../messages.js';
import { barred, me, overview, enter } from '../shell/session.js';
import { head, button } from '../shell/shell.js';
import { badge, count, ident, stamp, status, terms } from '../shell/format.js';
import { calls, optional, setting } from './parts.js';

/** @typedef {import('../api.js').Schemas} S */

/** @param {{org: string}} params */
export function organization({ org }) {
  const path = '/v1/organizations/' + encodeURIComponent(org), r = resource(() => get(path)), plans = resource(() => optional(() => get('/v1/plans')));
  const saved = () => { toast(m.saved); r.reload(); if (!me.peek()?.operator) enter(); };
  const drop = (/** @type {S['Organization']} */ o) => {
    const projects = overview.peek()?.items ?? [];
    confirm({
      title: m.deleteOrganization, typed: o.name, verb: m.deleteOrganization, consequences: h('p', null, m.deleteOrganizationConsequences(projects.length, projects.reduce((n, p) => n + (p.participants ?? 0), 0))),
      request: () => ['DELETE', path], done: () => me.peek()?.operator ? go('/operator/organizations') : logout(),
    });
  };
  return [
    head(m.nav.orgSettings, [calls([[m.read, 'GET', path], [m.save, 'PATCH', path, { name: '…' }], [m.plan, 'GET', '/v1/plans'], [m.deleteOrganization, 'DELETE', path]])]),
    h('div', null, show(r, (/** @type {S['Organization']} */ o) => [
      setting(m.general, m.orgHint, [
        terms([['id', ident(o.id)], [m.email, o.admin_email], [m.created, stamp(o.created_at)]]),
        form({ fields: [{ name: 'name', label: m.name, required: true, value: o.name }], submit: m.save, disabled: barred('organization.update'), request: (v) => ['PATCH', path, v], done: saved })]),
      setting(m.plan, m.planHint, [
        h('p', null, badge(m.plans[o.plan] ?? o.plan, 'good'), o.suspended_at && [' ', status('suspended')]),
        !barred('plan.change') && form({ inline: true, fields: [{ name: 'plan', label: m.plan, type: 'select', value: o.plan, options: Object.entries(m.plans) }], submit: m.changePlan, request: (v) => ['PATCH', path, v], done: saved }),
        () => plans.data()?.items && h('div', { class: 'plans' }, plans.data().items.map((/** @type {any} */ p) => h('div', { class: 'plan' + (p.name === o.plan ? ' mine' : '') },
          h('h3', null, m.plans[p.name] ?? p.name), terms(Object.entries(p.quotas).map(([k, v]) => /** @type {[string, any]} */ ([m.quotas[k] ?? k, v === null ? m.noLimit : count(/** @type {number} */ (v))]))))))]),
      setting(m.danger, m.orgDangerHint, button('organization.delete', m.deleteOrganization, () => drop(o), 'danger')),
    ], () => bones(6)))];
}
