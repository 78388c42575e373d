// What the browser tests share: a browser, pages that note everything that goes wrong, and a client of /v1.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { readFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:http';

export const BASE = process.env.PULSE_URL;
export const OPERATOR = process.env.PULSE_OPERATOR;
export const SHOTS = new URL('./screens/', import.meta.url).pathname;
export const PASSWORD = 'correct horse battery';
mkdirSync(SHOTS, { recursive: true });
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--disable-features=WebRtcHideLocalIpsWithMdns'],
});

/** A page; `wrong` collects console errors, exceptions and reports of the content policy. */
export async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'light', timezoneId: 'UTC', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000); // a machine may be busy
  page.wrong = [];
  page.calls = [];
  page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') page.wrong.push(`${m.type()}: ${m.text()} ${m.location().url}`); });
  page.on('pageerror', (e) => page.wrong.push('exception: ' + (e.stack ?? e)));
  page.on('request', (r) => {
    const { pathname } = new URL(r.url());
    if (!pathname.startsWith('/v1/')) return;
    page.calls.push(`${r.method()} ${pathname}`);
    const why = unknown(r.method(), r.url());
    if (why) page.wrong.push(why);
  });
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (e) => console.error('content policy: ' + e.violatedDirective + ' ' + e.blockedURI));
    addEventListener('unhandledrejection', (e) => console.error('unhandled: ' + (e.reason?.stack ?? e.reason)));
  });
  return page;
}

/** What axe finds against WCAG 2.2 AA. The page's policy forbids scripts of others, so axe goes in through the protocol. */
export async function axe(page) {
  await page.evaluate(axeSource);
  // A colour between two is neither; what never ends (a skeleton) is not waited for.
  await page.evaluate(() => Promise.all(document.getAnimations().filter((a) => a.effect.getComputedTiming().endTime !== Infinity).map((a) => a.finished.catch(() => null))));
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
  return found.violations.map((v) => `${v.id}: ${v.help}\n` + v.nodes.slice(0, 4).map((n) => `    ${n.target.join(' ')}  ${n.failureSummary?.split('\n')[1] ?? ''}`).join('\n'));
}

/** Calls /v1 as somebody; throws what is not 2xx. */
export async function api(method, path, body, credential) {
  const headers = { ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
  if (typeof credential === 'string') headers.authorization = 'Bearer ' + credential; else Object.assign(headers, credential);
  const answer = await fetch(BASE + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

/** What the installation serves, by its own description. */
const document_ = await fetch(BASE + '/openapi.json').then((a) => a.json());
const routes = Object.entries(document_.paths).map(([path, operations]) => ({ pattern: new RegExp('^' + path.replaceAll(/\{[^}]+\}/g, '[^/]+') + '$'), operations }))
  // A path without variables comes before one with them: /v1/events/stream is no event.
  .sort((a, b) => Number(a.pattern.source.includes('[^/]+')) - Number(b.pattern.source.includes('[^/]+')));
const served = routes.map((r) => r.pattern);
const resolved = (p) => p.$ref ? document_.components.parameters[p.$ref.split('/').at(-1)] : p;
/** Why the description has no such call; '' if it has. */
export function unknown(method, url) {
  const { pathname, searchParams } = new URL(url, BASE), route = routes.find((r) => r.pattern.test(pathname)), operation = route?.operations[method.toLowerCase()];
  if (!operation) return `${method} ${pathname} is no route`;
  const names = [...operation.parameters ?? [], ...route.operations.parameters ?? []].map(resolved).filter((p) => p.in === 'query').map((p) => p.name);
  const odd = [...searchParams.keys()].filter((k) => !names.includes(k));
  return odd.length ? `${method} ${pathname} has no parameter ${odd.join(', ')}` : '';
}
const lacking = (line) => {
  const url = /404 \(Not Found\) (\S+)/.exec(line)?.[1];
  return url && !served.some((r) => r.test(new URL(url).pathname));
};
/** Fails with everything that is listed. */
export function none(list) {
  const left = list.filter((line) => !lacking(line));
  if (left.length) assert.fail(left.join('\n'));
}
export const serves = (path) => served.some((r) => r.test(path));

let serial = 0;
export const unique = (name) => `${name}-${process.pid}-${++serial}`;

/** An organization with an owner, a project and its key. */
export async function tenant(name = 'Acme') {
  const email = unique('owner') + '@example.com';
  const up = await api('POST', '/v1/organizations', { name, admin_email: email, password: PASSWORD });
  const access = up.session.access_token;
  const made = await api('POST', '/v1/projects', { name: 'Support calls' }, access);
  return { org: up.organization.id, email, access, project: made.project.id, key: { 'x-pulse-key': made.pulse_api_key, 'x-pulse-secret': made.pulse_api_secret } };
}

/** A member of a tenant with a role; gives the address to log in with. */
export async function member(of, role) {
  const email = unique(role) + '@example.com';
  const { accept_token } = await api('POST', `/v1/organizations/${of.org}/invitations`, { email, role }, of.access);
  await api('POST', '/v1/invitations/accept', { token: accept_token, name: role, password: PASSWORD });
  return email;
}

/** Somebody who receives webhooks: answers by the path (/200, /503, …) and keeps what came. */
export async function receiver() {
  const got = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => { body += part; });
    request.on('end', () => {
      got.push({ path: request.url, headers: request.headers, body: JSON.parse(body) });
      const code = Number(request.url.slice(1)) || 200;
      response.writeHead(code, { 'content-type': 'text/plain' }).end(code < 300 ? 'thanks' : `the answer ${code} <b>of the receiver</b>`);
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return { got, url: (code) => `http://127.0.0.1:${server.address().port}/${code}`, close: () => { server.closeAllConnections(); server.close(); } };
}

/** Asks until the answer is as wanted; says what it was last. */
export async function until(what, ask, right, within = 60_000) {
  const began = Date.now();
  let last;
  for (;;) {
    last = await ask().catch((e) => String(e));
    if (typeof last !== 'string' && right(last)) return last;
    if (Date.now() - began > within) assert.fail(`${what}: ${JSON.stringify(last).slice(0, 2000)}`);
    await new Promise((done) => setTimeout(done, 250));
  }
}

/** Opens the join screen and enters a room with a fake camera. */
export async function join(page, t, room, identity) {
  await page.goto(`${BASE}/dashboard/p/${t.project}/join?room=${room}&identity=${identity}`);
  await page.waitForSelector('form');
  await page.getByRole('button', { name: 'Join', exact: true }).click();
  await page.waitForSelector('.status.live');
}

/** Logs a page in through the form. */
export async function login(page, email) {
  await page.goto(BASE + '/dashboard/login');
  await page.fill('input[type=email]', email);
  await page.fill('input[type=password]', PASSWORD);
  await page.keyboard.press('Enter');
  await page.waitForSelector('main h1');
  await page.waitForURL((u) => !u.pathname.includes('login'));
}

export async function operatorLogin(page) {
  await page.goto(BASE + '/dashboard/login/operator');
  await page.fill('input[type=password]', OPERATOR);
  await page.keyboard.press('Enter');
  await page.waitForURL('**/dashboard/operator');
}

/** Goes somewhere inside without loading the page. */
export const go = (page, path) => page.evaluate((p) => { const a = document.createElement('a'); a.href = '/dashboard' + p; document.body.append(a); a.click(); a.remove(); }, path);

/** Waits until a screen has drawn its title and nothing loads. */
export async function settled(page) {
  await page.waitForSelector('main h1');
  await page.waitForFunction(() => {
    const main = document.querySelector('#main'), path = location.pathname.replace(/^\/dashboard/, '').replace(/(.)\/$/, '$1');
    return (!main || main.dataset.path === path) && !document.querySelector('.bones');
  });
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

/** The screens of a tenant, by name. */
export const screensOf = (t) => ({
  home: '/', account: '/account', people: `/o/${t.org}/people`, 'usage-by-project': `/o/${t.org}/usage`, audit: `/o/${t.org}/audit`, organization: `/o/${t.org}/settings`,
  overview: `/p/${t.project}`, rooms: `/p/${t.project}/rooms`, sessions: `/p/${t.project}/sessions`, timeline: `/p/${t.project}/sessions?view=timeline`, usage: `/p/${t.project}/usage`, 'usage-by-room': `/p/${t.project}/usage?view=rooms`,
  recordings: `/p/${t.project}/recordings`, ingest: `/p/${t.project}/ingest`, keys: `/p/${t.project}/keys`, tokens: `/p/${t.project}/tokens`, webhooks: `/p/${t.project}/webhooks`, deliveries: `/p/${t.project}/webhooks?view=deliveries`,
  events: `/p/${t.project}/events`, settings: `/p/${t.project}/settings`, join: `/p/${t.project}/join`,
});
