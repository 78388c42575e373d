// Ingresses: streams from outside into rooms.
// @ts-check
import { h } from '../kit/dom.js';
import { get, post, remove } from '../kit/api.js';
import { href, param, withQuery } from '../kit/router.js';
import { list, resource, show } from '../kit/load.js';
import { confirm, dialog, secret, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { m } from '../messages.js';
import { ofThis, projectId } from '../shell/session.js';
import { head, button, drawer } from '../shell/shell.js';
import { badge, ident, raw, stamp, status, terms, their, time } from '../shell/format.js';
import { curlButton, empty } from './parts.js';

export function ingest() {
  const q = '?project_id=' + projectId.peek(), open = param('open');
  const stateOf = (/** @type {any} */ i) => { const s = i.status ?? i.state?.status ?? i.state; return typeof s === 'string' ? status(s.toLowerCase().replace('endpoint_', '')) : '–'; };
  const l = list({
    label: m.nav.ingest, every: 10, load: (cursor, stop) => get('/v1/media/ingress', { ...ofThis(), limit: 50, cursor }, { signal: stop }), to: (i) => href(withQuery({ open: i.id ?? i.ingress_id })),
    columns: [{ label: m.room, cell: (i) => their(i.room_name) }, { label: m.identity, cell: (i) => their(i.participant_identity) }, { label: m.type, cell: (i) => badge(i.input_type) }, { label: m.state_, cell: stateOf }, { label: 'URL', cell: (i) => i.url ? ident(i.url) : '–', wide: true }, { label: m.created, cell: (i) => time(i.created_at), wide: true }],
    empty: () => empty(m.noIngress, button('ingress.write', m.createIngress, create, 'primary'), `curl -X POST "$PULSE/v1/media/ingress/create?project_id=${projectId.peek()}" -H "Authorization: Bearer $ACCESS" \\\n  -H 'Content-Type: application/json' -d '{"input_type":"rtmp","room_name":"stage","participant_identity":"obs"}'`),
  });
  function create() {
    dialog(m.createIngress, (close) => form({ fields: [{ name: 'input_type', label: m.type, type: 'select', options: [['rtmp', 'RTMP'], ['whip', 'WHIP'], ['url', 'URL']] }, { name: 'room_name', label: m.room, required: true }, { name: 'participant_identity', label: m.identity, required: true }, { name: 'participant_name', label: m.name, parse: (v) => v || undefined }, { name: 'url', label: 'URL', hint: m.onlyForURL, parse: (v) => v || undefined }],
      submit: m.createIngress, cancel: close, send: async (v) => {
        const made = await post('/v1/media/ingress/create' + q, v);
        close();
        if (made.stream_key) secret(m.ingressCreated, [{ label: 'URL', value: made.ingress?.url ?? '', env: 'INGRESS_URL' }, { label: m.streamKey, value: made.stream_key, env: 'INGRESS_STREAM_KEY' }], l.reload); else l.reload();
      } }));
  }
  const drop = (/** @type {any} */ i, /** @type {string} */ id) => confirm({ title: m.deleteIngress, verb: m.deleteIngress, typed: i.participant_identity, consequences: h('p', null, m.deleteIngressConsequences), act: async () => { await remove(`/v1/media/ingress/${id}${q}`); toast(m.deleted); open.set(''); l.reload(); } });
  drawer(open, open, (id) => ({ title: m.ingressWord, body: () => { const r = resource(() => get('/v1/media/ingress/' + encodeURIComponent(id), ofThis()), { every: 5 }); return show(r, (i) => [terms([['id', ident(id)], [m.room, their(i.room_name)], [m.identity, their(i.participant_identity)], [m.type, badge(i.input_type)], [m.state_, stateOf(i)], ['URL', i.url ? ident(i.url) : '–'], [m.created, stamp(i.created_at)]]), h('div', { class: 'actions' }, button('ingress.write', m.deleteIngress, () => drop(i, id), 'danger'), curlButton('GET', `/v1/media/ingress/${id}${q}`)), raw(i)]); } }));
  return [head(m.nav.ingest, [curlButton('GET', '/v1/media/ingress' + q), button('ingress.write', m.createIngress, create, 'primary', 'plus')], m.ingestUnder), l.node];
}
