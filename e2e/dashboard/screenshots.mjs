// README's pictures, and every screen with something on it into screens/.
import { statSync } from 'node:fs';
import { open, login, go, settled, screensOf, browser, SHOTS, BASE } from './lib.mjs';
import { seeded } from './seed.mjs';

const OUT = process.env.SCREENSHOTS_OUT ?? SHOTS;
const t = await seeded();
const page = await open({ viewport: { width: 1280, height: 800 } });
await login(page, t.email);

/** Sends a fake camera into a room, so that something is live. */
const guests = [];
for (const who of ['dr-okafor', 'ann']) {
  const guest = await open({ permissions: ['camera', 'microphone'] });
  await login(guest, t.email);
  await guest.goto(`${BASE}/dashboard/p/${t.project}/join?room=visit-412&identity=${who}`);
  await guest.waitForSelector('form');
  await guest.getByRole('button', { name: 'Join', exact: true }).click();
  await guest.waitForSelector('.status.live');
  guests.push(guest);
}
await guests[0].waitForFunction(() => document.querySelector('.tile[data-identity=ann] video')?.videoWidth > 0);
await guests[0].screenshot({ path: SHOTS + 'seeded-join.png' });

const extra = { 'sessions-timeline': `/p/${t.project}/sessions?view=timeline&range=all&room_name=visit-398`, 'usage-day': `/p/${t.project}/usage?range=24h`, live: `/p/${t.project}/rooms/visit-412` };
for (const [theme, width] of [['light', 1280], ['dark', 1280], ['light', 390]]) {
  await page.emulateMedia({ colorScheme: theme });
  await page.setViewportSize({ width, height: 800 });
  for (const [name, path] of Object.entries({ ...screensOf(t), ...extra })) {
    await go(page, path);
    await settled(page);
    await page.waitForTimeout(150);
    await page.screenshot({ path: `${SHOTS}seeded-${name}-${theme}-${width}.png` });
  }
}
await page.setViewportSize({ width: 1120, height: 680 });
for (const [name, path, theme] of [['overview', `/p/${t.project}`, 'light'], ['sessions', `/p/${t.project}/sessions?view=timeline&range=24h`, 'dark'], ['usage', `/p/${t.project}/usage?range=24h`, 'light']]) {
  await page.emulateMedia({ colorScheme: theme });
  await go(page, path);
  await settled(page);
  await page.waitForTimeout(200);
  const file = `${OUT}dashboard-${name}.png`;
  await page.screenshot({ path: file });
  const size = statSync(file).size;
  if (size > 100 * 1024) throw new Error(`${file} has ${size} bytes, more than 100 KB`);
}
if (page.wrong.length) console.log(page.wrong.join('\n'));
await browser.close();
