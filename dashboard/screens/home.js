// An organization: what is live, what needs attention, what to do next, its projects.
// @ts-check
import { h } from '../kit/dom.js';
import { get } from '../kit/api.js';
import { go, href } from '../kit/router.js';
import { resource, table, bones, failure } from '../kit/load.js';
import { dialog, secret } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { sparkline } from '../kit/chart.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { me, orgId, orgName, overview, overviewError, refreshOverview, freshOverview } from '../shell/session.js';
import { head, button } from '../shell/shell.js';
import { count, duration, time, their } from '../shell/format.js';
import { stat, curlButton, windowOf, empty, optional, used } from './parts.js';

/** @typedef {import('../api.js').Schemas} S */
/** @typedef {import('../shell/session.js').ProjectRow} Row */

/** Asks for a project and shows its secret, this once. */
export function createProject() {
  dialog(m.createProject, (close) =>
    form({
      fields: [
        { name: 'name', label: m.name, required: true, hint: m.projectNameHint },
        { name: 'region', label: m.region, hint: m.regionHint, parse: (v) => v || undefined },
      ],
      submit: m.createProject,
      cancel: close,
      request: (v) => ['POST', '/v1/projects', me.peek()?.operator ? { ...v, org_id: orgId.peek() } : v],
      done: async (/** @type {S['KeyedProject']} */ made) => {
        close();
        await refreshOverview();
        secret(
          m.projectCreated(made.project.name),
          [
            { label: m.apiKey, value: made.pulse_api_key, env: 'PULSE_API_KEY' },
            { label: m.apiSecret, value: made.pulse_api_secret, env: 'PULSE_API_SECRET' },
          ],
          () => go('/p/' + made.project.id),
        );
      },
    }),
  );
}

/** @param {(row: Row) => number} f */
const sum = (f) => (overview()?.items ?? []).reduce((n, r) => n + f(r), 0);
/** @param {Row} r @param {string} [rest] */
const link = (r, rest = '') => h('a', { href: href(`/p/${r.project_id}${rest}`) }, h('bdi', null, r.name));

/** What needs somebody, most urgent first. @param {Row[]} rows @returns {[string, any, string][]} */
export function attention(rows) {
  /** @type {[string, any, string][]} */
  const out = [];
  for (const r of rows) {
    for (const w of r.warnings)
      out.push([
        w.percent >= 100 ? 'bad' : 'warn',
        [link(r), ' ', m.quotaUsed(m.quotas[w.quota] ?? w.quota, count(Math.floor(w.used)), count(w.limit))],
        `/p/${r.project_id}/usage`,
      ]);
    if (r.failing_endpoints) out.push(['bad', [link(r), ' ', m.failingEndpoints(r.failing_endpoints)], `/p/${r.project_id}/webhooks`]);
  }
  return out.sort((a, b) => Number(a[0] !== 'bad') - Number(b[0] !== 'bad'));
}
/** @param {Row[]} rows */
export const alerts = (rows) => {
  const found = attention(rows);
  return (
    found.length > 0 &&
    h(
      'ul',
      { class: 'alerts' },
      found.map(([tone, text, to]) =>
        h('li', { class: tone }, icon('warning'), h('span', { class: 'grow' }, text), h('a', { href: href(to) }, m.look)),
      ),
    )
  );
};

/** What a project's set-up consists of, with what is done of it. @param {Row} r @returns {[done: string|null, text: string, to: string][]} */
export const setUp = (r) => [
  [r.key_used_at, m.stepKey, `/p/${r.project_id}/tokens`],
  [r.last_event_at, m.stepEvents, `/p/${r.project_id}/events`],
  [r.first_session_at, m.stepSession, `/p/${r.project_id}/join`],
];

export function home() {
  freshOverview();
  const month = windowOf('month');
  const usage = resource(() => {
    const org = orgId();
    return org ? optional(() => get('/v1/usage', { org_id: org, group_by: 'project', ...month })) : Promise.resolve(null);
  });
  const plans = resource(() => (me()?.operator ? Promise.resolve(null) : get('/v1/plans')));
  const quotas = () =>
    /** @type {S['PlanList']|null|undefined} */ (plans.data())?.items.find((p) => p.name === me()?.organization?.plan)?.quotas;
  const ofMonth = (/** @type {string} */ id) =>
    usage.data()?.items.find((/** @type {any} */ i) => i.project_id === id)?.participant_seconds;
  const minutes = (/** @type {Row} */ r) => {
    const seconds = ofMonth(r.project_id),
      limit = quotas()?.participant_minutes_per_month;
    return [duration(seconds), limit && seconds !== undefined ? used(m.ofPlan(count(limit)), seconds / 60, limit) : null];
  };
  const next = () =>
    (overview()?.items ?? [])
      .flatMap((r) => {
        const step = setUp(r).find(([done]) => !done);
        return step ? [/** @type {[Row, string, string]} */ ([r, step[1], step[2]])] : [];
      })
      .slice(0, 3);
  return [
    () =>
      head(orgName() || m.organization, [
        curlButton('GET', () => '/v1/overview' + (me()?.operator ? '?org_id=' + orgId() : '')),
        button('project.create', m.createProject, createProject, 'primary', 'plus'),
      ]),
    () =>
      overviewError() && !overview()
        ? failure(overviewError(), refreshOverview)
        : !overview()
          ? bones(6)
          : [
              () => alerts(overview()?.items ?? []),
              h(
                'section',
                { class: 'stats', 'aria-label': m.now },
                stat(m.peopleNow, () => count(sum((r) => r.participants))),
                stat(m.roomsNow, () => count(sum((r) => r.rooms))),
                stat(m.recordingsNow, () => count(sum((r) => r.egresses))),
                stat(m.monthSoFar, () => duration(usage.data()?.totals.participant_seconds), m.participantTime),
                stat(
                  m.nav.projects,
                  () => [
                    count(overview()?.items.length),
                    quotas()?.projects ? h('span', { class: 'hint' }, ' / ' + count(quotas()?.projects)) : null,
                  ],
                  () => (me()?.organization ? m.planIs(m.plans[me()?.organization?.plan ?? ''] ?? '') : null),
                ),
              ),
              h('section', null, h('h2', null, m.nav.projects), () => {
                const rows = overview()?.items ?? [];
                return rows.length === 0
                  ? h(
                      'div',
                      { class: 'empty' },
                      empty(m.noProjects, button('project.create', m.createProject, createProject, 'primary'), [
                        'POST',
                        '/v1/projects',
                        { name: 'Support calls' },
                      ]),
                    )
                  : table({
                      label: m.nav.projects,
                      rows,
                      to: (r) => href('/p/' + r.project_id),
                      columns: [
                        { label: m.project, cell: (r) => their(r.name) },
                        { label: m.people, number: true, cell: (r) => count(r.participants) },
                        { label: m.nav.rooms, number: true, cell: (r) => count(r.rooms) },
                        { label: m.last24h, cell: (r) => sparkline(r.hourly_participant_seconds, m.participantTime24h), wide: true },
                        { label: m.thisMonth, number: true, cell: (r) => () => minutes(r) },
                        { label: m.lastEvent, cell: (r) => time(r.last_event_at, m.never), wide: true },
                      ],
                    }).node;
              }),
              () =>
                next().length > 0 &&
                h(
                  'section',
                  null,
                  h('h2', null, m.next),
                  h(
                    'ul',
                    { class: 'steps' },
                    next().map(([r, text, to]) =>
                      h(
                        'li',
                        null,
                        h('span', { class: 'tick-box' }),
                        h('span', { class: 'grow' }, link(r)),
                        h('a', { class: 'do', href: href(to) }, text),
                      ),
                    ),
                  ),
                ),
            ],
  ];
}
