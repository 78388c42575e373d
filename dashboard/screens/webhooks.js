// Endpoints and deliveries: attempts with what was sent and what came back.
// @ts-check
import { h, debounce } from '../kit/dom.js';
import { get } from '../kit/api.js';
import { href, param, withQuery } from '../kit/router.js';
import { list, resource, show } from '../kit/load.js';
import { confirm, dialog, secret, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { barred, ofThis, project, projectId, refreshOverview } from '../shell/session.js';
import { head, button, drawer } from '../shell/shell.js';
import { badge, code, count, ident, raw, stamp, status, terms, their, time } from '../shell/format.js';
import { act, calls, choiceFilter, curlButton, empty, guarded, live, tabs } from './parts.js';

/** @typedef {import('../api.js').Schemas} S */
const E = '/v1/webhooks/endpoints', D = '/v1/webhooks/deliveries';

export const webhooks = () => barred('webhooks.read') ? [head(m.nav.webhooks, [], m.webhooksUnder), guarded('webhooks.read', () => null)] : hooks();

/** @param {S['Endpoint']} e */
function health(e) {
  if (!e.enabled) return status(e.disabled_reason ? 'failed' : 'disabled', e.disabled_reason ? m.disabledFor[e.disabled_reason] : undefined);
  if (e.failing_since) return status('failed', m.failing);
  return e.recovering ? status('retrying', m.recoveringNow) : status('enabled');
}
/** @param {S['Delivery']} d */
const outcome = (d) => status(d.status === 'pending' && d.attempt_count > 0 ? 'retrying' : d.status);
/** What came back: a status code, or why there is none. @param {number|null} code @param {string|null} error @param {boolean} [tried] */
const answerOf = (code, error, tried = true) => code ? badge(String(code), code >= 200 && code < 300 ? 'good' : 'bad')
  : error ? h('span', { class: 'bad' }, m.attemptErrors[error] ?? error) : tried ? badge(m.noAnswer) : '–';
const badges = (/** @type {string[]} */ all) => all.map((x) => [badge(x), ' ']);

/** @param {S['Endpoint']} [e] @returns {import('../kit/form.js').Field[]} */
const fields = (e) => [
  { name: 'url', label: 'URL', type: 'url', required: true, value: e?.url, attrs: { placeholder: 'https://' } },
  { name: 'events', label: m.events, hint: m.eventsHint, value: (e?.events ?? ['*']).join(', '), parse: (v) => v.split(/[\s,]+/).filter(Boolean) },
  { name: 'description', label: m.description, value: e?.description, parse: (v) => v || (e ? v : undefined) },
  { name: 'enabled', label: m.enabled, type: 'checkbox', value: e?.enabled ?? true },
  { name: 'ordered', label: m.ordered, hint: m.orderedHint, type: 'checkbox', value: e?.ordered ?? false },
];

function hooks() {
  const q = '?project_id=' + projectId.peek();
  const open = param('open'), delivery = param('delivery'), ofEndpoint = param('endpoint_id'), state = param('status');
  const view = tabs('view', [['endpoints', m.endpoints], ['deliveries', m.deliveries]]);
  /** URLs of endpoints by id, for the deliveries. @type {Map<string, string>} */
  const urls = new Map();
  let again = () => {};
  const changed = () => { again(); refreshOverview(); };

  function endpoints() {
    const l = list({
      label: m.endpoints, every: 15, to: (e) => href(withQuery({ open: e.id })),
      load: (cursor, stop) => get(E, { ...ofThis(), limit: 50, cursor }, { signal: stop }),
      columns: [
        { label: 'URL', cell: (e) => their(e.url) }, { label: m.state_, cell: health },
        { label: m.events, cell: (e) => badges(e.events), wide: true }, { label: m.description, cell: (e) => their(e.description), wide: true },
        { label: m.created, cell: (e) => time(e.created_at), wide: true }],
      empty: () => empty(m.noEndpoints, button('webhooks.write', m.createEndpoint, create, 'primary'), ['POST', E + q, { url: 'https://example.com/hooks', events: ['*'] }]),
    });
    again = l.reload;
    return l.node;
  }

  function deliveries() {
    const known = get(E, { ...ofThis(), limit: 100 }).then((page) => { for (const e of page.items) urls.set(e.id, e.url); }, () => {});
    const l = list({
      label: m.deliveries, every: 5, to: (d) => href(withQuery({ delivery: d.id })),
      load: async (cursor, stop) => {
        const asked = get(D, { ...ofThis(), endpoint_id: ofEndpoint(), status: state(), limit: 50, cursor }, { signal: stop });
        await known;
        return asked;
      },
      columns: [
        { label: m.event, cell: (d) => d.event_type }, { label: m.state_, cell: outcome },
        { label: m.lastAnswer, cell: (d) => answerOf(d.last_status, d.last_error, d.attempt_count > 0) }, { label: m.attempts, number: true, cell: (d) => count(d.attempt_count) },
        { label: m.endpoint, cell: (d) => their(urls.get(d.endpoint_id) ?? d.endpoint_id), wide: true }, { label: m.created, cell: (d) => stamp(d.created_at) },
        { label: m.nextTry, cell: (d) => time(d.next_attempt_at), wide: true }],
      empty: () => state() || ofEndpoint() ? h('p', null, m.noneMatches) : empty(m.noDeliveries, undefined, ['POST', `${E}/whe_…/test`, {}]),
    });
    again = l.reload;
    const tail = live(debounce(l.refresh, 300));
    return [h('div', { class: 'filters' },
      choiceFilter('status', m.state_, [['', m.any], ['pending', m.state('pending')], ['delivered', m.state('delivered')], ['failed', m.state('failed')]]),
      () => ofEndpoint() && h('a', { class: 'chip', href: href(withQuery({ endpoint_id: '' })), 'aria-label': m.allEndpoints }, urls.get(ofEndpoint()) ?? m.oneEndpoint, icon('close')),
      h('span', { class: 'end' }, tail.node)), l.node];
  }

  /** @param {string} title @param {S['SecretEndpoint']} answer @param {() => void} [done] */
  const reveal = (title, answer, done) => secret(title, [{ label: m.signingSecret, value: answer.secret, env: 'PULSE_WEBHOOK_SECRET' }], done);
  function create() {
    dialog(m.createEndpoint, (close) => form({
      fields: fields(), submit: m.createEndpoint, cancel: close, request: (v) => ['POST', E + q, v],
      done: (made) => { close(); reveal(m.endpointCreated, made, changed); },
    }));
  }

  drawer(open, open, (id) => ({ title: m.endpoint, body: () => {
    const at = `${E}/${encodeURIComponent(id)}`, r = resource(() => get(at), { every: 15 });
    const edit = (/** @type {S['Endpoint']} */ e) => dialog(m.edit, (close) => form({
      fields: fields(e), submit: m.save, cancel: close, request: (v) => ['PATCH', at, v], done: () => { close(); toast(m.saved); r.reload(); changed(); },
    }));
    const recover = () => confirm({
      title: m.recover, verb: m.recover, consequences: h('p', null, m.recoverConsequences),
      fields: [{ name: 'since', label: m.since, type: 'datetime-local', required: true, hint: m.inYourZone, parse: (v) => v ? new Date(v).toISOString() : '' }],
      request: (v) => ['POST', `${at}/recover`, v], done: () => { toast(m.recovering); r.reload(); },
    });
    const rotate = () => confirm({
      title: m.rotateSecret, verb: m.rotateSecret, consequences: h('p', null, m.rotateSecretConsequences),
      fields: [{ name: 'grace_period_seconds', label: m.grace, type: 'select', value: '86400', parse: Number, options: [['0', m.graces.none], ['3600', m.graces.hour], ['86400', m.graces.day]] }],
      request: (v) => ['POST', `${at}/rotate-secret`, v], done: (made) => reveal(m.secretRotated, made, r.reload),
    });
    const drop = async (/** @type {S['Endpoint']} */ e) => {
      const waiting = await get(D, { ...ofThis(), endpoint_id: id, status: 'pending', limit: 100 }).then((page) => page.items.length, () => null);
      confirm({
        title: m.deleteEndpoint, verb: m.deleteEndpoint, typed: e.url, consequences: h('p', null, m.deleteEndpointConsequences(waiting === 100 ? '100+' : count(waiting))),
        request: () => ['DELETE', at], done: () => { toast(m.deleted); open.set(''); changed(); },
      });
    };
    return show(r, (/** @type {S['Endpoint']} */ e) => [
      e.failing_since && h('p', { class: 'note bad' }, icon('warning'), h('span', { class: 'grow' }, m.failingSince, ' ', stamp(e.failing_since), e.enabled ? '. ' + m.failingMeans : '')),
      terms([
        ['URL', their(e.url)], [m.state_, health(e)], [m.events, badges(e.events)], [m.description, their(e.description)], [m.ordered, e.ordered ? m.orderedHint : m.no],
        e.disabled_at && [m.disabledAt, stamp(e.disabled_at)], e.previous_secret_until && [m.previousSecret, [m.untilWhen, ' ', stamp(e.previous_secret_until)]],
        [m.created, stamp(e.created_at)], ['id', ident(e.id)]]),
      h('div', { class: 'actions' },
        button('webhooks.write', m.test, () => act(['POST', `${at}/test`, {}], m.testSent, r.reload), 'primary'),
        h('a', { class: 'button', href: href(withQuery({ view: 'deliveries', endpoint_id: id, open: '' })) }, m.deliveries),
        button('webhooks.write', m.edit, () => edit(e)), button('webhooks.write', m.recover, recover), button('webhooks.write', m.rotateSecret, rotate),
        button('webhooks.write', m.deleteEndpoint, () => drop(e), 'danger'),
        calls([[m.read, 'GET', at], [m.test, 'POST', `${at}/test`, {}], [m.deliveries, 'GET', `${D}${q}&endpoint_id=${id}`]])),
      h('h3', null, m.verify), h('p', { class: 'hint' }, m.verifyHint), raw(e)]);
  } }));

  drawer(delivery, delivery, (id) => ({ title: m.delivery, body: () => {
    const at = `${D}/${encodeURIComponent(id)}`, r = resource(() => get(at), { every: 5 });
    return show(r, (/** @type {S['DeliveryDetails']} */ d) => [
      terms([
        [m.event, d.event_type], [m.state_, outcome(d)],
        [m.eventId, h('a', { href: href(`/p/${projectId.peek()}/events?open=${d.event_id}`), class: 'mono' }, d.event_id)],
        [m.endpoint, h('a', { href: href(withQuery({ delivery: '', open: d.endpoint_id, view: '' })) }, their(urls.get(d.endpoint_id) ?? d.endpoint_id))],
        d.next_attempt_at && [m.nextTry, [stamp(d.next_attempt_at), ' ', h('span', { class: 'hint' }, time(d.next_attempt_at))]],
        [m.created, stamp(d.created_at)], ['id', ident(d.id)]]),
      h('div', { class: 'actions' }, button('webhooks.write', m.retryNow, () => act(['POST', `${at}/retry`, {}], m.retried, () => { r.reload(); again(); }), 'primary'),
        calls([[m.read, 'GET', at], [m.retryNow, 'POST', `${at}/retry`, {}]])),
      h('h3', null, m.attempts), d.attempts.length === 0 ? h('p', { class: 'hint' }, m.notTriedYet) : h('ol', { class: 'attempts' }, d.attempts.toReversed().map((a, i) => attempt(a, i === 0))),
      d.payload && [h('h3', null, m.body), code(JSON.stringify(d.payload, null, 2))], raw(d)]);
  } }));

  return [
    head(m.nav.webhooks, [curlButton('GET', () => (view.at() === 'deliveries' ? D : E) + q), button('webhooks.write', m.createEndpoint, create, 'primary', 'plus')], m.webhooksUnder),
    () => { const ids = project()?.failing_endpoint_ids ?? []; return ids.length > 0 && h('ul', { class: 'alerts' }, h('li', { class: 'bad' }, icon('warning'), h('span', { class: 'grow' }, m.failingHere(ids.length)), h('a', { href: href(withQuery({ open: ids[0] })) }, m.look))); },
    h('div', { class: 'filters' }, view.node), () => view.at() === 'deliveries' ? deliveries() : endpoints()];
}

/** One request and what came back. @param {S['Attempt']} a @param {boolean} open */
const attempt = (a, open) => h('li', { 'data-tone': a.status && a.status < 300 ? 'good' : 'bad' }, h('details', { open },
  h('summary', null, answerOf(a.status, a.error), ' ', stamp(a.at), ' ', h('span', { class: 'hint num' }, count(a.ms) + ' ms')),
  h('p', { class: 'hint mono' }, `${a.request.method} ${a.request.url}`),
  h('p', { class: 'hint' }, m.headers), code(Object.entries(a.request.headers).map(([k, v]) => `${k}: ${v}`).join('\n')),
  h('p', { class: 'hint' }, m.answer), a.answer ? code(a.answer) : h('p', { class: 'hint' }, m.noAnswerBody)));
