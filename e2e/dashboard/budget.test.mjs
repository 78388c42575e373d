// What the first load may cost, and what a long list does.
import { test, after } from 'node:test';
import assert from 'node:assert/strict';
import { open, tenant, login, settled, api, until, browser, BASE } from './lib.mjs';
import { crowd } from './seed.mjs';

after(() => browser.close());
const MOST_BYTES = 90 * 1024, MOST_CALLS = 6;

/** Loads a page anew and counts what it takes. */
async function load(page, path) {
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  await session.send('Network.setCacheDisabled', { cacheDisabled: true });
  let bytes = 0;
  const assets = new Set();
  session.on('Network.responseReceived', (e) => { if (new URL(e.response.url).pathname.startsWith('/dashboard')) assets.add(e.requestId); });
  session.on('Network.loadingFinished', (e) => { if (assets.has(e.requestId)) bytes += e.encodedDataLength; });
  page.calls.length = 0;
  const began = Date.now();
  await page.goto(BASE + '/dashboard' + path);
  await page.waitForSelector('main h1');
  await settled(page);
  const ms = Date.now() - began;
  await page.waitForLoadState('networkidle');
  return { bytes, calls: [...page.calls], ms };
}

test('the first load takes at most 90 KB and 6 calls', async () => {
  const t = await tenant();
  const page = await open();
  const visitor = await load(page, '/');
  await login(page, t.email);
  const paths = { 'the log-in': visitor };
  for (const [name, path] of [['home', '/'], ['a project', `/p/${t.project}`], ['keys', `/p/${t.project}/keys`], ['usage', `/p/${t.project}/usage`], ['webhooks', `/p/${t.project}/webhooks`]]) paths[name] = await load(page, path);
  for (const [name, cost] of Object.entries(paths)) {
    console.log(`${name}: ${(cost.bytes / 1024).toFixed(1)} KB, ${cost.calls.length} calls, interactive after ${cost.ms} ms`);
    assert.ok(cost.bytes > 10_000 && cost.bytes <= MOST_BYTES, `${name} takes ${cost.bytes} bytes`);
    assert.ok(cost.calls.length <= MOST_CALLS, `${name} calls ${cost.calls.join(', ')}`);
  }
  await page.context().close();
});

test('10,000 sessions scroll, and a click among them is answered at once', async () => {
  const t = await tenant();
  await crowd(t.project, 'stadium', 100);
  const sessions = () => api('GET', `/v1/usage/sessions?project_id=${t.project}&limit=100`, undefined, t.access);
  await until('a hundred sessions', sessions, (page) => page.items.length === 100);
  const page = await open();
  await login(page, t.email);
  // The page that the API has, a hundred times: ten thousand people take minutes to join.
  await page.route('**/v1/usage/sessions?*', async (r) => {
    const url = new URL(r.request().url()), from = Number(url.searchParams.get('cursor') || 0);
    url.searchParams.delete('cursor');
    const answer = await r.fetch({ url: String(url) }), { items } = await answer.json();
    return r.fulfill({ response: answer, json: { items: items.map((s, i) => ({ ...s, id: `${s.id}${from + i}`, participant_identity: 'p' + (from + i) })), has_more: from < 9900, next_cursor: from < 9900 ? String(from + 100) : null } });
  });
  await page.goto(`${BASE}/dashboard/p/${t.project}/sessions`);
  await page.locator('tbody').waitFor();
  for (let n = 200; n <= 10_000; n += 100) {
    await page.getByRole('button', { name: 'Load more' }).click();
    await page.waitForFunction((rows) => document.querySelectorAll('tbody tr').length === rows, n);
  }
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  const heap = (await session.send('Runtime.getHeapUsage')).usedSize / 2 ** 20;
  // What a person waits for after a click (INP): until the next frame after the drawer of a row was asked for.
  const click = await page.evaluate(async () => {
    const row = document.querySelectorAll('tbody tr')[5000];
    row.scrollIntoView();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const began = performance.now();
    row.querySelector('a').click();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - began;
  });
  await page.waitForSelector('dialog[open]');
  await page.keyboard.press('Escape');
  const worst = await page.evaluate(async () => {
    let most = 0;
    for (let i = 0; i < 40; i++) {
      const began = performance.now();
      scrollBy(0, 7000);
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      most = Math.max(most, performance.now() - began);
    }
    return most;
  });
  console.log(`10,000 sessions: ${heap.toFixed(1)} MB heap, a click is answered after ${click.toFixed(0)} ms, the slowest frame while scrolling took ${worst.toFixed(0)} ms`);
  assert.ok(heap < 60, `${heap} MB`);
  await page.context().close();
});
