// Ingresses: streams from outside into rooms.
// @ts-check
import { h } from '../kit/dom.js';
import { get } from '../kit/api.js';
import { href, param, withQuery } from '../kit/router.js';
import { list, resource, show } from '../kit/load.js';
import { confirm, dialog, secret, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { inProject, ofThis, projectId } from '../shell/session.js';
import { head, button, drawer } from '../shell/shell.js';
import { badge, ident, raw, stamp, status, terms, their, time } from '../shell/format.js';
import { calls, curlButton, empty } from './parts.js';

const G = '/v1/media/ingress';
const some = (/** @type {string} */ v) => v || undefined;

export function ingest() {
  const q = '?project_id=' + projectId.peek(),
    open = param('open');
  const l = list({
    label: m.nav.ingest,
    every: 10,
    to: (i) => href(withQuery({ open: i.id })),
    load: (cursor, stop) => get(G, { ...ofThis(), limit: 50, cursor }, { signal: stop }),
    columns: [
      { label: m.name, cell: (i) => their(i.name || i.participant_identity) },
      { label: m.state_, cell: (i) => (i.enabled === false ? status('disabled') : status(i.status)) },
      { label: m.room, cell: (i) => their(i.room_name) },
      { label: m.identity, cell: (i) => their(i.participant_identity), wide: true },
      { label: m.type, cell: (i) => badge(m.inputs[i.input_type] ?? i.input_type) },
      { label: m.started, cell: (i) => time(i.started_at), wide: true },
      { label: m.created, cell: (i) => time(i.created_at), wide: true },
    ],
    empty: () =>
      empty(m.noIngress, button('ingress.write', m.createIngress, create, 'primary'), [
        'POST',
        `${G}/create${q}`,
        { input_type: 'rtmp', room_name: 'stage', participant_identity: 'obs' },
      ]),
  });

  function create() {
    dialog(m.createIngress, (close) =>
      form({
        fields: [
          { name: 'input_type', label: m.type, type: 'select', options: Object.entries(m.inputs) },
          { name: 'url', label: 'URL', type: 'url', required: true, hint: m.pulledFrom, when: (v) => v('input_type') === 'url' },
          { name: 'name', label: m.name, parse: some },
          { name: 'room_name', label: m.room, required: true },
          { name: 'participant_identity', label: m.identity, required: true, hint: m.ingressIdentityHint },
          { name: 'participant_name', label: m.displayName, parse: some },
        ],
        submit: m.createIngress,
        cancel: close,
        request: (v) => ['POST', `${G}/create${q}`, v],
        done: (made) => {
          close();
          l.reload();
          if (made.stream_key)
            secret(m.ingressCreated, [
              { label: m.pushTo, value: made.ingress.url, env: 'INGRESS_URL' },
              { label: m.streamKey, value: made.stream_key, env: 'INGRESS_STREAM_KEY' },
            ]);
          else toast(m.ingressCreated);
        },
      }),
    );
  }

  drawer(open, open, (id) => ({
    title: m.ingressWord,
    body: () => {
      const at = `${G}/${encodeURIComponent(id)}`,
        r = resource(() => get(at, ofThis()), { every: 5 });
      const drop = (/** @type {any} */ i) =>
        confirm({
          title: m.deleteIngress,
          verb: m.deleteIngress,
          typed: i.name || i.participant_identity,
          consequences: h('p', null, i.status === 'publishing' ? m.deleteIngressLive : m.deleteIngressConsequences),
          request: () => ['DELETE', at + q],
          done: () => {
            toast(m.deleted);
            open.set('');
            l.reload();
          },
        });
      const edit = (/** @type {any} */ i) =>
        dialog(m.edit, (close) =>
          form({
            fields: [
              { name: 'name', label: m.name, value: i.name },
              { name: 'room_name', label: m.room, required: true, value: i.room_name },
              { name: 'participant_identity', label: m.identity, required: true, value: i.participant_identity },
              { name: 'participant_name', label: m.displayName, value: i.participant_name },
            ],
            submit: m.save,
            cancel: close,
            request: (v) => ['PATCH', at + q, v],
            done: () => {
              close();
              toast(m.saved);
              r.reload();
              l.reload();
            },
          }),
        );
      return show(r, (i) => [
        i.error && h('p', { class: 'note bad' }, icon('warning'), h('span', { class: 'grow' }, their(i.error))),
        terms([
          [m.state_, i.enabled === false ? status('disabled') : status(i.status)],
          [m.name, their(i.name)],
          [m.room, h('a', { href: href(inProject('/rooms/' + encodeURIComponent(i.room_name))) }, their(i.room_name))],
          [m.identity, their(i.participant_identity)],
          [m.displayName, their(i.participant_name)],
          [m.type, badge(m.inputs[i.input_type] ?? i.input_type)],
          i.url && [i.input_type === 'url' ? 'URL' : m.pushTo, h('span', { class: 'mono' }, their(i.url))],
          [m.streamKey, i.input_type === 'url' ? '–' : h('span', { class: 'hint' }, m.keyShownOnce)],
          [m.started, stamp(i.started_at)],
          [m.ended, stamp(i.ended_at)],
          [m.created, stamp(i.created_at)],
          ['id', ident(i.id)],
        ]),
        h(
          'div',
          { class: 'actions' },
          button('ingress.write', m.edit, () => edit(i)),
          button('ingress.write', m.deleteIngress, () => drop(i), 'danger'),
          calls([
            [m.read, 'GET', at + q],
            [m.deleteIngress, 'DELETE', at + q],
          ]),
        ),
        raw(i),
      ]);
    },
  }));
  return [
    head(m.nav.ingest, [curlButton('GET', G + q), button('ingress.write', m.createIngress, create, 'primary', 'plus')], m.ingestUnder),
    l.node,
  ];
}
