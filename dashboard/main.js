// Chooses the screen of a path.
// @ts-check
import { h, effect, append, root, untracked } from './kit/dom.js';
import { resume, signedIn, suspect, revived, endedBy, Problem } from './kit/api.js';
import { go, here, match, outlet, path } from './kit/router.js';
import { failure } from './kit/load.js';
import { m } from './messages.js';
import { enter, known, me, wanted } from './shell/session.js';
import { frame, head, shortcuts, connection } from './shell/shell.js';

/** Screens by path; each is loaded when it is first shown. @type {[string, () => Promise<any>, string][]} */
const screens = [
  ['/', () => import('./screens/home.js'), 'home'],
  ['/account', () => import('./screens/account.js'), 'account'],
  ['/o/:org', () => import('./screens/home.js'), 'home'],
  ['/o/:org/people', () => import('./screens/people.js'), 'people'],
  ['/o/:org/usage', () => import('./screens/usage.js'), 'organization'],
  ['/o/:org/audit', () => import('./screens/audit.js'), 'audit'],
  ['/o/:org/settings', () => import('./screens/organization.js'), 'organization'],
  ['/p/:project', () => import('./screens/overview.js'), 'overview'],
  ['/p/:project/rooms', () => import('./screens/rooms.js'), 'rooms'],
  ['/p/:project/rooms/:room', () => import('./screens/room.js'), 'room'],
  ['/p/:project/sessions', () => import('./screens/sessions.js'), 'sessions'],
  ['/p/:project/usage', () => import('./screens/usage.js'), 'usage'],
  ['/p/:project/recordings', () => import('./screens/recordings.js'), 'recordings'],
  ['/p/:project/ingest', () => import('./screens/ingest.js'), 'ingest'],
  ['/p/:project/keys', () => import('./screens/keys.js'), 'keys'],
  ['/p/:project/tokens', () => import('./screens/tokens.js'), 'tokens'],
  ['/p/:project/join', () => import('./screens/join.js'), 'join'],
  ['/p/:project/webhooks', () => import('./screens/webhooks.js'), 'webhooks'],
  ['/p/:project/events', () => import('./screens/events.js'), 'events'],
  ['/p/:project/settings', () => import('./screens/settings.js'), 'project'],
  ['/operator', () => import('./screens/operator.js'), 'installation'],
  ['/operator/organizations', () => import('./screens/operator.js'), 'organizations'],
  ['/operator/usage', () => import('./screens/operator.js'), 'usage'],
];
/** Those that need nobody. @type {Record<string, string>} */
const open = { '/login': 'login', '/login/operator': 'operator', '/signup': 'signup', '/forgot': 'forgot', '/reset': 'reset', '/accept': 'accept' };

/** @param {string} at */
async function choose(at) {
  for (const [pattern, load, name] of screens) {
    const params = match(pattern, at);
    if (!params) continue;
    try {
      const [module] = await Promise.all([load(), known()]);
      return () => h('div', { class: 'page' }, module[name](params));
    } catch (e) {
      console.warn(e);
      suspect();
      return () => {
        // When the server is back, or an update took this page's modules away, a new page has them; once, not in a circle.
        const began = revived.peek(), last = Number(sessionStorage.getItem('pulse.reloaded') ?? 0);
        effect(() => {
          if (revived() > began && Date.now() - last > 30_000) fetch(location.pathname, { cache: 'no-store' }).then((a) => { if (a.ok) { sessionStorage.setItem('pulse.reloaded', String(Date.now())); location.reload(); } }, suspect);
        });
        return h('div', { class: 'page' }, failure(new Problem(0, null), () => location.reload()));
      };
    }
  }
  return () => h('div', { class: 'page' }, head(m.noScreen), h('p', null, m.noScreenText));
}

const app = /** @type {HTMLElement} */ (document.getElementById('app'));
/** @type {() => void} */
let end = () => {};
/** @param {() => any} make */
function stage(make) {
  end();
  app.replaceChildren();
  root((stop) => { end = stop; append(app, make()); });
}

let shown = '';
effect(() => {
  const at = path(), name = open[at], inside = signedIn();
  if (inside === null && !name) return;
  untracked(() => {
    if (name && !(inside && name !== 'accept' && name !== 'reset')) {
      if (shown !== 'open') { shown = 'open'; stage(() => { const box = h('div', { class: 'door' }); outlet(box, async (p) => { const auth = /** @type {any} */ (await import('./screens/auth.js')); return () => open[p] ? auth[open[p]]() : null; }); return [connection(), box]; }); }
    } else if (inside === null) return;
    else if (!inside) {
      const next = here.peek().path + (here.peek().query.size ? '?' + here.peek().query : '');
      go('/login' + (next === '/' ? '' : '?next=' + encodeURIComponent(next)), { replace: true });
    } else if (name) go(wanted(), { replace: true });
    else if (shown !== 'frame') { shown = 'frame'; stage(() => frame(choose)); }
  });
});
effect(() => { if (signedIn()) untracked(() => { me.set(null); enter(); }); });
// The operator has no organization: their home is the installation.
effect(() => { if (me()?.operator && path() === '/') untracked(() => go('/operator', { replace: true })); });

shortcuts();
// The screen's module comes while it is found out who is here.
for (const [pattern, load] of screens) if (match(pattern, path.peek())) load().catch(() => {});
const tryResume = () => resume().catch((e) => {
  // Neither in nor out: say what is wrong and try again when the server is back.
  if (shown !== 'open') { shown = 'lost'; stage(() => h('div', { class: 'door' }, h('div', { class: 'sheet-box' }, failure(e, tryResume)))); }
  setTimeout(tryResume, Math.max(3000, Math.min((e.retryAfter ?? 0) * 1000, 30_000)));
});
tryResume();
export { endedBy };
