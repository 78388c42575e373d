// A project's and an organization's settings, edited directly.
// @ts-check
import { h, signal } from '../kit/dom.js';
import { get, logout, patch, post, remove } from '../kit/api.js';
import { go } from '../kit/router.js';
import { resource, show, failure, bones } from '../kit/load.js';
import { confirm, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { m } from '../messages.js';
import { barred, me, overview, refreshOverview, enter } from '../shell/session.js';
import { head, button } from '../shell/shell.js';
import { badge, count, ident, stamp, status, terms } from '../shell/format.js';
import { curlButton, optional, quota, all } from './parts.js';

const lines = (/** @type {string} */ v) => v.split(/[\n,]+/).map((x) => x.trim()).filter(Boolean);
const grantNames = ['roomJoin', 'canPublish', 'canSubscribe', 'canPublishData', 'canUpdateOwnMetadata'];
/** @param {string} title @param {any} hint @param {any} body */
const section = (title, hint, body) => h('section', { class: 'setting' }, h('div', null, h('h2', null, title), h('p', { class: 'hint' }, hint)), h('div', null, body));

/** @param {{project: string}} params */
export function project({ project: id }) {
  const path = '/v1/projects/' + encodeURIComponent(id), r = resource(() => get(path)), quotas = resource(() => get('/v1/usage/quota', { project_id: id })), steps = signal(/** @type {any} */ (null)), wrong = signal(/** @type {any} */ (null));
  const save = async (/** @type {any} */ v) => { await patch(path, v); toast(m.saved); r.reload(); refreshOverview(); };
  const check = async () => { wrong.set(null); try { steps.set(await post(path + '/storage/check', {})); } catch (e) { wrong.set(e); } };
  const may = () => barred('project.update');
  const drop = async (/** @type {any} */ p) => {
    const row = overview.peek()?.items.find((x) => x.project_id === id);
    const [keys, hooks] = await Promise.all([all(path + '/keys', {}).then((k) => k.items.length, () => null), optional(() => all('/v1/webhooks/endpoints', { project_id: id })).then((k) => k?.items.length ?? 0, () => null)]);
    confirm({ title: m.deleteProject, typed: p.name, verb: m.deleteProject, consequences: h('p', null, m.deleteProjectConsequences(count(keys), count(hooks), count(row?.participants))), act: async () => { await remove(path); toast(m.projectDeleted); await refreshOverview(); go('/'); } });
  };
  return [head(m.nav.settings, [curlButton('GET', path)]), h('div', null, show(r, (p) => [
    section(m.general, m.generalHint, [form({ fields: [{ name: 'name', label: m.name, required: true, value: p.name }, { name: 'region', label: m.region, value: p.region, hint: m.regionHint }], submit: m.save, disabled: may(), send: save }), terms([['id', ident(p.id)], [m.organization, ident(p.org_id)], [m.created, stamp(p.created_at)]])]),
    section(m.clientTokens, m.clientTokensHint, form({ fields: [{ name: 'enabled', label: m.clientTokensEnabled, type: 'checkbox', value: p.client_tokens.enabled }, { name: 'max_ttl_seconds', label: m.maxTTL, type: 'number', value: p.client_tokens.max_ttl_seconds, attrs: { min: 30, max: 86400 }, parse: Number },
      { name: 'grants', label: m.grants, type: 'checks', value: Object.entries(p.client_tokens.grants).filter(([, v]) => v === true).map(([k]) => k), options: grantNames.map((g) => [g, g]), parse: (v) => Object.fromEntries(grantNames.map((g) => [g, v.includes(g)])) },
      { name: 'allowed_origins', label: m.allowedOrigins, type: 'textarea', hint: m.allowedOriginsHint, value: p.client_tokens.allowed_origins.join('\n'), parse: lines },
      p.client_tokens.allowed_rooms !== undefined && { name: 'allowed_rooms', label: m.allowedRooms, type: 'textarea', hint: m.allowedRoomsHint, value: p.client_tokens.allowed_rooms.join('\n'), parse: lines },
      p.client_tokens.identities !== undefined && { name: 'identities', label: m.identities, type: 'select', value: p.client_tokens.identities, options: [['any', m.identitiesAny], ['generated', m.identitiesGenerated]] }],
    submit: m.save, disabled: may(), send: (v) => save({ client_tokens: v }) })),
    p.storage !== undefined && section(m.storage, m.storageHint, [storage(p.storage, may(), save), p.storage && h('div', { class: 'actions' }, button('project.update', m.checkStorage, check)), () => wrong() && failure(wrong(), check), () => steps() && h('ul', { class: 'plain' }, steps().steps.map((/** @type {any} */ s) => h('li', null, status(s.ok ? 'ok' : 'failed', s.name), s.error && h('span', { class: 'bad' }, ' ', s.error))))]),
    section(m.quotaTitle, m.quotasHint, [h('div', null, show(quotas, (q) => h('div', { class: 'quotas' }, Object.entries(q.quotas).map(([name, u]) => quota({ label: m.quotas[name] ?? name, .../** @type {any} */ (u) }))), () => bones(3))), limits(p, save)]),
    section(m.danger, m.dangerHint, button('project.delete', m.deleteProject, () => drop(p), 'danger')),
  ], () => bones(8)))];
}

/** The operator's limits. @param {any} p @param {(v: any) => Promise<any>} save */
const limits = (p, save) => barred('limits.change') ? null : form({ fields: Object.entries(p.limits).map(([name, value]) => ({ name, label: m.limits[name] ?? name, type: /** @type {'number'} */ ('number'), value, attrs: { min: 0 }, parse: Number })), submit: m.saveLimits, send: (v) => save({ limits: v }) });

/** Where recordings go. @param {any} s @param {string} off @param {(v: any) => Promise<any>} save */
function storage(s, off, save) {
  const kind = signal(s?.kind ?? 's3');
  const some = (/** @type {string} */ v) => v || undefined;
  /** @type {Record<string, import('../kit/form.js').Field[]>} */
  const fields = { s3: [{ name: 'bucket', label: m.bucket, required: true, value: s?.bucket }, { name: 'region', label: m.region, value: s?.region, parse: some }, { name: 'endpoint', label: m.endpoint, value: s?.endpoint, hint: m.endpointHint, parse: some }, { name: 'access_key', label: m.accessKey, required: true, value: s?.access_key }, { name: 'secret', label: m.secretWord, type: 'password', required: true, hint: m.neverShown }, { name: 'force_path_style', label: m.pathStyle, type: 'checkbox', value: s?.force_path_style }],
    gcs: [{ name: 'bucket', label: m.bucket, required: true, value: s?.bucket }, { name: 'credentials', label: m.credentials, type: 'textarea', required: true, hint: m.neverShown }], azure: [{ name: 'account_name', label: m.accountName, required: true, value: s?.account_name }, { name: 'account_key', label: m.accountKey, type: 'password', required: true, hint: m.neverShown }, { name: 'container', label: m.container, required: true, value: s?.container }] };
  return [s ? h('p', null, badge(s.kind), ' ', h('span', { class: 'mono' }, s.bucket ?? s.container)) : h('p', { class: 'hint' }, m.noStorage), h('label', { class: 'filter' }, h('span', null, m.kind), h('select', { onchange: (/** @type {any} */ e) => kind.set(e.target.value) }, [['s3', 'S3, R2, MinIO'], ['gcs', 'Google Cloud Storage'], ['azure', 'Azure Blob Storage']].map(([v, t]) => h('option', { value: v, selected: kind.peek() === v }, t)))),
    () => form({ fields: [...fields[kind()], { name: 'prefix', label: m.prefix, value: s?.prefix, parse: some }, { name: 'cdn_base_url', label: m.cdn, value: s?.cdn_base_url, parse: some }], submit: m.save, disabled: off, send: (v) => save({ storage: { kind: kind.peek(), ...v } }) })];
}

/** @param {{org: string}} params */
export function organization({ org }) {
  const path = '/v1/organizations/' + encodeURIComponent(org), r = resource(() => get(path)), plans = resource(() => optional(() => get('/v1/plans')));
  const save = async (/** @type {any} */ v) => { await patch(path, v); toast(m.saved); r.reload(); if (!me.peek()?.operator) enter(); };
  const drop = (/** @type {any} */ o) => confirm({ title: m.deleteOrganization, typed: o.name, verb: m.deleteOrganization, consequences: h('p', null, m.deleteOrganizationConsequences(count(overview.peek()?.items.length), count(overview.peek()?.items.reduce((n, p) => n + (p.participants ?? 0), 0)))), act: async () => { await remove(path); if (me.peek()?.operator) go('/operator/organizations'); else await logout(); } });
  return [head(m.nav.orgSettings, [curlButton('GET', path)]), h('div', null, show(r, (o) => [
    section(m.general, m.orgHint, [form({ fields: [{ name: 'name', label: m.name, required: true, value: o.name }], submit: m.save, disabled: barred('organization.update'), send: save }), terms([['id', ident(o.id)], [m.email, o.admin_email], [m.created, stamp(o.created_at)]])]),
    section(m.plan, m.planHint, [h('p', null, badge(m.plans[o.plan] ?? o.plan, 'good'), o.suspended_at && [' ', status('suspended')]), !barred('plan.change') && form({ inline: true, fields: [{ name: 'plan', label: m.plan, type: 'select', value: o.plan, options: Object.entries(m.plans).map(([v, t]) => /** @type {[string, string]} */ ([v, t])) }], submit: m.changePlan, send: save }),
      () => plans.data()?.items && h('div', { class: 'plans' }, plans.data().items.map((/** @type {any} */ p) => h('div', { class: 'plan' + (p.name === o.plan ? ' mine' : '') }, h('h3', null, m.plans[p.name] ?? p.name), terms(Object.entries(p.quotas ?? {}).map(([k, v]) => /** @type {[string, any]} */ ([m.quotas[k] ?? m.limits[k] ?? k, v === null ? m.noLimit : count(/** @type {number} */ (v))]))))))]),
    section(m.danger, m.orgDangerHint, button('organization.delete', m.deleteOrganization, () => drop(o), 'danger')),
  ], () => bones(6)))];
}
