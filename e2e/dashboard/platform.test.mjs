// Media, webhooks, events, storage and the installation, with what really happened: rooms of the real LiveKit, recordings of
// its worker, deliveries to somebody who accepts, refuses and is gone, a server of S3's protocol, an event nobody can read.
import { test, after, before } from 'node:test';
import assert from 'node:assert/strict';
import { open, tenant, login, operatorLogin, go, settled, api, axe, none, until, receiver, join, browser, BASE, SHOTS } from './lib.mjs';
import { event, id } from './seed.mjs';

let t, hooks, guest, page;
const problems = [];
after(async () => { hooks?.close(); await browser.close(); });
const q = () => '?project_id=' + t.project, p = (rest) => `/p/${t.project}${rest}`;
const drawer = () => page.locator('dialog.drawer[open]');

before(async () => {
  t = await tenant('Northwind');
  hooks = await receiver();
  for (const code of [200, 503, 410]) await api('POST', '/v1/webhooks/endpoints' + q(), { url: hooks.url(code), events: ['room.*', 'participant.*', 'egress.*'], description: `answers ${code}` }, t.access);
  guest = await open({ permissions: ['camera', 'microphone'] });
  await login(guest, t.email);
  await join(guest, t, 'standup', 'ann');
  page = await open();
  await login(page, t.email);
});

/** Goes to a screen, waits for a text on it, looks at it wide and narrow and in the dark. */
async function look(name, path, ...texts) {
  await go(page, path);
  await settled(page);
  for (const text of texts) await page.locator('main, dialog[open]').locator(':not(option)', { hasText: text }).first().waitFor().catch(async (e) => { await page.screenshot({ path: `${SHOTS}failed-${name}.png` }); throw e; });
  for (const [theme, width] of [['light', 1440], ['dark', 900], ['light', 360]]) {
    await page.emulateMedia({ colorScheme: theme });
    await page.setViewportSize({ width, height: 900 });
    await settled(page);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) problems.push(`${name} ${width}: ${wide} px too wide`);
    for (const v of await axe(page)) problems.push(`${name} ${theme} ${width}: ${v}`);
    await page.screenshot({ path: `${SHOTS}real-${name}-${theme}-${width}.png` });
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1440, height: 900 });
}
const closeDrawer = async () => { await page.keyboard.press('Escape'); await page.waitForFunction(() => !document.querySelector('dialog[open]')); };

test('a room shows who is in it and what they send, and mutes a track', async () => {
  await look('rooms', p('/rooms'), 'standup');
  await look('room', p('/rooms/standup'), 'camera', 'microphone');
  assert.deepEqual((await page.locator('main .stat-value').allTextContents()).slice(0, 2), ['1', '1']);
  await look('participant', p('/rooms/standup?open=ann'), 'camera');
  await drawer().getByRole('button', { name: 'Mute' }).first().click();
  await drawer().locator('.status', { hasText: 'muted' }).first().waitFor();
  await closeDrawer();
});

test('a recording runs, is stopped and shows its file; one that failed says why', async () => {
  await go(page, p('/rooms/standup'));
  await page.getByRole('button', { name: 'Record', exact: true }).click();
  await page.locator('dialog[open]').getByRole('button', { name: 'Start recording' }).click();
  await drawer().locator('.status', { hasText: 'active' }).waitFor({ timeout: 60_000 });
  await page.locator('.sidebar .nav', { hasText: 'Recordings' }).locator('.nav-note', { hasText: '1' }).waitFor();
  await look('recording-active', new URL(page.url()).pathname.replace('/dashboard', '') + new URL(page.url()).search, 'active');
  await drawer().getByRole('button', { name: 'Stop' }).click();
  await page.locator('dialog.dialog[open]').getByRole('button', { name: 'Stop' }).click();
  await drawer().locator('.status', { hasText: 'complete' }).waitFor({ timeout: 60_000 });
  await drawer().getByText(/\.mp4/).first().waitFor();
  await closeDrawer();
  // LiveKit tells of an egress that failed.
  const second = await api('POST', '/v1/media/egress/start' + q(), { room_name: 'standup', type: 'room_composite', outputs: [{ kind: 'file' }] }, t.access);
  const rooms = await api('GET', '/v1/rooms/standup' + q(), undefined, t.access);
  const now = Date.now() * 1e6;
  await until('the second egress is active', () => api('GET', `/v1/media/egress/${second.id}${q()}`, undefined, t.access), (e) => e.status === 'active');
  await event({ event: 'egress_ended', id: id('EV_'), createdAt: String(Math.floor(Date.now() / 1000)), egressInfo: { egressId: second.id, roomId: rooms.sid, roomName: `${t.project}_standup`, status: 'EGRESS_FAILED', error: 'No space left on device', startedAt: String(now - 5e9), endedAt: String(now), updatedAt: String(now), roomComposite: { roomName: `${t.project}_standup`, layout: 'grid', fileOutputs: [{ filepath: 'x.mp4' }] } } });
  await until('it has failed', () => api('GET', `/v1/media/egress/${second.id}${q()}`, undefined, t.access), (e) => e.status === 'failed');
  await look('recordings', p('/recordings'), 'failed', 'complete');
  await look('recording-failed', p('/recordings?open=' + second.id), 'No space left on device');
  await closeDrawer();
});

test('an ingress is created with its stream key shown once, shows that it publishes, is edited, and is deleted after its name was typed', async () => {
  await go(page, p('/ingest'));
  await settled(page);
  await page.getByRole('button', { name: 'Create ingress' }).first().click();
  await page.fill('dialog[open] input[name=name]', 'Main camera');
  await page.fill('dialog[open] input[name=room_name]', 'standup');
  await page.fill('dialog[open] input[name=participant_identity]', 'obs');
  await page.locator('dialog[open]').getByRole('button', { name: 'Create ingress' }).click();
  await page.locator('.secrets .copyable').first().waitFor();
  const [url, key] = await page.locator('.secrets .copyable').allTextContents();
  assert.match(url, /rtmp:\/\/127\.0\.0\.1:1935\/live/);
  await page.getByRole('button', { name: 'I have stored it' }).click();
  await page.waitForFunction(() => !document.querySelector('dialog[open]'));
  assert.equal((await page.content()).includes(key.trim()), false, 'the stream key is still in the page');
  const [made] = (await api('GET', '/v1/media/ingress' + q(), undefined, t.access)).items;
  // LiveKit tells that the stream has begun.
  const rooms = await api('GET', '/v1/rooms/standup' + q(), undefined, t.access);
  await event({ event: 'ingress_started', id: id('EV_'), createdAt: String(Math.floor(Date.now() / 1000)), ingressInfo: { ingressId: made.id, name: 'Main camera', inputType: 'RTMP_INPUT', roomName: `${t.project}_standup`, participantIdentity: 'obs', state: { status: 'ENDPOINT_PUBLISHING', roomId: rooms.sid, startedAt: String(Date.now() * 1e6), updatedAt: String(Date.now() * 1e6) } } });
  await until('it publishes', () => api('GET', `/v1/media/ingress/${made.id}${q()}`, undefined, t.access), (i) => i.status === 'publishing');
  await look('ingest', p('/ingest'), 'Main camera', 'publishing');
  await look('ingress', p('/ingest?open=' + made.id), 'shown when the ingress was created', 'publishing');
  await drawer().getByRole('button', { name: 'Edit' }).click();
  await page.fill('dialog.dialog[open] input[name=participant_name]', 'The stage');
  await page.locator('dialog.dialog[open]').getByRole('button', { name: 'Save' }).click();
  await drawer().getByText('The stage').first().waitFor();
  await drawer().getByRole('button', { name: 'Delete ingress' }).first().click();
  await page.fill('dialog.dialog[open] input[name=typed]', 'Main camera');
  await page.locator('dialog.dialog[open]').getByRole('button', { name: 'Delete ingress' }).click();
  await page.waitForFunction(() => !document.querySelector('dialog[open]'));
  await page.waitForFunction(() => !document.querySelector('main tbody')?.textContent.includes('Main camera'));
});

test('endpoints show their health; deliveries show every attempt, what was sent and what came back, and are sent again', async () => {
  const at = (code) => until(`a delivery answered ${code}`, () => api('GET', '/v1/webhooks/deliveries' + q() + '&limit=100', undefined, t.access), (page) => page.items.some((d) => d.last_status === code && (code !== 503 || d.attempt_count > 1))).then((page) => page.items.find((d) => d.last_status === code && (code !== 503 || d.attempt_count > 1)));
  const delivered = await at(200), refused = await at(503);
  await at(410);
  await look('webhooks', p('/webhooks'), 'failing', 'it answered 410', 'do not accept deliveries');
  await page.locator('.sidebar .nav', { hasText: 'Webhooks' }).locator('.nav-note', { hasText: '!' }).waitFor();
  await look('endpoint', p('/webhooks?open=' + refused.endpoint_id), 'Failing since');
  await closeDrawer();
  await look('deliveries', p('/webhooks?view=deliveries'), 'delivered', 'retrying', '503');
  await look('delivery-refused', p('/webhooks?view=deliveries&delivery=' + refused.id), 'the answer 503 <b>of the receiver</b>', 'webhook-timestamp');
  assert.equal(await drawer().locator('.attempts > li').count() >= 2, true);
  await closeDrawer();
  await look('delivery', p('/webhooks?view=deliveries&delivery=' + delivered.id), 'thanks');
  const before = hooks.got.filter((g) => g.body.id === delivered.event_id && g.path === '/200').length;
  await drawer().getByRole('button', { name: 'Retry now' }).click();
  await page.locator('.toast', { hasText: 'Queued again' }).waitFor();
  await until('it was sent again', async () => hooks.got.filter((g) => g.body.id === delivered.event_id && g.path === '/200').length, (n) => n > before);
  await closeDrawer();
});

test('an endpoint is created with its secret shown once, tested, edited, and deleted after its URL was typed', async () => {
  await go(page, p('/webhooks'));
  await settled(page);
  await page.getByRole('button', { name: 'Create endpoint' }).first().click();
  await page.fill('dialog[open] input[name=url]', hooks.url(204));
  await page.locator('dialog[open]').getByRole('button', { name: 'Create endpoint' }).click();
  assert.match(await page.locator('.secrets .copyable').first().textContent(), /whsec_/);
  await page.getByRole('button', { name: 'I have stored it' }).click();
  await page.locator('tbody a', { hasText: '/204' }).click();
  await drawer().getByRole('button', { name: 'Send test' }).click();
  await until('the test came', async () => hooks.got, (got) => got.some((g) => g.path === '/204' && g.body.type === 'webhook.test'));
  await drawer().getByRole('button', { name: 'Delete endpoint' }).first().click();
  await page.fill('dialog.dialog[open] input[name=typed]', hooks.url(204));
  await page.locator('dialog.dialog[open]').getByRole('button', { name: 'Delete endpoint' }).click();
  await page.waitForFunction(() => !document.querySelector('dialog[open]'));
  await page.waitForFunction(() => !document.querySelector('main tbody')?.textContent.includes('/204'));
});

test('events come as they happen, and an event leads to its room', async () => {
  await look('events', p('/events'), 'participant.joined', 'room.started');
  await page.locator('main .status.live').waitFor();
  await api('POST', '/v1/rooms' + q(), { room_name: 'lobby' }, t.access);
  await page.locator('tbody tr', { hasText: 'lobby' }).first().waitFor();
  await page.locator('tbody tr', { hasText: 'participant.joined' }).first().locator('a').click();
  await drawer().getByRole('link', { name: 'standup' }).waitFor();
  await look('event', new URL(page.url()).pathname.replace('/dashboard', '') + new URL(page.url()).search, 'participant_identity');
  await closeDrawer();
});

test('a storage is set and checked step by step, and what is wrong with it is said', async () => {
  await go(page, p('/settings'));
  await settled(page);
  const form = page.locator('.setting', { hasText: 'Where recordings' });
  const set = async (bucket) => {
    await form.locator('input[name=bucket]').fill(bucket);
    await form.locator('input[name=endpoint]').fill(process.env.PULSE_S3);
    await form.locator('input[name=access_key]').fill('AKTEST');
    await form.locator('input[name=secret]').fill('a-secret-of-the-browser-tests');
    await form.locator('input[name=force_path_style]').check();
    await form.getByRole('button', { name: 'Save storage' }).click();
    await page.locator('.toast', { hasText: 'Saved' }).waitFor();
    await form.locator('p .mono', { hasText: bucket }).waitFor();
    await form.getByRole('button', { name: 'Check storage' }).click();
  };
  await set('no-such-bucket');
  await form.locator('.steps li', { hasText: 'Write a file' }).filter({ hasText: 'NoSuchBucket' }).waitFor();
  await form.locator('.steps li', { hasText: 'Read it' }).filter({ hasText: 'not reached' }).waitFor();
  await page.screenshot({ path: `${SHOTS}real-storage-failed.png`, fullPage: true });
  await set(process.env.PULSE_S3_BUCKET);
  await page.waitForFunction(() => document.querySelectorAll('.setting .steps .status.good').length === 3);
  await page.screenshot({ path: `${SHOTS}real-storage-checked.png`, fullPage: true });
  assert.equal((await page.content()).includes('a-secret-of-the-browser-tests'), false);
});

test('the operator sees the components with their detail, what waits, and tries a dead event again', async () => {
  await event('this is no event');
  const operator = await open();
  await operatorLogin(operator);
  const shown = page;
  page = operator;
  await look('installation', '/operator', 'Database', 'LiveKit clusters', 'Backups', 'Leases');
  await operator.locator('.alerts li', { hasText: '1 could not be processed' }).waitFor();
  await operator.locator('section:has(h2:text-is("Components")) tbody tr', { hasText: 'LiveKit’s events' }).locator('.status.bad').waitFor();
  await operator.getByRole('button', { name: 'Retry dead events' }).click();
  await operator.locator('dialog[open]', { hasText: '1 event' }).waitFor();
  await operator.locator('dialog[open]').getByRole('button', { name: 'Retry dead events' }).click();
  await operator.locator('.toast', { hasText: '1 event retried' }).waitFor();
  await look('organizations', '/operator/organizations', 'Northwind');
  await look('usage-of-all', '/operator/usage', 'Northwind');
  page = shown;
  none(operator.wrong);
  await operator.context().close();
});

test('the usage of the day, its sessions and their proof are those of LiveKit', async () => {
  await guest.getByRole('button', { name: 'Leave' }).click();
  await until('ann has left', () => api('GET', '/v1/usage/sessions' + q() + '&participant_identity=ann', undefined, t.access), (page) => page.items.some((s) => s.left_at));
  await look('sessions', p('/sessions'), 'ann');
  await look('timeline', p('/sessions?view=timeline'), 'ann');
  const bar = page.locator('.tl-bar[aria-label^="ann:"]').first();
  await bar.focus();
  await page.locator('.told', { hasText: 'ann:' }).waitFor();
  await bar.press('Enter');
  await drawer().locator('.proof li').nth(1).waitFor();
  await closeDrawer();
  await look('usage', p('/usage?range=24h'), 'Participant time');
  await look('explain', p('/usage?range=24h&open=participant_seconds'), 'participant_joined');
  await closeDrawer();
  await look('overview', p(''), 'Participant time');
  await look('home', '/', 'Support calls');
  await look('audit', `/o/${t.org}/audit`, 'project');
});

test('nothing went wrong on the way, and axe found nothing', () => {
  none([...problems, ...page.wrong, ...guest.wrong]);
  assert.ok(BASE);
});
