// Hostile names, reload and history, and everything that can go wrong between page and server.
import { test, after } from 'node:test';
import assert from 'node:assert/strict';
import { open, tenant, login, operatorLogin, go, settled, api, member, none, browser, BASE } from './lib.mjs';

after(() => browser.close());
const quiet = (page) => page.wrong.filter((w) => !/Failed to load resource|net::ERR|Failed to fetch dynamically imported module/.test(w));

test('names that are HTML, that turn the text around or fill 256 bytes are shown as text and break nothing', async () => {
  const names = ['<img src=x onerror="document.title=1">', '"><script>alert(1)</script>', '\u202Eevil\u202C left', 'مشروع '.repeat(14).trim(), '👩‍👩‍👧‍👦'.repeat(9), 'x'.repeat(100), '${7*7}{{7*7}}', "a' OR '1'='1"];
  const t = await tenant('<b>Acme</b> & \u202Eco');
  const page = await open({ viewport: { width: 360, height: 800 } });
  for (const name of names) await api('POST', '/v1/projects', { name }, t.access).catch((e) => assert.match(String(e), /400/));
  const identity = '<i>ann</i>\u202E' + 'ü'.repeat(120);
  await api('POST', '/v1/tokens/revoke?project_id=' + t.project, { participant_identity: identity }, t.access);
  await login(page, t.email);
  await settled(page);
  const shown = await page.locator('tbody').textContent();
  for (const name of names.filter((n) => !n.includes('\u202E'))) assert.ok(shown.includes(name), name);
  await go(page, `/p/${t.project}/tokens`);
  await page.locator('tbody', { hasText: '<i>ann</i>' }).waitFor();
  assert.equal(await page.evaluate(() => document.querySelectorAll('main img, main script, main b, main td i').length), 0);
  for (const width of [360, 900, 1440]) {
    await page.setViewportSize({ width, height: 800 });
    for (const path of ['/', `/p/${t.project}/tokens`, `/o/${t.org}/settings`, `/o/${t.org}/audit`]) {
      await go(page, path);
      await settled(page);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), `${path} is wider than ${width} px`);
    }
  }
  none(page.wrong);
  await page.context().close();
});

test('reload, back and forward keep filters, ranges and the open drawer', async () => {
  const t = await tenant();
  const page = await open();
  await login(page, t.email);
  await go(page, `/p/${t.project}/keys`);
  await settled(page);
  await page.locator('tbody a').first().click();
  await page.waitForSelector('dialog.drawer[open]');
  const withDrawer = page.url();
  await page.reload();
  await page.waitForSelector('dialog.drawer[open]');
  assert.equal(page.url(), withDrawer);
  await page.goBack();
  await page.waitForFunction(() => !document.querySelector('dialog[open]'));
  await page.goForward();
  await page.waitForSelector('dialog.drawer[open]');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !location.search.includes('open='));
  await go(page, `/p/${t.project}/usage?range=7d&meter=room_seconds&view=rooms`);
  await settled(page);
  await page.reload();
  await settled(page);
  assert.deepEqual(await page.locator('.filters select').evaluateAll((all) => all.map((s) => s.value)), ['7d', 'day', 'room_seconds']);
  assert.equal(await page.locator('[role=tab][aria-selected=true]').textContent(), 'By room');
  none(page.wrong);
  await page.context().close();
});

test('an access token that expired is replaced without anybody noticing', async () => {
  const t = await tenant();
  const page = await open();
  await login(page, t.email);
  let refused = 0;
  await page.route('**/v1/projects/*/keys*', (r) => refused++ === 0 ? r.fulfill({ status: 401, contentType: 'application/problem+json', body: '{"code":"invalid_token","detail":"expired","request_id":"req_x"}' }) : r.continue());
  await go(page, `/p/${t.project}/keys`);
  await page.locator('main:has(h1:text-is("Keys")) tbody').waitFor();
  assert.equal(page.calls.filter((c) => c === 'POST /v1/auth/refresh').length, 1);
  none(quiet(page));
  await page.context().close();
});

test('a session that was ended leads to the log-in, which leads back', async () => {
  const t = await tenant();
  const page = await open();
  await login(page, t.email);
  await go(page, `/p/${t.project}/keys`);
  await settled(page);
  const sessions = await api('GET', '/v1/auth/sessions', undefined, t.access);
  for (const s of sessions.items) if (!s.current) await api('DELETE', '/v1/auth/sessions/' + s.id, undefined, t.access);
  await go(page, `/p/${t.project}/sessions`);
  await page.waitForURL('**/login?next=*');
  await page.getByText('Your session has ended').waitFor();
  await page.fill('input[type=email]', t.email);
  await page.fill('input[type=password]', 'correct horse battery');
  await page.keyboard.press('Enter');
  await page.waitForURL(`**/p/${t.project}/sessions`);
  await page.context().close();
});

test('logging out in one tab shows the log-in in the other, and a reload stays logged in until then', async () => {
  const t = await tenant();
  const page = await open();
  await login(page, t.email);
  const other = await page.context().newPage();
  await other.goto(BASE + '/dashboard/');
  await other.waitForSelector('main h1');
  await page.reload();
  await settled(page);
  await page.getByRole('button', { name: 'Account menu' }).click();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.waitForURL('**/login');
  await other.waitForURL('**/login*');
  await other.getByText('You logged out in another tab').waitFor();
  assert.equal((await page.context().cookies()).filter((c) => c.name.includes('refresh')).length, 0, 'the cookie stays');
  await page.context().close();
});

test('several tabs that wake up together refresh one after the other and stay logged in', async () => {
  const t = await tenant();
  const page = await open();
  await login(page, t.email);
  const tabs = await Promise.all([0, 1, 2, 3].map(() => page.context().newPage()));
  await Promise.all(tabs.map((p) => p.goto(`${BASE}/dashboard/p/${t.project}/keys`)));
  await Promise.all(tabs.map((p) => p.locator('tbody').waitFor()));
  await page.context().close();
});

test('a 503 is said with its request id and a retry, and the rest of the page stays', async () => {
  const t = await tenant();
  const page = await open();
  await login(page, t.email);
  let busy = true;
  await page.route('**/v1/projects/*/keys*', (r) => busy ? r.fulfill({ status: 503, headers: { 'retry-after': '1' }, contentType: 'application/problem+json', body: '{"code":"service_unavailable","detail":"busy","request_id":"req_busy"}' }) : r.continue());
  await go(page, `/p/${t.project}/keys`);
  await page.locator('.failure', { hasText: 'req_busy' }).waitFor({ timeout: 15_000 });
  assert.equal(await page.locator('.sidebar').isVisible(), true);
  busy = false;
  await page.getByRole('button', { name: 'Retry' }).click();
  await page.locator('main:has(h1:text-is("Keys")) tbody').waitFor();
  none(quiet(page));
  await page.context().close();
});

test('a 429 is said and goes away by itself', async () => {
  const t = await tenant();
  const page = await open();
  await login(page, t.email);
  let limited = 0;
  await page.route('**/v1/projects/*/keys*', (r) => limited++ < 1 ? r.fulfill({ status: 429, headers: { 'retry-after': '1' }, contentType: 'application/problem+json', body: '{"code":"rate_limited","detail":"too many","request_id":"req_many"}' }) : r.continue());
  await go(page, `/p/${t.project}/keys`);
  await page.locator('.banner', { hasText: 'Too many requests' }).waitFor();
  await page.locator('main:has(h1:text-is("Keys")) tbody').waitFor();
  await page.waitForFunction(() => !document.querySelector('.banner'));
  none(quiet(page));
  await page.context().close();
});

test('a dead server is said, and the page recovers when it is back', async () => {
  const t = await tenant();
  const page = await open();
  await login(page, t.email);
  await settled(page);
  await page.waitForLoadState('networkidle');
  await page.context().setOffline(true);
  await go(page, `/p/${t.project}/keys`);
  await page.locator('.banner', { hasText: 'does not answer' }).waitFor();
  await page.context().setOffline(false);
  await page.waitForFunction(() => !document.querySelector('.banner'), null, { timeout: 15_000 });
  await page.locator('tbody').waitFor({ timeout: 15_000 });
  none(quiet(page));
  await page.context().close();
});

test('what a role may not do is off, with the reason', async () => {
  const t = await tenant();
  const page = await open();
  await login(page, await member(t, 'viewer'));
  await settled(page);
  const create = page.getByRole('button', { name: 'Create project' }).first();
  assert.equal(await create.getAttribute('aria-disabled'), 'true');
  assert.match(await create.getAttribute('title'), /developer/);
  await create.click({ force: true });
  assert.equal(await page.locator('dialog[open]').count(), 0);
  await page.context().close();
});

test('the operator acts on a tenant under a banner that names it', async () => {
  const t = await tenant('Northwind <b>Ltd</b>');
  const page = await open();
  await operatorLogin(page);
  await go(page, `/p/${t.project}/keys`);
  await page.locator('.banner.acting', { hasText: 'Northwind <b>Ltd</b>' }).waitFor();
  await page.locator('main:has(h1:text-is("Keys")) tbody').waitFor();
  await page.reload();
  await page.locator('.banner.acting', { hasText: 'Northwind <b>Ltd</b>' }).waitFor();
  none(page.wrong);
  await page.context().close();
});
