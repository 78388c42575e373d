// Screens over answers as the API's description has them, whatever this installation's LiveKit can do: egress and
// ingress need services of their own, and deliveries need somebody who fails.
import { test, after } from 'node:test';
import assert from 'node:assert/strict';
import { open, tenant, login, go, settled, axe, none, browser, SHOTS } from './lib.mjs';

after(() => browser.close());
const at = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();
const page_ = (items) => ({ items, has_more: false, next_cursor: null });
const ann = { participant_identity: 'ann', participant_name: 'Ann <b>Weber</b>', sid: 'PA_ann', state: 'active', kind: 'STANDARD', joined_at: at(300), metadata: '', tracks: [{ sid: 'TR_a', source: 'camera', type: 'video', muted: false, width: 1280, height: 720, mime_type: 'video/VP8' }, { sid: 'TR_b', source: 'microphone', type: 'audio', muted: true }] };
const room = { room_name: 'standup', sid: 'RM_1', status: 'active', metadata: '', tags: {}, num_participants: 1, num_publishers: 1, max_participants: 12, empty_timeout: 300, departure_timeout: 20, recording: null, region: 'eu-central', created_at: at(400) };
const egress = { id: 'EG_1', type: 'room_composite', status: 'active', room_name: 'standup', outputs: [{ kind: 'file' }, { kind: 'rtmp' }], started_at: at(200), ended_at: null, duration_seconds: 200, results: [{ kind: 'file', path: 'prj_x/standup/a.mp4', size_bytes: 12_345_678, duration_seconds: 200, url: 'javascript:alert(1)' }], error: null };
const ingress = { id: 'IN_1', input_type: 'rtmp', room_name: 'stage', participant_identity: 'obs', participant_name: 'OBS', url: 'rtmp://ingress.example.com/x', status: 'publishing', created_at: at(900) };
const endpoint = { id: 'whe_1', url: 'https://example.com/hooks', events: ['room.*', 'participant.*'], description: 'billing', enabled: true, ordered: false, created_at: at(5000) };
const delivery = { id: 'dlv_1', endpoint_id: 'whe_1', event_id: 'evt_1', event_type: 'participant.joined', status: 'retrying', attempt_count: 2, next_attempt_at: at(-300), created_at: at(60), attempts: [{ at: at(60), status: 503, duration_ms: 120, response: 'busy' }, { at: at(50), error: 'timeout', duration_ms: 15_000 }], payload: { id: 'evt_1', type: 'participant.joined', data: {} } };
const event = { id: 'evt_1', type: 'participant.joined', timestamp: at(60), project_id: 'prj_x', data: { room_name: 'standup', participant: { identity: 'ann' } } };

const answers = [
  [/\/v1\/rooms\/standup\/participants$/, page_([ann])], [/\/v1\/rooms\/standup$/, room], [/\/v1\/rooms$/, page_([room])],
  [/\/v1\/media\/egress\/EG_1$/, egress], [/\/v1\/media\/egress$/, page_([egress, { ...egress, id: 'EG_2', status: 'failed', error: 'no storage', ended_at: at(100) }])],
  [/\/v1\/media\/ingress\/IN_1$/, ingress], [/\/v1\/media\/ingress$/, page_([ingress])],
  [/\/v1\/webhooks\/endpoints\/whe_1$/, endpoint], [/\/v1\/webhooks\/endpoints$/, page_([endpoint])],
  [/\/v1\/webhooks\/deliveries\/dlv_1$/, delivery], [/\/v1\/webhooks\/deliveries$/, page_([delivery])],
  [/\/v1\/events\/evt_1$/, event], [/\/v1\/events$/, page_([event])],
];

test('rooms, recordings, ingest, webhooks, deliveries and events show what the API answers', async () => {
  const t = await tenant();
  const page = await open();
  const sent = [];
  await page.route(/\/v1\/(rooms|media|webhooks|events)/, async (r) => {
    const path = new URL(r.request().url()).pathname;
    if (path === '/v1/events/stream') return r.fulfill({ headers: { 'content-type': 'text/event-stream' }, body: `id: evt_2\nevent: room.started\ndata: ${JSON.stringify({ ...event, id: 'evt_2', type: 'room.started' })}\n\n` });
    if (r.request().method() !== 'GET') { sent.push(`${r.request().method()} ${path} ${r.request().postData() ?? ''}`); return r.fulfill({ status: 200, json: { endpoint, secret: 'whsec_x', id: 'EG_3' } }); }
    const known = answers.find(([pattern]) => pattern.test(path));
    return known ? r.fulfill({ json: known[1] }) : r.continue();
  });
  await login(page, t.email);
  const problems = [];
  const look = async (name, path, text) => {
    await go(page, path);
    await settled(page);
    await page.locator('main, dialog').locator(':not(option)', { hasText: text }).first().waitFor();
    if (path.includes('open=') || path.includes('delivery=')) await page.waitForSelector('dialog[open] .terms');
    for (const width of [1440, 360]) {
      await page.setViewportSize({ width, height: 900 });
      for (const v of await axe(page)) problems.push(`${name} ${width}: ${v}`);
      await page.screenshot({ path: `${SHOTS}contract-${name}-${width}.png` });
    }
    await page.setViewportSize({ width: 1440, height: 900 });
    if (await page.locator('dialog[open]').count()) await page.keyboard.press('Escape');
  };
  const p = `/p/${t.project}`;
  await look('rooms', p + '/rooms', 'standup');
  await look('room', p + '/rooms/standup', 'camera');
  await look('participant', p + '/rooms/standup?open=ann', 'Ann <b>Weber</b>');
  await look('recordings', p + '/recordings', 'failed');
  await look('recording', p + '/recordings?open=EG_1', '12.3 MB');
  assert.equal(await page.locator('a[href^="javascript:"]').count(), 0);
  await look('ingest', p + '/ingest', 'obs');
  await look('ingress', p + '/ingest?open=IN_1', 'obs');
  await look('webhooks', p + '/webhooks', 'https://example.com/hooks');
  await look('endpoint', p + '/webhooks?open=whe_1', 'https://example.com/hooks');
  await look('deliveries', p + '/webhooks?view=deliveries', 'retrying');
  await look('delivery', p + '/webhooks?view=deliveries&delivery=dlv_1', 'timeout');
  await look('events', p + '/events', 'since you opened this');
  await look('event', p + '/events?open=evt_1', 'participant.joined');
  // What buttons send.
  await go(page, p + '/rooms/standup?open=ann');
  await page.locator('dialog[open]').getByRole('button', { name: 'Mute' }).first().click();
  await page.locator('dialog[open]').getByRole('button', { name: 'Remove from room' }).click();
  await page.locator('dialog[open].dialog').getByRole('button', { name: 'Remove from room' }).click();
  await page.waitForFunction(() => !document.querySelector('dialog[open]'));
  await go(page, p + '/webhooks?view=deliveries&delivery=dlv_1');
  await page.getByRole('button', { name: 'Retry now' }).click();
  await page.waitForSelector('.toast');
  assert.deepEqual(sent, ['POST /v1/rooms/standup/participants/ann/mute {"track_sid":"TR_a","muted":true}', 'DELETE /v1/rooms/standup/participants/ann ', 'POST /v1/webhooks/deliveries/dlv_1/retry {}']);
  none([...problems, ...page.wrong]);
  await page.context().close();
});
