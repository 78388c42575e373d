// One room: who is in it, what they send, and what can be done about it.
// @ts-check
import { h, debounce } from '../kit/dom.js';
import { get, search, Problem } from '../kit/api.js';
import { go, href, param, withQuery } from '../kit/router.js';
import { list, resource, show, bones } from '../kit/load.js';
import { confirm, dialog, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { m } from '../messages.js';
import { ofThis, inProject } from '../shell/session.js';
import { head, button, drawer } from '../shell/shell.js';
import { badge, code, count, ident, raw, status, terms, their, time } from '../shell/format.js';
import { act, calls, live, stat } from './parts.js';
import { startRecording } from './recordings.js';

/** @typedef {import('../api.js').Schemas} S */

/** @param {{room: string}} params */
export function room({ room }) {
  const base = '/v1/rooms/' + encodeURIComponent(room),
    q = search(ofThis()),
    open = param('open');
  const info = resource(() => get(base + q), { every: 5 });
  const people = list({
    label: m.people,
    every: 5,
    to: (p) => href(withQuery({ open: p.participant_identity })),
    load: (_, stop) => get(base + '/participants', ofThis(), { signal: stop }),
    empty: () => h('p', null, m.roomEmpty),
    columns: [
      { label: m.identity, cell: (p) => their(p.participant_identity) },
      { label: m.name, cell: (p) => their(p.participant_name), wide: true },
      { label: m.kind, cell: (p) => p.kind.toLowerCase(), wide: true },
      { label: m.joined, cell: (p) => time(p.joined_at) },
      {
        label: m.tracks,
        cell: (p) =>
          p.tracks.length
            ? p.tracks.map((/** @type {any} */ t) => [
                badge((m.sources[t.source] ?? (t.source || t.type)) + (t.muted ? ' · ' + m.state('muted') : ''), t.muted ? '' : 'good'),
                ' ',
              ])
            : '–',
      },
      {
        label: '',
        cell: (p) =>
          h(
            'span',
            { class: 'row-actions' },
            button('rooms.write', m.removeParticipant, () => evict(p.participant_identity), 'small'),
          ),
      },
    ],
  });
  /** The participants that LiveKit counts in its rooms, if all are listed: its own counts are seconds late. */
  const listed = () => {
    const page = people.data();
    return page && !page.has_more ? page.items.filter((/** @type {any} */ p) => !/^(egress|agent)$/i.test(p.kind)) : undefined;
  };
  const soon = debounce(() => {
    info.refresh();
    people.refresh();
  }, 100);
  const stream = live((e) => {
    if (!e.data.room_name || e.data.room_name === room) soon();
  });
  const person = (/** @type {string} */ identity) => base + '/participants/' + encodeURIComponent(identity);
  const gone = () => {
    open.set('');
    soon();
  };

  const evict = (/** @type {string} */ identity) =>
    confirm({
      title: m.removeParticipant,
      verb: m.removeParticipant,
      consequences: h('p', null, m.removeConsequences(identity, room)),
      request: () => ['DELETE', person(identity) + q],
      done: () => {
        toast(m.removed);
        gone();
      },
    });
  const revoke = (/** @type {string} */ identity) =>
    confirm({
      title: m.revoke,
      verb: m.revoke,
      consequences: h('p', null, m.revokeConsequences(identity)),
      fields: [{ name: 'ban_seconds', label: m.banSeconds, type: 'number', value: 3600, attrs: { min: 0, max: 2592000 }, parse: Number }],
      request: (v) => ['POST', '/v1/tokens/revoke' + q, { participant_identity: identity, room_name: room, ...v }],
      done: () => {
        toast(m.revoked);
        gone();
      },
    });
  const end = () =>
    confirm({
      title: m.endRoom,
      typed: room,
      verb: m.endRoom,
      consequences: h('p', null, m.endConsequences(info.data.peek()?.num_participants ?? 0)),
      request: () => ['DELETE', base + q],
      done: () => {
        toast(m.roomEnded);
        go(inProject('/rooms'));
      },
    });
  const data = () =>
    dialog(m.sendData, (close) =>
      form({
        fields: [
          {
            name: 'data',
            label: m.text,
            type: 'textarea',
            required: true,
            parse: (v) => btoa(String.fromCharCode(...new TextEncoder().encode(v))),
          },
          { name: 'topic', label: m.topic, parse: (v) => v || undefined },
        ],
        submit: m.sendData,
        cancel: close,
        request: (v) => ['POST', `${base}/data${q}`, v],
        done: () => {
          close();
          toast(m.sent);
        },
      }),
    );
  const edit = () =>
    dialog(m.editRoom, (close) =>
      form({
        fields: [{ name: 'metadata', label: m.metadata, type: 'textarea', value: info.data.peek()?.metadata }],
        submit: m.save,
        cancel: close,
        request: (v) => ['PATCH', base + q, v],
        done: () => {
          close();
          toast(m.saved);
          soon();
        },
      }),
    );

  const tracks = (/** @type {S['Participant']} */ p, /** @type {() => void} */ again) =>
    p.tracks.length === 0
      ? h('p', { class: 'hint' }, m.noTracks)
      : h(
          'ul',
          { class: 'tracks' },
          p.tracks.map((t) =>
            h(
              'li',
              null,
              badge(m.sources[t.source] ?? (t.source || t.type)),
              h(
                'span',
                { class: 'hint num grow' },
                [t.mime_type.replace(/^.*\//, ''), t.width ? `${t.width} × ${t.height}` : '', t.simulcast ? m.simulcast : '']
                  .filter(Boolean)
                  .join(' · '),
              ),
              t.muted ? status('muted') : status('publishing'),
              t.muted
                ? h('span', { class: 'hint' }, m.unmuteHint)
                : button(
                    'rooms.write',
                    m.mute,
                    () =>
                      act(
                        ['POST', `${person(p.participant_identity)}/mute${q}`, { track_sid: t.track_sid, muted: true }],
                        m.state('muted'),
                        () => {
                          again();
                          soon();
                        },
                      ),
                    'small',
                  ),
            ),
          ),
        );
  drawer(open, open, (identity) => ({
    title: identity,
    body: () => {
      const r = resource(() => get(person(identity) + q), { every: 5 });
      return () =>
        r.error()?.status === 404
          ? h(
              'p',
              { class: 'note' },
              m.leftRoom,
              ' ',
              h('a', { href: href(inProject('/sessions?range=all&identity=' + encodeURIComponent(identity))) }, m.itsSessions),
            )
          : h(
              'div',
              null,
              show(r, (/** @type {S['Participant']} */ p) => details(p, r.reload)),
            );
    },
  }));
  /** @param {S['Participant']} p @param {() => void} again */
  function details(p, again) {
    const identity = p.participant_identity;
    const attributes = Object.entries(p.attributes);
    return [
      terms([
        [m.name, their(p.participant_name)],
        [m.kind, p.kind.toLowerCase()],
        [m.state_, p.state],
        [m.joined, time(p.joined_at)],
        ['sid', ident(p.sid)],
        p.metadata && [m.metadata, code(p.metadata)],
        attributes.length > 0 && [m.attributes, code(attributes.map(([k, v]) => `${k}: ${v}`).join('\n'))],
      ]),
      h('h3', null, m.tracks),
      tracks(p, again),
      h(
        'div',
        { class: 'actions' },
        button('tokens.revoke', m.revoke, () => revoke(identity)),
        button('rooms.write', m.removeParticipant, () => evict(identity), 'danger'),
        h('a', { class: 'button', href: href(inProject('/sessions?range=all&identity=' + encodeURIComponent(identity))) }, m.itsSessions),
        calls([
          [m.read, 'GET', person(identity) + q],
          [m.removeParticipant, 'DELETE', person(identity) + q],
          ...p.tracks
            .slice(0, 1)
            .map(
              (/** @type {any} */ t) =>
                /** @type {any} */ ([m.mute, 'POST', `${person(identity)}/mute${q}`, { track_sid: t.track_sid, muted: true }]),
            ),
        ]),
      ),
      raw(p),
    ];
  }

  const sessions = href(inProject('/sessions?view=timeline&range=all&room_name=' + encodeURIComponent(room)));
  return [
    head(room, [
      h('span', null, stream.node),
      calls([
        [m.read, 'GET', base + q],
        [m.people, 'GET', `${base}/participants${q}`],
        [m.endRoom, 'DELETE', base + q],
      ]),
      button('rooms.write', m.sendData, data),
      button('rooms.write', m.editRoom, edit),
      button('egress.write', m.record, () => startRecording(room, () => {}), '', 'record'),
      button('rooms.write', m.endRoom, end, 'danger'),
      h('a', { class: 'button primary', href: href(inProject('/join?room=' + encodeURIComponent(room))) }, m.join),
    ]),
    () =>
      info.error() instanceof Problem && info.error().status === 404
        ? h('p', { class: 'note' }, m.roomGone, ' ', h('a', { href: sessions }, m.itsSessions))
        : h(
            'div',
            null,
            show(
              info,
              (/** @type {S['Room']} */ r) => [
                h(
                  'section',
                  { class: 'stats' },
                  stat(m.people, () => count(listed()?.length ?? r.num_participants), r.max_participants ? m.atMost(r.max_participants) : null),
                  stat(m.publishers, () => count(listed()?.filter((p) => p.tracks.length > 0).length ?? r.num_publishers)),
                  stat(m.opened, time(r.created_at)),
                  stat(m.recording, r.recording ? status('recording') : m.no),
                  stat(m.region, r.region || '–'),
                ),
                terms([
                  ['sid', ident(r.sid)],
                  r.metadata && [m.metadata, code(r.metadata)],
                  Object.keys(r.tags).length > 0 && [m.tags, Object.entries(r.tags).map(([k, v]) => [badge(`${k}: ${v}`), ' '])],
                ]),
              ],
              () => bones(2),
            ),
            h(
              'section',
              null,
              h('div', { class: 'section-head' }, h('h2', null, m.people), h('a', { href: sessions }, m.itsSessions)),
              people.node,
            ),
          ),
  ];
}
