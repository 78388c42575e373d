// A project's settings, edited in place.
// @ts-check
import { h, signal } from '../kit/dom.js';
import { get, post } from '../kit/api.js';
import { go } from '../kit/router.js';
import { resource, show, failure, bones } from '../kit/load.js';
import { confirm, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { m } from '../messages.js';
import { barred, overview, refreshOverview } from '../shell/session.js';
import { head, button } from '../shell/shell.js';
import { badge, count, ident, stamp, status, terms, their } from '../shell/format.js';
import { all, calls, lines, quota, setting } from './parts.js';

/** @typedef {import('../api.js').Schemas} S */
const grantNames = ['roomJoin', 'canPublish', 'canSubscribe', 'canPublishData', 'canUpdateOwnMetadata'];
const rows = (/** @type {string} */ v) => v.split(/[\n,]+/).map((x) => x.trim()).filter(Boolean);
const some = (/** @type {string} */ v) => v || undefined;

/** @param {{project: string}} params */
export function project({ project: id }) {
  const path = '/v1/projects/' + encodeURIComponent(id), r = resource(() => get(path)), quotas = resource(() => get('/v1/usage/quota', { project_id: id }));
  const saved = () => { toast(m.saved); r.reload(); quotas.reload(); refreshOverview(); };
  /** A form that changes a part of the project. @param {(import('../kit/form.js').Field|false)[]} fields @param {(values: any) => any} body @param {string} [submit] */
  const patching = (fields, body, submit = m.save) => form({ fields, submit, disabled: barred('project.update'), request: (v) => ['PATCH', path, body(v)], done: saved });
  const drop = async (/** @type {S['Project']} */ p) => {
    const row = overview.peek()?.items.find((x) => x.project_id === id);
    const number = (/** @type {Promise<{items: any[]}>} */ page) => page.then(({ items }) => items.length, () => null);
    const [keys, hooks] = await Promise.all([number(all(path + '/keys', {})), number(all('/v1/webhooks/endpoints', { project_id: id }))]);
    confirm({
      title: m.deleteProject, typed: p.name, verb: m.deleteProject, consequences: h('p', null, m.deleteProjectConsequences(count(keys), count(hooks), row?.participants ?? null)),
      request: () => ['DELETE', path], done: async () => { toast(m.projectDeleted); await refreshOverview(); go('/'); },
    });
  };
  return [
    head(m.nav.settings, [calls([[m.read, 'GET', path], [m.save, 'PATCH', path, { name: '…' }], [m.checkStorage, 'POST', path + '/storage/check', {}], [m.deleteProject, 'DELETE', path]])]),
    h('div', null, show(r, (/** @type {S['Project']} */ p) => [
      setting(m.general, m.generalHint, [
        terms([['id', ident(p.id)], [m.organization, ident(p.org_id)], [m.created, stamp(p.created_at)]]),
        patching([{ name: 'name', label: m.name, required: true, value: p.name }, { name: 'region', label: m.region, value: p.region, hint: m.regionHint }], (v) => v)]),
      setting(m.clientTokens, m.clientTokensHint, patching([
        { name: 'enabled', label: m.clientTokensEnabled, type: 'checkbox', value: p.client_tokens.enabled },
        { name: 'max_ttl_seconds', label: m.maxTTL, type: 'number', value: p.client_tokens.max_ttl_seconds, attrs: { min: 30, max: 86400 }, parse: Number },
        { name: 'grants', label: m.grants, type: 'checks', value: grantNames.filter((g) => /** @type {any} */ (p.client_tokens.grants)[g]), options: grantNames.map((g) => [g, g]), parse: (v) => Object.fromEntries(grantNames.map((g) => [g, v.includes(g)])) },
        { name: 'allowed_origins', label: m.allowedOrigins, type: 'textarea', hint: m.allowedOriginsHint, value: p.client_tokens.allowed_origins.join('\n'), parse: rows },
        { name: 'allowed_rooms', label: m.allowedRooms, type: 'textarea', hint: m.allowedRoomsHint, value: p.client_tokens.allowed_rooms.join('\n'), parse: rows },
        { name: 'identities', label: m.identities, type: 'select', value: p.client_tokens.identities, options: [['any', m.identitiesAny], ['generated', m.identitiesGenerated]] },
      ], (v) => ({ client_tokens: v }))),
      setting(m.storage, m.storageHint, storage(p, path, patching, saved)),
      setting(m.automaticRecording, m.automaticRecordingHint, patching([
        { name: 'enabled', label: m.recordRooms, type: 'checkbox', value: p.recording.enabled, hint: p.storage ? '' : m.needsStorage },
        { name: 'layout', label: m.layout, type: 'select', value: p.recording.layout, options: [['', m.standard], ['grid', m.layouts.grid], ['speaker', m.layouts.speaker], ['single-speaker', m.layouts.single]], parse: some, when: (v) => v('enabled') },
        { name: 'encoding', label: m.encoding, type: 'select', value: p.recording.encoding, options: [['', m.standard], ...encodings], parse: some, when: (v) => v('enabled') },
        { name: 'audio_only', label: m.audioOnly, type: 'checkbox', value: p.recording.audio_only, when: (v) => v('enabled') },
      ], (v) => ({ recording: v }))),
      setting(m.quotaTitle, m.quotasHint, [
        h('div', null, show(quotas, (q) => h('div', { class: 'quotas' }, Object.entries(q.quotas).map(([name, u]) => quota({ label: m.quotas[name] ?? name, .../** @type {any} */ (u) }))), () => bones(3))),
        !barred('limits.change') && [
          h('h3', null, m.limitsTitle), patching(Object.entries(p.limits).map(([name, value]) => ({ name, label: m.limits[name] ?? name, type: /** @type {'number'} */ ('number'), value: value || '', hint: m.limitHint, attrs: { min: 0 }, parse: Number })), (v) => ({ limits: v }), m.saveLimits),
          h('h3', null, m.agentsTitle), patching([{ name: 'agents', label: m.agents, hint: m.agentsHint, value: p.agents.join(', '), parse: lines }], (v) => v, m.saveAgents)]]),
      setting(m.danger, m.dangerHint, button('project.delete', m.deleteProject, () => drop(p), 'danger')),
    ], () => bones(8)))];
}

const encodings = ['h264_720p_30', 'h264_720p_60', 'h264_1080p_30', 'h264_1080p_60', 'portrait_h264_720p_30', 'portrait_h264_720p_60', 'portrait_h264_1080p_30', 'portrait_h264_1080p_60']
  .map((e) => /** @type {[string, string]} */ ([e, e.replace('portrait_', m.portrait + ' ').replace('h264_', '').replace('_', ', ') + ' fps']));

/** Where recordings go, and the check of it. @param {S['Project']} p @param {string} path @param {any} patching @param {() => void} saved */
function storage(p, path, patching, saved) {
  const s = p.storage, answer = signal(/** @type {S['StorageCheck']|null} */ (null)), wrong = signal(/** @type {any} */ (null)), busy = signal(false);
  const check = async () => {
    busy.set(true); wrong.set(null); answer.set(null);
    try { answer.set(await post(path + '/storage/check', {})); } catch (e) { wrong.set(e); } finally { busy.set(false); }
  };
  const drop = () => confirm({ title: m.removeStorage, verb: m.removeStorage, consequences: h('p', null, m.removeStorageConsequences), request: () => ['PATCH', path, { storage: null }], done: saved });
  const of = (/** @type {string} */ kind) => (/** @type {(name: string) => any} */ v) => v('kind') === kind;
  const secret = (/** @type {string} */ kind) => ({ type: /** @type {'password'} */ ('password'), hint: s?.kind === kind ? m.keepsSecret : m.neverShown, parse: some, when: of(kind) });
  return [
    s ? h('p', null, badge(m.storages[s.kind]), ' ', h('span', { class: 'mono' }, their(s.bucket ?? s.container)), s.prefix && [' / ', h('span', { class: 'mono' }, their(s.prefix))]) : h('p', { class: 'hint' }, m.noStorage),
    s && h('div', { class: 'actions' }, button('project.update', m.checkStorage, check), button('project.update', m.removeStorage, drop, 'danger')),
    () => busy() && bones(1), () => wrong() && failure(wrong(), check), () => answer() && steps(/** @type {any} */ (answer())),
    patching([
      { name: 'kind', label: m.kind, type: 'select', value: s?.kind ?? 's3', options: Object.entries(m.storages) },
      { name: 'bucket', label: m.bucket, required: true, value: s?.bucket, when: (/** @type {any} */ v) => v('kind') !== 'azure' },
      { name: 'region', label: m.region, value: s?.region, parse: some, when: of('s3') }, { name: 'endpoint', label: m.endpointURL, value: s?.endpoint, hint: m.endpointHint, parse: some, when: of('s3') },
      { name: 'access_key', label: m.accessKey, required: true, value: s?.access_key, when: of('s3') }, { name: 'secret', label: m.secretWord, ...secret('s3') },
      { name: 'force_path_style', label: m.pathStyle, type: 'checkbox', value: s?.force_path_style, when: of('s3') },
      { name: 'credentials', label: m.credentials, ...secret('gcs'), type: 'textarea', secret: true },
      { name: 'account_name', label: m.accountName, required: true, value: s?.account_name, when: of('azure') }, { name: 'account_key', label: m.accountKey, ...secret('azure') }, { name: 'container', label: m.container, required: true, value: s?.container, when: of('azure') },
      { name: 'prefix', label: m.prefix, hint: m.prefixHint, value: s?.prefix, parse: some }, { name: 'cdn_base_url', label: m.cdn, hint: m.cdnHint, value: s?.cdn_base_url, parse: some },
    ], (/** @type {any} */ v) => ({ storage: v }), m.saveStorage)];
}

/** What a check did, in its order; what it did not come to is open. @param {S['StorageCheck']} c */
const steps = (c) => h('ol', { class: 'steps', role: 'status', 'aria-label': m.checkStorage }, ['write', 'read', 'delete'].map((name) => {
  const s = c.steps.find((x) => x.name === name);
  return h('li', null, status(s ? s.ok ? 'ok' : 'failed' : 'inactive', m.checkSteps[name]), h('span', { class: 'grow bad' }, s?.error ?? ''), h('span', { class: 'hint' }, s ? s.ok ? m.worked : m.state('failed') : m.notReached));
}));
