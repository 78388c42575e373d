// Usage sessions: a table, a timeline of a room, and the proof of each.
// @ts-check
import { h, computed, signal } from '../kit/dom.js';
import { get, search } from '../kit/api.js';
import { param, query, withQuery, href } from '../kit/router.js';
import { list, resource, show, bones } from '../kit/load.js';
import { m } from '../messages.js';
import { ofThis, projectId, inProject } from '../shell/session.js';
import { head, drawer } from '../shell/shell.js';
import { duration, stamp, their, ident, terms, raw, exact, clock, status, code, count } from '../shell/format.js';
import { timeline } from './timeline.js';
import { textFilter, calls, choiceFilter, flagFilter, ranges, windowOf, empty, exportFile, all, tabs } from './parts.js';

/** @typedef {import('../api.js').Schemas} S */
/** What the filters ask for. */
function filters(/** @type {URLSearchParams} */ q) {
  const range = q.get('range') ?? '24h',
    w = /** @type {{start?: string, end?: string}} */ (range === 'all' ? {} : windowOf(range));
  return {
    ...ofThis(),
    room_name: q.get('room_name'),
    participant_identity: q.get('identity'),
    subject: q.get('subject') ?? 'participant',
    room_sid: q.get('room_sid'),
    open: q.get('only') === 'true' ? 'true' : '',
    ...w,
  };
}

export function sessions() {
  const q = query(),
    open = param('open'),
    view = tabs('view', [
      ['table', m.table],
      ['timeline', m.timeline],
    ]);
  // The drawer's parameter changes the URL too: only other filters load anew.
  const asked = computed(() => JSON.stringify(filters(q()))),
    ask = () => JSON.parse(asked());
  // An export has every session of the period; facts are kept for 90 days.
  const exported = () => {
    const { start = new Date(Date.now() - 90 * 86_400_000).toISOString(), end } = filters(q.peek());
    return '/v1/usage/export' + search({ ...ofThis(), of: 'sessions', format: 'csv', start, end });
  };
  const l = () =>
    list({
      label: m.nav.sessions,
      to: (s) => href(withQuery({ open: s.id })),
      load: (cursor, stop) => get('/v1/usage/sessions', { ...ask(), limit: 100, cursor }, { signal: stop }),
      columns: [
        { label: m.room, cell: (s) => their(s.room_name) },
        { label: m.identity, cell: (s) => their(s.participant_identity || s.subject) },
        { label: m.kind, cell: (s) => (s.kind || s.subject).toLowerCase(), wide: true },
        { label: m.joined, cell: (s) => stamp(s.joined_at) },
        { label: m.left, cell: (s) => (s.left_at ? stamp(s.left_at) : status('open')) },
        { label: m.durationWord, number: true, cell: (s) => duration(s.duration_seconds) },
        { label: m.reason, cell: (s) => reasonOf(s), wide: true },
      ],
      empty: () =>
        empty(m.noSessions, h('a', { class: 'button primary', href: href(inProject('/join')) }, m.joinTestRoom), [
          'POST',
          `/v1/tokens/create?project_id=${projectId.peek()}`,
          { room_name: 'standup' },
        ]),
    }).node;
  drawer(open, open, (id) => ({ title: m.session, body: () => proof(id) }));
  const subjects = /** @type {const} */ (['participant', 'room', 'egress', 'ingress']);
  return [
    head(
      m.nav.sessions,
      [
        calls(() => [
          [m.read, 'GET', '/v1/usage/sessions' + search(filters(q.peek()))],
          [m.exportWord, 'GET', exported()],
        ]),
        h('button', { type: 'button', class: 'button', onclick: () => exportFile(exported(), 'sessions.csv') }, m.exportCSV),
      ],
      m.sessionsUnder,
    ),
    h(
      'div',
      { class: 'filters' },
      choiceFilter('range', m.period, [...ranges, ['all', m.range.all]], '24h'),
      textFilter('room_name', m.room),
      textFilter('identity', m.identity),
      choiceFilter(
        'subject',
        m.subject,
        subjects.map((s) => [s, m.subjects[s]]),
        'participant',
      ),
      flagFilter('only', m.openOnly),
      view.node,
    ),
    () => (view.at() === 'timeline' ? gantt(ask) : l()),
  ];
}

/** Why a session ended, in words where there are some. @param {S['UsageSession']} s */
const reasonOf = (s) => (s.end_reason ? s.end_reason.toLowerCase().replaceAll('_', ' ') : '–');

/** Sessions by room, an identity's on one line. @param {() => any} ask */
function gantt(ask) {
  const r = resource((stop) => all('/v1/usage/sessions', ask(), stop)),
    said = signal('');
  const timeOf = (/** @type {S['UsageSession']} */ s) =>
    `${exact(s.joined_at)} – ${s.left_at ? exact(s.left_at) : m.state('open')} · ${duration(s.duration_seconds)}${s.end_reason ? ' · ' + reasonOf(s) : ''}`;
  /** @param {S['UsageSession'][]} sessions of one room */
  const chart = (sessions) => {
    const start = Math.min(...sessions.map((s) => Date.parse(s.joined_at))),
      end = Math.max(...sessions.map((s) => (s.left_at ? Date.parse(s.left_at) : Date.now())));
    const people = Map.groupBy(sessions, (s) => s.participant_identity || s.subject);
    return h(
      'section',
      null,
      h(
        'h3',
        null,
        their(sessions[0].room_name),
        ' ',
        ident(sessions[0].room_sid),
        h('span', null, exact(start), ' · ', duration((end - start) / 1000)),
      ),
      timeline({
        label: sessions[0].room_name,
        start,
        end,
        time: (t) => clock(t),
        say: said.set,
        rows: [...people].map(([name, of]) => ({
          name,
          bars: of
            .toSorted((a, b) => Date.parse(a.joined_at) - Date.parse(b.joined_at))
            .map((s) => ({
              id: s.id,
              from: Date.parse(s.joined_at),
              to: s.left_at ? Date.parse(s.left_at) : null,
              href: href(withQuery({ open: s.id })),
              corrected: s.end_reason === 'reconciled',
              text: timeOf(s),
            })),
        })),
      }),
    );
  };
  return h(
    'div',
    null,
    show(
      r,
      ({ items, complete }) =>
        items.length === 0
          ? h('div', { class: 'empty' }, h('p', null, m.noSessions))
          : [
              h('p', { class: 'hint told', 'aria-live': 'polite' }, () => said() || m.timelineHint),
              !complete && h('p', { class: 'note' }, m.newest(count(items.length))),
              [...Map.groupBy(items, (s) => s.room_name + '\n' + s.room_sid).values()].slice(0, 50).map(chart),
            ],
      () => bones(6),
    ),
  );
}

/** A session with the events that prove it, as they came. @param {string} id */
function proof(id) {
  const at = '/v1/usage/sessions/' + encodeURIComponent(id),
    r = resource(() => get(at, ofThis()));
  return show(r, (/** @type {S['UsageSession']} */ s) => [
    terms([
      [m.room, h('a', { href: href(withQuery({ room_name: s.room_name, open: '' })) }, their(s.room_name))],
      [m.roomSid, h('a', { class: 'mono', href: href(withQuery({ room_sid: s.room_sid, range: 'all', open: '' })) }, s.room_sid)],
      s.participant_identity && [
        m.identity,
        h('a', { href: href(withQuery({ identity: s.participant_identity, open: '' })) }, their(s.participant_identity)),
      ],
      [m.kind, (s.kind || s.subject).toLowerCase()],
      [m.joined, stamp(s.joined_at)],
      [m.left, s.left_at ? stamp(s.left_at) : status('open')],
      [m.durationWord, duration(s.duration_seconds)],
      [m.reason, reasonOf(s)],
      ['id', ident(s.id)],
    ]),
    h(
      'div',
      { class: 'actions' },
      calls([
        [m.read, 'GET', `${at}?project_id=${projectId.peek()}`],
        ...s.event_ids
          .slice(0, 2)
          .map((e) => /** @type {[string, string, string]} */ ([m.event, 'GET', `/v1/events/${e}?project_id=${projectId.peek()}`])),
      ]),
    ),
    h('h3', null, m.proof),
    h('p', { class: 'hint' }, m.proofHint),
    s.event_ids.length === 0 ? h('p', null, m.noProof) : h('ol', { class: 'proof' }, s.event_ids.slice(0, 50).map(event)),
    raw(s),
  ]);
}

/** @param {string} id */
function event(id) {
  const r = resource(() => get('/v1/events/' + encodeURIComponent(id), ofThis()));
  return h('li', null, () =>
    r.error()?.status === 404
      ? h('span', null, ident(id))
      : h(
          'div',
          null,
          show(
            r,
            (e) =>
              h(
                'details',
                null,
                h('summary', null, h('span', { class: 'strong' }, e.type ?? e.event), ' ', stamp(e.timestamp ?? e.created_at)),
                ident(id),
                code(JSON.stringify(e.data ?? e, null, 2)),
              ),
            () => ident(id),
          ),
        ),
  );
}
