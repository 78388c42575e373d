// What people come for, from the keyboard and against the real LiveKit.
import { test, after } from 'node:test';
import assert from 'node:assert/strict';
import { open, tenant, login, go, settled, unique, api, none, serves, browser, BASE, PASSWORD } from './lib.mjs';

after(() => browser.close());

/** Presses Tab until what has the focus matches, as somebody without a mouse does. */
async function tabTo(page, matches, most = 120) {
  for (let i = 0; i < most; i++) {
    const at = await page.evaluate(() => { const e = document.activeElement; return e ? `${e.tagName.toLowerCase()} ${e.getAttribute('name') ?? ''} ${(e.getAttribute('aria-label') ?? e.textContent ?? '').trim()}` : ''; });
    if (matches.test(at)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`Tab never reached ${matches}`);
}

test('the keyboard alone goes from sign-up over a project and its secret to a token and into a room', async () => {
  const page = await open({ permissions: ['camera', 'microphone'] });
  await page.goto(BASE + '/dashboard/signup');
  await page.waitForSelector('input[name=name]');
  await tabTo(page, /^input name/);
  await page.keyboard.type('Keyboard Ltd');
  await page.keyboard.press('Tab');
  await page.keyboard.type(unique('keys') + '@example.com');
  await page.keyboard.press('Tab');
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await page.waitForSelector('main h1');
  await settled(page);
  await tabTo(page, /^button .*Create project/);
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open] input[name=name]');
  await page.keyboard.type('Calls');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.secrets');
  const secret = await page.locator('.secrets .copyable').nth(1).textContent();
  assert.match(secret, /pulse_secret_/);
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('dialog[open]').count(), 1, 'Escape closed the dialog that shows a secret once');
  await tabTo(page, /^button .*I have stored it/);
  await page.keyboard.press('Enter');
  await page.waitForURL('**/dashboard/p/prj_*');
  await settled(page);
  await tabTo(page, /^a .*Tokens/);
  await page.keyboard.press('Enter');
  await page.waitForURL('**/tokens');
  await settled(page);
  await tabTo(page, /^input participant_identity/);
  await page.keyboard.type('ann');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('.columns textarea.mono')?.value.split('.').length === 3);
  await tabTo(page, /^button .*Validate/);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.note .status.good');
  await tabTo(page, /^button .*Join/);
  await page.keyboard.press('Enter');
  await page.waitForURL('**/join');
  await tabTo(page, /^select media/);
  await tabTo(page, /^button .*Join/);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.status.live');
  await page.waitForFunction(() => document.querySelector('.tile[data-identity=ann] video')?.videoWidth > 0);
  const kept = await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, history.state, location.href]));
  assert.doesNotMatch(kept, /pulse_secret_|eyJ|ses_/, 'a secret was kept');
  none(page.wrong);
  await page.context().close();
});

test('the keyboard alone deletes a project, after its name was typed', async () => {
  const t = await tenant();
  const page = await open();
  await login(page, t.email);
  await go(page, `/p/${t.project}/settings`);
  await settled(page);
  await tabTo(page, /^button .*Delete project/, 200);
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open] input[name=typed]');
  assert.match(await page.locator('dialog[open] .prose').textContent(), /1 key .*0 endpoints|1 key/);
  await page.keyboard.type('Support call');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open] .hint.bad');
  await page.keyboard.type('s');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/dashboard/');
  await page.waitForSelector('.empty');
  none(page.wrong);
  await page.context().close();
});

/** Opens the join screen and enters a room. */
async function enter(page, t, room, identity) {
  await page.goto(`${BASE}/dashboard/p/${t.project}/join?room=${room}&identity=${identity}`);
  await page.waitForSelector('form');
  await page.getByRole('button', { name: 'Join', exact: true }).click();
  await page.waitForSelector('.status.live');
}

test('two browsers see the frames of each other, the rooms screen shows them within a second, and removing one works', async () => {
  const t = await tenant();
  const [ann, bob, watcher] = await Promise.all([0, 1, 2].map(() => open({ permissions: ['camera', 'microphone'] })));
  for (const page of [ann, bob, watcher]) await login(page, t.email);
  const rooms = serves('/v1/rooms');
  await watcher.goto(`${BASE}/dashboard/p/${t.project}/${rooms ? 'rooms' : 'sessions'}`);
  await settled(watcher);
  await enter(ann, t, 'standup', 'ann');
  const joined = Date.now();
  if (rooms) {
    await watcher.getByRole('link', { name: 'standup' }).waitFor();
    console.log(`the rooms screen showed the room ${Date.now() - joined} ms after the join`);
  }
  await enter(bob, t, 'standup', 'bob');
  for (const [page, other] of [[ann, 'bob'], [bob, 'ann']]) {
    const moving = (least) => page.waitForFunction(([who, s]) => { const v = document.querySelector(`.tile[data-identity="${who}"] video`); return v && v.videoWidth > 0 && v.currentTime > s; }, [other, least]);
    await moving(0);
    await moving(await page.evaluate((who) => document.querySelector(`.tile[data-identity="${who}"] video`).currentTime, other) + 0.2);
  }
  if (rooms) {
    await watcher.getByRole('link', { name: 'standup' }).click();
    await watcher.waitForURL('**/rooms/standup');
    await watcher.getByRole('link', { name: 'bob' }).waitFor();
    const row = watcher.locator('tbody tr', { hasText: 'bob' });
    await row.getByRole('button', { name: 'Remove from room' }).click();
    await watcher.locator('dialog[open]').getByRole('button', { name: 'Remove from room' }).click();
    await bob.waitForSelector('.status:has-text("removed from the room")');
    await watcher.waitForFunction(() => !document.querySelector('main').textContent.includes('bob'));
  } else await api('POST', '/v1/tokens/revoke', { participant_identity: 'bob' }, t.key).then(() => bob.waitForSelector('.status:has-text("removed from the room")'));
  // The session of who was removed, with its proof.
  await go(watcher, `/p/${t.project}/sessions?identity=bob`);
  await watcher.locator('tbody a').first().click();
  await watcher.waitForSelector('dialog[open] .proof li');
  assert.ok(await watcher.locator('dialog[open] .proof li').count() >= 2, 'the proof lacks the join or the leave');
  for (const page of [ann, bob, watcher]) { none(page.wrong); await page.context().close(); }
});

test('a token is revoked from the token lab and the ban is listed and lifted', async () => {
  const t = await tenant();
  const page = await open();
  await login(page, t.email);
  await go(page, `/p/${t.project}/tokens`);
  await settled(page);
  await page.fill('input[name=participant_identity]', 'mallory');
  await page.getByRole('button', { name: 'Mint token' }).click();
  await page.getByRole('button', { name: 'Revoke' }).click();
  await page.locator('dialog[open]').getByRole('button', { name: 'Revoke' }).click();
  await page.locator('tbody', { hasText: 'mallory' }).waitFor();
  await assert.rejects(api('POST', '/v1/tokens/create', { participant_identity: 'mallory', room_name: 'standup' }, t.key), /participant_revoked/);
  await page.getByRole('button', { name: 'Lift' }).click();
  await page.waitForFunction(() => !document.querySelector('main').textContent.includes('mallory') || document.querySelector('.empty'));
  await api('POST', '/v1/tokens/create', { participant_identity: 'mallory', room_name: 'standup' }, t.key);
  none(page.wrong);
  await page.context().close();
});
