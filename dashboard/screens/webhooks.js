// Endpoints and deliveries: attempts with what was sent and what came back.
// @ts-check
import { h, debounce } from '../kit/dom.js';
import { get, post, patch, remove } from '../kit/api.js';
import { href, param, withQuery } from '../kit/router.js';
import { list, resource, show } from '../kit/load.js';
import { confirm, dialog, secret, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { m } from '../messages.js';
import { barred, ofThis, projectId } from '../shell/session.js';
import { head, button, drawer } from '../shell/shell.js';
import { badge, code, count, ident, raw, stamp, status, terms, their, time } from '../shell/format.js';
import { choiceFilter, curlButton, empty, guarded, tabs } from './parts.js';

const E = '/v1/webhooks/endpoints', D = '/v1/webhooks/deliveries';
const lines = (/** @type {string} */ v) => v.split(/[\s,]+/).filter(Boolean);
/** @param {any} [e] @returns {import('../kit/form.js').Field[]} */
const fields = (e) => [{ name: 'url', label: 'URL', type: 'url', required: true, value: e?.url, attrs: { placeholder: 'https://' } }, { name: 'events', label: m.events, hint: m.eventsHint, value: (e?.events ?? ['*']).join(', '), parse: lines }, { name: 'description', label: m.description, value: e?.description, parse: (v) => v || (e ? v : undefined) },
  { name: 'enabled', label: m.enabled, type: 'checkbox', value: e?.enabled ?? true }, { name: 'ordered', label: m.ordered, hint: m.orderedHint, type: 'checkbox', value: e?.ordered ?? false, parse: (v) => v || (e ? v : undefined) }];
/** @param {any} e */
const health = (e) => e.enabled === false ? status('disabled') : e.failing || e.failing_since ? status('failed', m.failing) : status('enabled');

export const webhooks = () => barred('webhooks.read') ? [head(m.nav.webhooks, [], m.webhooksUnder), guarded('webhooks.read', () => null)] : hooks();

function hooks() {
  const q = '?project_id=' + projectId.peek(), open = param('open'), delivery = param('delivery'), view = tabs('view', [['endpoints', m.endpoints], ['deliveries', m.deliveries]]);
  /** @param {string} title @param {any} answer @param {() => void} [done] */
  const reveal = (title, answer, done) => secret(title, [{ label: m.signingSecret, value: answer.secret, env: 'PULSE_WEBHOOK_SECRET' }], done);
  const endpoints = () => { const l = list({
    label: m.endpoints, load: (cursor, stop) => get(E, { ...ofThis(), limit: 50, cursor }, { signal: stop }), to: (e) => href(withQuery({ open: e.id })), every: 15,
    columns: [{ label: 'URL', cell: (e) => their(e.url) }, { label: m.state_, cell: health }, { label: m.events, cell: (e) => e.events.map((/** @type {string} */ x) => [badge(x), ' ']), wide: true }, { label: m.description, cell: (e) => their(e.description), wide: true }, { label: m.created, cell: (e) => time(e.created_at), wide: true }],
    empty: () => empty(m.noEndpoints, button('webhooks.write', m.createEndpoint, create, 'primary'), `curl -X POST "$PULSE${E}${q}" -H "Authorization: Bearer $ACCESS" \\\n  -H 'Content-Type: application/json' -d '{"url":"https://example.com/hooks","events":["*"]}'`),
  }); again = l.reload; return l.node; };
  /** @type {() => void} */
  let again = () => {};
  function create() {
    dialog(m.createEndpoint, (close) => form({ fields: fields(), submit: m.createEndpoint, cancel: close, send: async (v) => { const made = await post(E + q, v); close(); reveal(m.endpointCreated, made, () => again()); } }));
  }
  const endpointParam = param('endpoint_id'), state = param('status');
  const deliveries = () => { const l = list({
    label: m.deliveries, every: 5, load: (cursor, stop) => get(D, { ...ofThis(), endpoint_id: endpointParam(), status: state(), limit: 50, cursor }, { signal: stop }), to: (d) => href(withQuery({ delivery: d.id })),
    columns: [{ label: m.event, cell: (d) => h('span', { class: 'strong' }, d.event_type ?? d.type) }, { label: m.state_, cell: (d) => status(d.status) }, { label: m.attempts, number: true, cell: (d) => count(d.attempt_count ?? (Array.isArray(d.attempts) ? d.attempts.length : d.attempts)) }, { label: m.lastAnswer, cell: (d) => answerOf(d.last_status ?? d.attempts?.at?.(-1)?.status), number: true }, { label: m.created, cell: (d) => stamp(d.created_at) }, { label: m.nextTry, cell: (d) => time(d.next_attempt_at), wide: true }, { label: 'id', cell: (d) => ident(d.id), wide: true }],
    empty: () => h('p', null, m.noDeliveries),
  }); again = debounce(l.reload, 200); return [h('div', { class: 'filters' }, choiceFilter('status', m.state_, [['', m.any], ['pending', m.state('pending')], ['delivered', m.state('delivered')], ['retrying', m.state('retrying')], ['failed', m.state('failed')]]), () => endpointParam() && h('a', { class: 'chip', href: href(withQuery({ endpoint_id: '' })) }, m.oneEndpoint, ' ×'), h('span', { class: 'hint' }, m.liveTail)), l.node]; };

  drawer(open, open, (id) => ({ title: m.endpoint, body: () => { const r = resource(() => get(`${E}/${encodeURIComponent(id)}`, ofThis())), at = `${E}/${encodeURIComponent(id)}`; return show(r, (e) => [
    terms([['URL', their(e.url)], [m.state_, health(e)], [m.events, e.events.map((/** @type {string} */ x) => [badge(x), ' '])], [m.description, their(e.description)], [m.ordered, e.ordered ? m.yes : m.no], e.failing_since && [m.failingSince, stamp(e.failing_since)], e.disabled_at && [m.disabledAt, stamp(e.disabled_at)], [m.created, stamp(e.created_at)], ['id', ident(e.id)]]),
    h('div', { class: 'actions' }, button('webhooks.write', m.test, async () => { try { await post(`${at}/test${q}`, {}); toast(m.testSent); } catch (x) { toast(m.problem(x)); } }, 'primary'), h('a', { class: 'button', href: href(withQuery({ view: 'deliveries', endpoint_id: id, open: '' })) }, m.deliveries),
      button('webhooks.write', m.edit, () => dialog(m.edit, (close) => form({ fields: fields(e), submit: m.save, cancel: close, send: async (v) => { await patch(at + q, v); close(); r.reload(); again(); } }))),
      button('webhooks.write', m.recover, () => confirm({ title: m.recover, verb: m.recover, consequences: h('p', null, m.recoverConsequences), fields: [{ name: 'since', label: m.since, type: 'datetime-local', required: true, parse: (v) => v ? new Date(v).toISOString() : '' }], act: async () => {}, send: async (v) => { await post(`${at}/recover${q}`, v); toast(m.recovering); } })),
      button('webhooks.write', m.rotateSecret, () => confirm({ title: m.rotateSecret, verb: m.rotateSecret, consequences: h('p', null, m.rotateSecretConsequences), fields: [{ name: 'grace_period_seconds', label: m.grace, type: 'select', value: '86400', options: [['0', m.graces.none], ['3600', m.graces.hour], ['86400', m.graces.day]], parse: Number }], act: async () => {}, send: async (v) => { const made = await post(`${at}/rotate-secret${q}`, v); setTimeout(() => reveal(m.secretRotated, made)); } })),
      button('webhooks.write', m.deleteEndpoint, () => confirm({ title: m.deleteEndpoint, typed: e.url, verb: m.deleteEndpoint, consequences: h('p', null, m.deleteEndpointConsequences), act: async () => { await remove(at + q); toast(m.deleted); open.set(''); again(); } }), 'danger'), curlButton('GET', at + q)),
    h('h3', null, m.verify), h('p', { class: 'hint' }, m.verifyHint), raw(e)]); } }));
  drawer(delivery, delivery, (id) => ({ title: m.delivery, body: () => { const r = resource(() => get(`${D}/${encodeURIComponent(id)}`, ofThis()), { every: 5 }); return show(r, (d) => [
    terms([[m.event, d.event_type ?? d.type], [m.state_, status(d.status)], [m.event + ' id', d.event_id ? h('a', { href: href(`/p/${projectId.peek()}/events?open=${d.event_id}`) }, h('span', { class: 'mono' }, d.event_id)) : '–'], [m.endpoint, d.endpoint_id ? h('a', { href: href(withQuery({ delivery: '', open: d.endpoint_id, view: '' })) }, h('span', { class: 'mono' }, d.endpoint_id)) : '–'], [m.nextTry, stamp(d.next_attempt_at)], ['id', ident(d.id)]]),
    h('div', { class: 'actions' }, button('webhooks.write', m.retryNow, async () => { try { await post(`${D}/${encodeURIComponent(id)}/retry${q}`, {}); toast(m.retried); r.reload(); again(); } catch (x) { toast(m.problem(x)); } }, 'primary'), curlButton('GET', `${D}/${id}${q}`)),
    h('h3', null, m.attempts), h('ol', { class: 'attempts' }, (Array.isArray(d.attempts) ? d.attempts : []).map((/** @type {any} */ a) => h('li', null, h('details', null, h('summary', null, answerOf(a.status ?? a.status_code), ' ', stamp(a.at ?? a.started_at ?? a.timestamp), ' ', h('span', { class: 'hint num' }, `${count(a.duration_ms ?? a.ms ?? null)} ms`), a.error && h('span', { class: 'bad' }, ' ', a.error)), a.response ?? a.answer ?? a.body ? code(String(a.response ?? a.answer ?? a.body)) : h('p', { class: 'hint' }, m.noAnswerBody))))),
    (d.request ?? d.payload ?? d.body) && [h('h3', null, m.request), code(JSON.stringify(d.request ?? d.payload ?? d.body, null, 2))], raw(d)]); } }));
  return [head(m.nav.webhooks, [curlButton('GET', () => (view.at() === 'deliveries' ? D : E) + q), button('webhooks.write', m.createEndpoint, create, 'primary', 'plus')], m.webhooksUnder), h('div', { class: 'filters' }, view.node), () => view.at() === 'deliveries' ? deliveries() : endpoints()];
}
/** @param {any} code */
const answerOf = (code) => code ? badge(String(code), code >= 200 && code < 300 ? 'good' : 'bad') : badge(m.noAnswer);
