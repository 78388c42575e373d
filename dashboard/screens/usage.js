// What a project used, by meter and by room, explained down to its events; and an organization's projects side by side.
// @ts-check
import { h, computed } from '../kit/dom.js';
import { get, search } from '../kit/api.js';
import { href, param, query, withQuery } from '../kit/router.js';
import { resource, show, table, list, bones } from '../kit/load.js';
import { m } from '../messages.js';
import { me, ofThis, orgId, project, projectId, overview } from '../shell/session.js';
import { head, drawer } from '../shell/shell.js';
import { count, duration, stamp, their, exact, secondsUnit, status } from '../shell/format.js';
import { choiceFilter, curlButton, exportFile, ranges, windowOf, all, optional, tabs } from './parts.js';
import { meterChart } from './meter.js';

const meters = Object.keys(m.meters);
/** @param {string} meter @param {number} v */
export const amount = (meter, v) => (meter.endsWith('_seconds') ? duration(v) : count(v));
const windows = /** @type {[string, string][]} */ ([
  ['hour', m.byHour],
  ['day', m.byDay],
  ['month', m.byMonth],
]);
const asked = (/** @type {URLSearchParams} */ q) => {
  const range = q.get('range') ?? 'month',
    w = q.get('window') ?? (range === '24h' || range === '1h' ? 'hour' : 'day');
  return { ...windowOf(range), window: w };
};

export function usage() {
  const q = query();
  const ask = computed(() => JSON.stringify({ ...ofThis(), ...asked(q()) })),
    meter = param('meter', 'participant_seconds'),
    open = param('open');
  const view = tabs('view', [
    ['', m.byMeter],
    ['rooms', m.byRoom],
  ]);
  const r = resource((stop) => get('/v1/usage', JSON.parse(ask()), { signal: stop }));
  const range = () => {
    const { start, end } = JSON.parse(ask());
    return { start, end };
  };
  drawer(
    () => open(),
    open,
    (name) => ({ title: m.explain(m.meters[name] ?? name), body: () => explain(name, range()) }),
  );
  return [
    head(m.nav.usage, [
      h(
        'button',
        {
          type: 'button',
          class: 'button',
          onclick: () => exportFile('/v1/usage/export' + search({ ...ofThis(), ...range(), format: 'csv' }), 'usage.csv'),
        },
        m.exportCSV,
      ),
      h('button', { type: 'button', class: 'button', onclick: () => print() }, m.printStatement),
      curlButton('GET', () => '/v1/usage' + search(JSON.parse(ask()))),
    ]),
    h(
      'div',
      { class: 'filters' },
      choiceFilter('range', m.period, ranges, 'month'),
      choiceFilter('window', m.buckets, windows, asked(q.peek()).window),
      choiceFilter(
        'meter',
        m.meter,
        meters.map((k) => [k, m.meters[k]]),
        'participant_seconds',
      ),
      view.node,
      h(
        'span',
        { class: 'hint' },
        () => `${range().start.slice(0, 16).replace('T', ' ')} – ${range().end.slice(0, 16).replace('T', ' ')} UTC`,
      ),
    ),
    () =>
      view.at() === 'rooms'
        ? meter().endsWith('_seconds')
          ? byRoom(() => ({ ...range(), meter: meter() }))
          : h('p', { class: 'note' }, m.notByRoom)
        : h(
            'div',
            null,
            show(
              r,
              (u) => [
                h(
                  'div',
                  { class: 'statement-head' },
                  h('h2', null, m.statement),
                  h('p', null, h('bdi', null, project()?.name ?? u.project_id), ' · ', u.project_id),
                  h('p', null, `${u.start} – ${u.end}`),
                ),
                () =>
                  u.items.some((/** @type {any} */ i) => meter() in i)
                    ? meterChart(u, meter(), m.meters[meter()] ?? meter())
                    : h('p', { class: 'note' }, m.notMeasured),
                table({
                  label: m.totals,
                  rows: Object.entries(u.totals),
                  columns: [
                    { label: m.meter, cell: ([k]) => h('a', { href: href(withQuery({ meter: k })) }, m.meters[k] ?? k) },
                    { label: m.total, number: true, cell: ([k, v]) => amount(k, /** @type {number} */ (v)) },
                    {
                      label: m.exactly,
                      number: true,
                      cell: ([k, v]) => count(/** @type {number} */ (v)) + (k.endsWith('_seconds') ? ' s' : ''),
                      wide: true,
                    },
                    {
                      label: '',
                      cell: ([k]) =>
                        k.startsWith('peak') || k === 'api_requests' ? null : h('a', { href: href(withQuery({ open: k })) }, m.explainWord),
                    },
                  ],
                }).node,
              ],
              () => bones(8),
            ),
          ),
  ];
}

/** The facts behind a number, each with its events. @param {string} meter @param {{start: string, end: string}} range */
function explain(meter, range) {
  return [
    h('p', { class: 'hint' }, m.explainHint),
    list({
      label: m.facts,
      load: (cursor, stop) => get('/v1/usage/explain', { ...ofThis(), meter, ...range, limit: 50, cursor }, { signal: stop }),
      columns: [
        { label: m.time, cell: (f) => stamp(f.timestamp) },
        { label: m.room, cell: (f) => their(f.room_name) },
        { label: m.value, number: true, cell: (f) => [amount(meter, f.value), f.open && [' ', status('open')]] },
        {
          label: m.session,
          cell: (f) =>
            f.session_id
              ? h('a', { href: href(`/p/${projectId.peek()}/sessions?open=${f.session_id}`) }, h('span', { class: 'mono' }, f.session_id))
              : '–',
        },
        {
          label: m.events,
          cell: (f) =>
            h(
              'span',
              null,
              (f.events ?? []).map((/** @type {any} */ e) =>
                h('span', { class: 'badge', title: `${e.id} ${exact(e.created_at)}` }, e.event),
              ),
            ),
        },
      ],
      empty: () => h('p', null, m.noFacts),
    }).node,
  ];
}

/** A meter by room, out of its facts. @param {() => any} ask */
function byRoom(ask) {
  const key = computed(() => JSON.stringify(ask()));
  const r = resource((stop) => all('/v1/usage/explain', { ...ofThis(), ...JSON.parse(key()) }, stop));
  return h(
    'div',
    null,
    show(
      r,
      ({ items, complete }) => {
        /** @type {Map<string, {value: number, facts: number}>} */
        const rooms = new Map();
        for (const f of items) {
          const k = f.room_name ?? '',
            x = rooms.get(k) ?? { value: 0, facts: 0 };
          rooms.set(k, { value: x.value + f.value, facts: x.facts + 1 });
        }
        const rows = [...rooms].sort((a, b) => b[1].value - a[1].value),
          meter = JSON.parse(key.peek()).meter;
        return rows.length === 0
          ? h('div', { class: 'empty' }, h('p', null, m.noFacts))
          : [
              !complete && h('p', { class: 'note' }, m.newest(count(items.length))),
              table({
                label: m.byRoom,
                rows,
                to: ([name]) => href(`/p/${projectId.peek()}/sessions?range=all&room_name=${encodeURIComponent(name)}`),
                columns: [
                  { label: m.room, cell: ([name]) => their(name) },
                  { label: m.meters[meter] ?? meter, number: true, cell: ([, x]) => amount(meter, x.value) },
                  { label: m.facts, number: true, cell: ([, x]) => count(x.facts) },
                ],
              }).node,
            ];
      },
      () => bones(6),
    ),
  );
}

/** An organization's projects side by side. */
export function organization() {
  const q = query();
  const ask = computed(() => JSON.stringify({ org_id: orgId(), group_by: 'project', ...windowOf(q().get('range') ?? 'month') })),
    meter = param('meter', 'participant_seconds');
  const r = resource((stop) => (orgId() ? optional(() => get('/v1/usage', JSON.parse(ask()), { signal: stop })) : Promise.resolve(null)));
  const nameOf = (/** @type {any} */ row) =>
    row.name ?? overview()?.items.find((p) => p.project_id === row.project_id)?.name ?? row.project_id;
  return [
    head(m.nav.orgUsage, [curlButton('GET', () => '/v1/usage' + search(JSON.parse(ask())))], me()?.organization?.name),
    h(
      'div',
      { class: 'filters' },
      choiceFilter('range', m.period, ranges, 'month'),
      choiceFilter(
        'meter',
        m.meter,
        meters.map((k) => [k, m.meters[k]]),
        'participant_seconds',
      ),
    ),
    h(
      'div',
      null,
      show(
        r,
        (u) =>
          u === null
            ? h('p', { class: 'note' }, m.notOffered)
            : [
                () => stackOf(u.items, meter(), nameOf),
                () =>
                  table({
                    label: m.nav.projects,
                    rows: [...u.items].sort((a, b) => (b[meter()] ?? 0) - (a[meter()] ?? 0)),
                    to: (p) => href(`/p/${p.project_id}/usage`),
                    columns: [
                      { label: m.project, cell: (p) => their(nameOf(p)) },
                      ...['participant_seconds', 'room_seconds', 'egress_seconds', 'tokens_issued', 'peak_participants'].map((k) => ({
                        label: m.meters[k],
                        number: true,
                        wide: k !== 'participant_seconds',
                        cell: (/** @type {any} */ p) => amount(k, p[k]),
                      })),
                    ],
                  }).node,
              ],
        () => bones(6),
      ),
    ),
  ];
}

/** Projects as bars of one meter. @param {any[]} items @param {string} meter @param {(row: any) => string} nameOf */
function stackOf(items, meter, nameOf) {
  const rows = [...items].sort((a, b) => (b[meter] ?? 0) - (a[meter] ?? 0)).slice(0, 10),
    most = Math.max(...rows.map((r) => r[meter] ?? 0), 1e-9),
    unit = meter.endsWith('_seconds') ? secondsUnit(most) : { per: 1, text: count };
  return h(
    'ul',
    { class: 'ranks', 'aria-label': m.meters[meter] },
    rows.map((r) =>
      h(
        'li',
        null,
        h('span', { class: 'rank-name' }, their(nameOf(r))),
        h('span', { class: 'rank-bar', style: { width: ((r[meter] ?? 0) / most) * 100 + '%' } }),
        h('span', { class: 'num' }, unit.text((r[meter] ?? 0) / unit.per)),
      ),
    ),
  );
}
