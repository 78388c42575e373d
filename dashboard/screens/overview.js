// A project: what it is doing, what is left to do, how much of its quotas is used.
// @ts-check
import { h, computed } from '../kit/dom.js';
import { get, search } from '../kit/api.js';
import { href, param } from '../kit/router.js';
import { resource, show, table, bones } from '../kit/load.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { freshOverview, inProject, me, ofThis, orgId, project, projectId } from '../shell/session.js';
import { head } from '../shell/shell.js';
import { count, duration, ident, status, time } from '../shell/format.js';
import { calls, choiceFilter, quota, stat, windowOf } from './parts.js';
import { alerts, setUp } from './home.js';
import { meterChart } from './meter.js';
import { columns, roomPage } from './rooms.js';

/** The last 24 hours as the overview has them. @param {number[]} hourly */
const ofHours = (hourly) => {
  const first = Date.parse(windowOf('24h').start),
    at = (/** @type {number} */ i) => new Date(first + i * 3_600_000).toISOString();
  return { window: 'hour', items: hourly.map((s, i) => ({ start: at(i), end: at(i + 1), participant_seconds: s })) };
};

export function overview() {
  freshOverview();
  const id = projectId.peek(),
    row = () => project(),
    range = param('range', '24h');
  const usage = resource(async () => (range() === '24h' ? null : get('/v1/usage', { ...ofThis(), ...windowOf(range()), window: 'day' })), {
    every: 60,
  });
  const quotas = resource(() => get('/v1/usage/quota', ofThis()), { every: 30 });
  // Rooms are asked for while there are some.
  const busy = computed(() => Boolean(row()?.rooms)),
    rooms = resource(async (stop) => (busy() ? get('/v1/rooms', { ...ofThis(), limit: 5 }, { signal: stop }) : { items: [] }), {
      every: 10,
    });
  const chart = (/** @type {any} */ report) => [
    meterChart(
      report,
      'participant_seconds',
      m.meters.participant_seconds,
      choiceFilter(
        'range',
        m.period,
        [
          ['24h', m.range.day],
          ['7d', m.range.week],
          ['month', m.range.month],
        ],
        '24h',
      ),
    ),
    h(
      'p',
      { class: 'hint' },
      m.inAll(
        duration(report.items.reduce((/** @type {number} */ n, /** @type {any} */ i) => n + i.participant_seconds, 0)),
        report.totals ? count(report.totals.peak_participants) : '',
      ),
    ),
  ];
  const hours = computed(() => JSON.stringify(row()?.hourly_participant_seconds ?? null));
  const boneChart = () => h('div', { class: 'bones chart-bones' }, h('div', { class: 'bone' }));
  return [
    () =>
      head(
        row()?.name ?? m.project,
        [
          calls([
            [m.nav.overview, 'GET', '/v1/overview' + search(me()?.operator ? { org_id: orgId() } : {})],
            [m.nav.usage, 'GET', `/v1/usage${search({ ...ofThis(), window: 'hour' })}`],
            [m.quotaTitle, 'GET', `/v1/usage/quota${search(ofThis())}`],
          ]),
          h('a', { class: 'button primary', href: href(inProject('/join')) }, icon('rooms'), m.joinTestRoom),
        ],
        [ident(id, m.project), row()?.region ? ' · ' + row()?.region : ''],
      ),
    () => {
      const r = row();
      return r ? alerts([r]) : null;
    },
    h(
      'section',
      { class: 'stats', 'aria-label': m.now },
      stat(m.peopleNow, () => count(row()?.participants)),
      stat(m.roomsNow, () => count(row()?.rooms), null, `/p/${id}/rooms`),
      stat(m.recordingsNow, () => count(row()?.egresses), null, `/p/${id}/recordings`),
      stat(
        m.nav.webhooks,
        () => {
          const r = row();
          return r ? (r.failing_endpoints ? status('failed', m.failingCount(r.failing_endpoints)) : status('ok', m.healthy)) : '–';
        },
        null,
        `/p/${id}/webhooks`,
      ),
      stat(m.lastEvent, () => (row() ? time(row()?.last_event_at, m.never) : '–'), m.fromLiveKit),
    ),
    () => {
      const steps = row() ? setUp(/** @type {any} */ (row())) : [];
      return (
        steps.some(([done]) => !done) &&
        h(
          'section',
          null,
          h('h2', null, m.checklist),
          h(
            'ol',
            { class: 'steps' },
            steps.map(([done, text, to]) =>
              h(
                'li',
                { class: done ? 'done' : '' },
                h('span', { class: 'tick-box' }, done ? icon('check') : null),
                done ? h('span', { class: 'grow' }, text) : h('a', { class: 'grow', href: href(to) }, text),
                h('span', { class: 'hint' }, done ? time(done) : m.open),
              ),
            ),
          ),
        )
      );
    },
    () =>
      busy() &&
      h(
        'section',
        null,
        h('div', { class: 'section-head' }, h('h2', null, m.nav.rooms), h('a', { href: href(inProject('/rooms')) }, m.allRooms)),
        h(
          'div',
          null,
          show(
            rooms,
            (d) => table({ label: m.nav.rooms, rows: d.items, to: roomPage, columns: columns.slice(0, 5) }).node,
            () => bones(2),
          ),
        ),
      ),
    h('section', { 'aria-label': m.nav.usage }, () =>
      range() === '24h'
        ? hours() === 'null'
          ? boneChart()
          : chart(ofHours(JSON.parse(hours())))
        : h(
            'div',
            null,
            show(usage, (r) => (r ? chart(r) : boneChart()), boneChart),
          ),
    ),
    h(
      'section',
      null,
      h('h2', null, m.quotaTitle),
      show(
        quotas,
        (q) =>
          h(
            'div',
            { class: 'quotas' },
            Object.entries(q.quotas).map(([name, u]) => quota({ label: m.quotas[name] ?? name, .../** @type {any} */ (u) })),
          ),
        () => bones(3),
      ),
    ),
  ];
}
