// An organization: what is live, what needs attention, its projects.
// @ts-check
import { h } from '../kit/dom.js';
import { get, post } from '../kit/api.js';
import { go, href } from '../kit/router.js';
import { resource, table, bones, failure } from '../kit/load.js';
import { dialog, secret } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { sparkline } from '../kit/chart.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { me, orgId, overview, overviewError, refreshOverview, freshOverview } from '../shell/session.js';
import { head, button } from '../shell/shell.js';
import { count, duration, time, their } from '../shell/format.js';
import { stat, curlButton, windowOf, empty, optional } from './parts.js';

/** Asks for a project and shows its secret, this once. */
export function createProject() {
  dialog(m.createProject, (close) => form({
    fields: [{ name: 'name', label: m.name, required: true, hint: m.projectNameHint }, { name: 'region', label: m.region, hint: m.regionHint, parse: (v) => v || undefined }],
    submit: m.createProject, cancel: close,
    send: async (v) => {
      const made = await post('/v1/projects', me.peek()?.operator ? { ...v, org_id: orgId.peek() } : v);
      close();
      await refreshOverview();
      secret(m.projectCreated(made.project.name), [{ label: m.apiKey, value: made.pulse_api_key, env: 'PULSE_API_KEY' }, { label: m.apiSecret, value: made.pulse_api_secret, env: 'PULSE_API_SECRET' }], () => go('/p/' + made.project.id));
    },
  }));
}

/** @param {(row: import('../shell/session.js').ProjectRow) => number|null|undefined} f */
const sum = (f) => { const rows = overview()?.items ?? []; return rows.some((r) => typeof f(r) === 'number') ? rows.reduce((n, r) => n + (f(r) ?? 0), 0) : null; };

/** What needs somebody, most urgent first. @param {import('../shell/session.js').ProjectRow[]} rows */
export function attention(rows) {
  /** @type {any[]} */
  const out = [];
  for (const r of rows) {
    const name = h('a', { href: href('/p/' + r.project_id) }, h('bdi', null, r.name));
    for (const w of r.warnings ?? []) out.push([w.percent >= 100 ? 'bad' : 'warn', [name, ' ', m.quotaUsed(m.quotas[w.quota] ?? w.quota, count(w.used), count(w.limit))], `/p/${r.project_id}/usage`]);
    if (r.failing_endpoints) out.push(['bad', [name, ' ', m.failingEndpoints(r.failing_endpoints)], `/p/${r.project_id}/webhooks`]);
  }
  return out.sort((a, b) => (a[0] === 'bad' ? 0 : 1) - (b[0] === 'bad' ? 0 : 1));
}

export function home() {
  freshOverview();
  const month = windowOf('month');
  const usage = resource(() => { const org = orgId(); return org ? optional(() => get('/v1/usage', { org_id: org, group_by: 'project', ...month })) : Promise.resolve(null); });
  const ofMonth = (/** @type {string} */ id) => usage.data()?.items?.find((/** @type {any} */ i) => i.project_id === id);
  return [
    () => head(me()?.organization?.name ?? m.organization, [curlButton('GET', () => '/v1/overview' + (me()?.operator ? '?org_id=' + orgId() : '')), button('project.create', m.createProject, createProject, 'primary', 'plus')]),
    () => overviewError() && !overview() ? failure(overviewError(), refreshOverview) : !overview() ? bones(6) : [
      h('section', { class: 'stats', 'aria-label': m.now }, stat(m.peopleNow, () => count(sum((r) => r.participants))), stat(m.roomsNow, () => count(sum((r) => r.rooms))), stat(m.recordingsNow, () => count(sum((r) => r.egresses))),
        stat(m.monthSoFar, () => usage.data() ? duration(usage.data().totals.participant_seconds) : '–', m.participantTime)),
      () => { const list = attention(overview()?.items ?? []); return list.length > 0 && h('section', null, h('h2', null, m.attention), h('ul', { class: 'alerts' }, list.map(([tone, text, to]) => h('li', { class: tone }, icon('warning'), h('span', { class: 'grow' }, text), h('a', { href: href(to) }, m.look))))); },
      h('section', null, h('h2', null, m.nav.projects), () => {
        const rows = overview()?.items ?? [];
        return rows.length === 0 ? h('div', { class: 'empty' }, empty(m.noProjects, button('project.create', m.createProject, createProject, 'primary'), 'curl -X POST "$PULSE/v1/projects" -H "Authorization: Bearer $ACCESS" \\\n  -H \'Content-Type: application/json\' -d \'{"name":"Support calls"}\''))
          : table({ label: m.nav.projects, rows, to: (r) => href('/p/' + r.project_id), columns: [
            { label: m.project, cell: (r) => their(r.name) }, { label: m.people, number: true, cell: (r) => count(r.participants) }, { label: m.nav.rooms, number: true, cell: (r) => count(r.rooms) },
            { label: m.last24h, cell: (r) => Array.isArray(/** @type {any} */ (r).hourly_participant_seconds) ? sparkline(/** @type {any} */ (r).hourly_participant_seconds, m.participantTime24h) : '–', wide: true },
            { label: m.thisMonth, number: true, cell: (r) => () => duration(ofMonth(r.project_id)?.participant_seconds) }, { label: m.lastEvent, cell: (r) => time(r.last_event_at), wide: true }] }).node;
      }),
    ]];
}
