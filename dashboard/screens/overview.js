// A project: what it is doing, what is left to do, how much of its quotas is used.
// @ts-check
import { h } from '../kit/dom.js';
import { get } from '../kit/api.js';
import { href, param } from '../kit/router.js';
import { resource, show, bones } from '../kit/load.js';
import { bars } from '../kit/chart.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { freshOverview, ofThis, overview, project, projectId } from '../shell/session.js';
import { head } from '../shell/shell.js';
import { count, duration, ident, secondsUnit, time, exact, clock, day } from '../shell/format.js';
import { stat, quota, curlButton, windowOf, choiceFilter } from './parts.js';
import { attention } from './home.js';

/** The window and buckets of a range. @param {string} range */
const bucketsOf = (range) => ({ ...windowOf(range), window: range === '24h' || range === '1h' ? 'hour' : 'day' });
/** A usage answer as bars of one meter. @param {any} report @param {string} meter @param {string} label */
export function meterChart(report, meter, label) {
  const seconds = meter.endsWith('_seconds');
  const values = report.items.map((/** @type {any} */ i) => i[meter] ?? 0), unit = seconds ? secondsUnit(Math.max(...values, 0)) : { per: 1, text: count };
  return bars({ label, series: [label], rows: report.items.map((/** @type {any} */ i) => ({ start: i.start, end: i.end, values: [(i[meter] ?? 0) / unit.per] })),
    value: unit.text, time: (t) => report.window === 'hour' ? clock(t).slice(0, 5) : day(t).slice(5), span: (r) => report.window === 'hour' ? exact(r.start).slice(0, 16) : report.window === 'day' ? day(r.start) : day(r.start).slice(0, 7) });
}

export function overview_() {
  freshOverview();
  const range = param('range', '24h');
  const usage = resource(() => get('/v1/usage', { ...ofThis(), ...bucketsOf(range()) }), { every: 60 });
  const quotas = resource(() => get('/v1/usage/quota', ofThis()), { every: 30 });
  const row = () => project();
  const step = (/** @type {any} */ done, /** @type {string} */ text, /** @type {string} */ to, /** @type {any} */ when) => h('li', { class: done ? 'done' : '' }, h('span', { class: 'tick-box' }, done ? icon('check') : null), done ? h('span', { class: 'grow' }, text) : h('a', { class: 'grow', href: href(to) }, text), h('span', { class: 'hint' }, done ? when : m.open));
  return [
    () => head(row()?.name ?? m.project, [curlButton('GET', () => `/v1/usage?project_id=${projectId()}&window=hour`), h('a', { class: 'button primary', href: href(`/p/${projectId.peek()}/join`) }, icon('rooms'), m.joinTestRoom)], [ident(projectId(), m.project), row()?.region ? ' · ' + row()?.region : '']),
    h('section', { class: 'stats', 'aria-label': m.now }, stat(m.peopleNow, () => count(row()?.participants)), stat(m.roomsNow, () => count(row()?.rooms), null, `/p/${projectId.peek()}/rooms`), stat(m.recordingsNow, () => count(row()?.egresses), null, `/p/${projectId.peek()}/recordings`),
      stat(m.lastEvent, () => row() ? time(row()?.last_event_at) : '–', m.fromLiveKit)),
    () => { const list = row() ? attention([/** @type {any} */ (row())]) : []; return list.length > 0 && h('ul', { class: 'alerts' }, list.map(([tone, text, to]) => h('li', { class: tone }, icon('warning'), h('span', { class: 'grow' }, text), h('a', { href: href(to) }, m.look)))); },
    () => { const r = row(); return overview() && r && r.key_used_at !== undefined && !(r.key_used_at && r.last_event_at && r.first_session_at) && h('section', null, h('h2', null, m.checklist), h('ol', { class: 'steps' },
      step(r.key_used_at, m.stepKey, `/p/${r.project_id}/tokens`, time(r.key_used_at)), step(r.last_event_at, m.stepEvents, `/p/${r.project_id}/events`, time(r.last_event_at)), step(r.first_session_at, m.stepSession, `/p/${r.project_id}/join`, time(r.first_session_at)))); },
    h('section', null, h('div', { class: 'section-head' }, h('h2', null, m.nav.usage), choiceFilter('range', m.period, [['24h', m.range.day], ['7d', m.range.week], ['month', m.range.month]], '24h')),
      show(usage, (r) => [meterChart(r, 'participant_seconds', m.meters.participant_seconds), h('p', { class: 'hint' }, m.inAll(duration(r.totals.participant_seconds), count(r.totals.peak_participants)))], () => h('div', { class: 'bones chart-bones' }, h('div', { class: 'bone' })))),
    h('section', null, h('h2', null, m.quotaTitle), show(quotas, (q) => h('div', { class: 'quotas' }, Object.entries(q.quotas).map(([name, u]) => quota({ label: m.quotas[name] ?? name, .../** @type {any} */ (u) }))), () => bones(3))),
  ];
}
export { overview_ as overview };
