// Every screen for every role, in both themes, wide and narrow: nothing goes wrong, and axe finds nothing.
import { test, after } from 'node:test';
import assert from 'node:assert/strict';
import { open, axe, tenant, member, login, operatorLogin, go, settled, screensOf, none, unknown, api, browser, SHOTS, BASE } from './lib.mjs';

after(() => browser.close());
const looks = [['light', 1440], ['dark', 1440], ['light', 360], ['dark', 360]];
const t = await tenant('Acme');

/** Walks the screens with one login in every look. */
async function walk(who, enter, screens, photograph) {
  const page = await open();
  await enter(page);
  await settled(page);
  const problems = [];
  for (const [name, path] of Object.entries(screens)) {
    await go(page, path);
    await page.waitForURL(BASE + '/dashboard' + path);
    await settled(page);
    for (const [theme, width] of looks) {
      await page.emulateMedia({ colorScheme: theme });
      await page.setViewportSize({ width, height: 900 });
      await settled(page);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (overflow > 0) problems.push(`${name} ${theme} ${width}: ${overflow} px too wide`);
      for (const v of await axe(page)) problems.push(`${name} ${theme} ${width}: ${v}`);
      if (photograph) await page.screenshot({ path: `${SHOTS}${who}-${name}-${theme}-${width}.png` });
    }
    for (const w of page.wrong.splice(0)) problems.push(`${name}: ${w}`);
  }
  await page.context().close();
  none(problems);
}

for (const role of ['owner', 'admin', 'developer', 'viewer']) {
  test(`every screen works for the role ${role}, and axe finds nothing`, async () => {
    const email = role === 'owner' ? t.email : await member(t, role);
    await walk(role, (page) => login(page, email), screensOf(t), role === 'owner');
  });
}

test('every screen works for the operator, and axe finds nothing', async () => {
  const { home, account, ...screens } = screensOf(t);
  await walk('operator', operatorLogin, { installation: '/operator', organizations: '/operator/organizations', 'usage-of-all': '/operator/usage', acting: `/o/${t.org}`, ...screens }, true);
});

test('what a visitor sees works, and axe finds nothing', async () => {
  const page = await open();
  const problems = [];
  for (const name of ['login', 'signup', 'forgot', 'reset', 'accept', 'login/operator']) {
    for (const [theme, width] of looks) {
      await page.emulateMedia({ colorScheme: theme });
      await page.setViewportSize({ width, height: 900 });
      await page.goto(`${BASE}/dashboard/${name}`);
      await page.waitForSelector('main h1');
      for (const v of await axe(page)) problems.push(`${name} ${theme} ${width}: ${v}`);
      await page.screenshot({ path: `${SHOTS}visitor-${name.replace('/', '-')}-${theme}-${width}.png` });
    }
  }
  none([...problems, ...page.wrong]);
});

test('dialogs and drawers are accessible', async () => {
  const page = await open();
  await login(page, t.email);
  const problems = [];
  const look = async (name) => { await page.waitForSelector('dialog[open]'); await settled(page); for (const v of await axe(page)) problems.push(`${name}: ${v}`); await page.screenshot({ path: `${SHOTS}dialog-${name}.png` }); };
  await go(page, `/p/${t.project}/keys`);
  await settled(page);
  await page.getByRole('button', { name: 'Create key' }).click();
  await look('create-key');
  await page.keyboard.press('Escape');
  await page.locator('tbody a').first().click();
  await look('key');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  await look('palette');
  await page.keyboard.press('Escape');
  await go(page, `/p/${t.project}/settings`);
  await settled(page);
  await page.getByRole('button', { name: 'Delete project' }).click();
  await look('delete');
  none([...problems, ...page.wrong]);
});

test('every screen offers its calls as curl, without a credential, and the API has each of them', async () => {
  await api('POST', '/v1/webhooks/endpoints?project_id=' + t.project, { url: 'https://example.com/hooks', events: ['*'] }, t.access);
  const page = await open(), problems = [], calls = new Set();
  await page.addInitScript(() => {
    window.copied = [];
    Object.defineProperty(navigator, 'clipboard', { value: { writeText: async (text) => { window.copied.push(text); } } });
  });
  const take = async (name) => {
    const texts = await page.evaluate(() => window.copied.splice(0));
    if (!texts.length) problems.push(`${name} offers no call`);
    for (const text of texts) {
      const [, , method = 'GET', path] = /^curl (-X (\w+) )?"\$PULSE"'([^']+)'/.exec(text) ?? [], why = path ? unknown(method, path) : 'is no call: ' + text;
      if (why) problems.push(`${name}: ${why}`);
      if (!text.includes('Bearer $ACCESS') || /eyJ|pulse_secret_|whsec_/.test(text)) problems.push(`${name}: ${text}`);
      calls.add(`${method} ${path}`);
    }
  };
  /** Presses every button below `within` that copies a call, in menus too. */
  const press = async (within) => {
    const buttons = page.locator(within).getByRole('button', { name: 'curl' });
    for (let i = 0; i < await buttons.count(); i++) {
      const button = buttons.nth(i);
      await button.click();
      if (await button.getAttribute('aria-expanded') === null) continue;
      const items = page.locator('.menu-items button');
      for (let n = 0, all = await items.count(); n < all; n++) {
        await items.nth(n).click();
        if (n < all - 1) await button.click();
      }
    }
  };
  const who = async (enter, screens) => {
    await enter(page);
    for (const [name, path] of Object.entries(screens)) {
      await go(page, path);
      await settled(page);
      if (name === 'join') continue; // it has no call of its own: it asks for a token
      await press('main');
      await take(name);
    }
  };
  const { timeline, deliveries, ...screens } = screensOf(t);
  await who((p) => login(p, t.email), { ...screens, deliveries });
  // Drawers and forms.
  for (const [name, path] of [['key', `/p/${t.project}/keys`], ['endpoint', `/p/${t.project}/webhooks`], ['event', `/p/${t.project}/events`]]) {
    await go(page, path);
    await settled(page);
    await page.locator('tbody a').first().click();
    await page.waitForSelector('dialog[open] .terms');
    await press('dialog[open]');
    await take(name);
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => !document.querySelector('dialog[open]'));
  }
  for (const [name, path, button] of [['create key', 'keys', 'Create key'], ['create endpoint', 'webhooks', 'Create endpoint'], ['start recording', 'recordings', 'Start recording'], ['create room', 'rooms', 'Create room'], ['delete project', 'settings', 'Delete project']]) {
    await go(page, `/p/${t.project}/${path}`);
    await settled(page);
    await page.getByRole('button', { name: button, exact: true }).first().click();
    await page.waitForSelector('dialog[open] form');
    await press('dialog[open]');
    await take(name);
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => !document.querySelector('dialog[open]'));
  }
  none([...problems, ...page.wrong]);
  assert.ok(calls.size > 40, `${calls.size} calls`);
  await page.context().close();
});
