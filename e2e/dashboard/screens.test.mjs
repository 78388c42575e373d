// Every screen for every role, in both themes, wide and narrow: nothing goes wrong, and axe finds nothing.
import { test, after } from 'node:test';
import { open, axe, tenant, member, login, operatorLogin, go, settled, screensOf, none, browser, SHOTS, BASE } from './lib.mjs';

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
