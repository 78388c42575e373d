// The frame: sidebar, bar, banner, and the outlet for screens.
// @ts-check
import { h, signal, effect, onEnd } from '../kit/dom.js';
import { link, logout } from '../kit/api.js';
import { here, path, href, outlet, go } from '../kit/router.js';
import { icon } from '../kit/icons.js';
import { failure } from '../kit/load.js';
import { m } from '../messages.js';
import { me, orgId, orgName, project, projectId, barred, lost, enter } from './session.js';
import { store, zone, zoneName, stored, count, their } from './format.js';
import { openPalette, remember } from './palette.js';

/** `system`, `light` or `dark`. */
export const theme = signal(stored('pulse.theme', 'system'));
effect(() => {
  const t = theme();
  if (t === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = t;
  store('pulse.theme', t);
});
const nextTheme = () => theme.set({ system: 'light', light: 'dark', dark: 'system' }[theme.peek()] ?? 'system');
const nextZone = () => {
  zone.set(zone.peek() === 'utc' ? 'local' : 'utc');
  store('pulse.zone', zone.peek());
};

/** The screens of a project, as the sidebar lists them. @returns {[string, string, string, (() => any)?][]} */
export const projectScreens = () => [
  ['', 'home', m.nav.overview],
  ['/rooms', 'rooms', m.nav.rooms, () => count(project()?.rooms ?? null)],
  ['/sessions', 'sessions', m.nav.sessions],
  ['/usage', 'usage', m.nav.usage],
  ['/recordings', 'record', m.nav.recordings, () => (project()?.egresses ? count(project()?.egresses) : null)],
  ['/ingest', 'ingest', m.nav.ingest],
  ['/keys', 'key', m.nav.keys],
  ['/tokens', 'token', m.nav.tokens],
  [
    '/webhooks',
    'webhook',
    m.nav.webhooks,
    () =>
      project()?.failing_endpoints ? h('span', { class: 'bad', title: m.failingEndpoints(project()?.failing_endpoints ?? 0) }, '!') : null,
  ],
  ['/events', 'events', m.nav.events],
  ['/settings', 'settings', m.nav.settings],
];
/** @returns {[string, string, string, string?][]} */
export const orgScreens = () => [
  ['', 'org', m.nav.projects],
  ['/people', 'people', m.nav.people],
  ['/usage', 'usage', m.nav.orgUsage],
  ['/audit', 'audit', m.nav.audit, 'audit.read'],
  ['/settings', 'settings', m.nav.orgSettings],
];
/** @returns {[string, string, string][]} */
export const operatorScreens = () => [
  ['/operator', 'server', m.nav.installation],
  ['/operator/organizations', 'org', m.nav.organizations],
  ['/operator/usage', 'usage', m.nav.allUsage],
];

/** @param {string} to @param {string} picture @param {string} label @param {(() => any)} [note] @param {boolean} [whole] */
const entry = (to, picture, label, note, whole) =>
  h(
    'a',
    {
      href: href(to),
      class: 'nav',
      'aria-current': () =>
        (whole ? path() === to || (label === m.nav.projects && path() === '/') : path() === to || path().startsWith(to + '/'))
          ? 'page'
          : null,
    },
    icon(picture),
    h('span', { class: 'grow' }, label),
    note &&
      h('span', { class: 'nav-note num' }, () => {
        const n = note();
        return n === '–' || n === '0' ? null : n;
      }),
  );

function sidebar() {
  const org = () => orgName() || m.organization;
  return h(
    'nav',
    { class: 'sidebar', 'aria-label': m.nav.main },
    h('a', { class: 'brand', href: href('/') }, mark(), 'Pulse'),
    h(
      'div',
      { class: 'nav-scroll' },
      () =>
        projectId() &&
        h(
          'div',
          { class: 'nav-group' },
          switcher(),
          projectScreens().map(([to, pic, label, note]) => entry(`/p/${projectId()}${to}`, pic, label, note, to === '')),
        ),
      () =>
        orgId() &&
        h(
          'div',
          { class: 'nav-group' },
          h('p', { class: 'nav-title' }, h('bdi', null, org())),
          orgScreens().map(([to, pic, label, action]) => {
            const why = action ? barred(action) : '';
            return why
              ? h('span', { class: 'nav off', title: why, 'aria-disabled': 'true' }, icon(pic), label)
              : entry(`/o/${orgId()}${to}`, pic, label, undefined, true);
          }),
        ),
      () =>
        me()?.operator &&
        h(
          'div',
          { class: 'nav-group' },
          h('p', { class: 'nav-title' }, m.operator),
          operatorScreens().map(([to, pic, label]) => entry(to, pic, label, undefined, true)),
        ),
    ),
  );
}

const mark = () =>
  h(
    'svg:svg',
    { class: 'mark', viewBox: '0 0 32 32', width: 22, height: 22, 'aria-hidden': 'true' },
    h('svg:rect', { width: 32, height: 32, rx: 9 }),
    h('svg:path', { d: 'M5 17h5l3-8 5 15 3.5-7H27' }),
  );

/** The project's name, which opens the list of the others. */
function switcher() {
  return h(
    'button',
    { type: 'button', class: 'switcher', 'aria-haspopup': 'dialog', title: m.switchProject, onclick: () => openPalette('projects') },
    h('bdi', { class: 'grow' }, () => project()?.name ?? m.project),
    icon('down'),
  );
}

/** A menu below its button. @param {any} face @param {() => any[]} items @param {string} [kind] */
export function menu(face, items, kind = 'quiet') {
  const open = signal(false);
  const box = h(
    'div',
    {
      class: 'menu',
      onkeydown: (/** @type {KeyboardEvent} */ e) => {
        if (e.key === 'Escape' && open.peek()) {
          open.set(false);
          box.querySelector('button').focus();
        }
      },
      onfocusout: (/** @type {FocusEvent} */ e) => {
        if (!box.contains(e.relatedTarget)) open.set(false);
      },
    },
    h(
      'button',
      { type: 'button', class: 'button ' + kind, 'aria-expanded': () => String(open()), onclick: () => open.update((v) => !v) },
      face,
      icon('down'),
    ),
    () => open() && h('div', { class: 'menu-items', onclick: () => open.set(false) }, items()),
  );
  return box;
}

function bar() {
  const name = () => (me()?.operator ? m.operator : (me()?.user?.name ?? ''));
  return h(
    'header',
    { class: 'bar' },
    h('button', { type: 'button', class: 'button icon-only only-narrow', 'aria-label': m.nav.open, onclick: sheet }, icon('menu')),
    h('a', { class: 'brand only-narrow', href: href('/'), 'aria-label': 'Pulse' }, mark()),
    h('div', { class: 'crumbs', 'aria-hidden': 'true' }, () =>
      projectId() ? h('bdi', null, project()?.name ?? '') : orgId() ? h('bdi', null, me()?.organization?.name ?? '') : m.installation,
    ),
    h(
      'button',
      { type: 'button', class: 'search', onclick: () => openPalette(), 'aria-keyshortcuts': 'Control+K Meta+K' },
      icon('search'),
      h('span', { class: 'grow' }, m.search),
      h('kbd', { 'aria-hidden': 'true' }, /Mac|iPhone/.test(navigator.platform) ? '⌘K' : 'Ctrl K'),
    ),
    h(
      'button',
      { type: 'button', class: 'button quiet', title: m.zoneSwitch, 'aria-label': () => m.zoneIs(zoneName()), onclick: nextZone },
      zoneName,
    ),
    h(
      'button',
      {
        type: 'button',
        class: 'button quiet',
        title: () => m.themeIs(theme()),
        'aria-label': () => m.themeIs(theme()),
        onclick: nextTheme,
      },
      icon('theme'),
      h('span', { class: 'wide-only' }, () => m.themes[theme()]),
    ),
    menu([h('span', { class: 'who' }, () => h('bdi', null, name())), h('span', { class: 'offscreen' }, ' ' + m.accountMenu)], () => [
      h('p', { class: 'hint' }, me()?.operator ? m.operatorSession : me()?.user?.email),
      !me()?.operator && h('p', { class: 'hint' }, m.roles[me()?.user?.role ?? '']),
      !me()?.operator && h('a', { class: 'nav', href: href('/account') }, icon('people'), m.nav.account),
      h('a', { class: 'nav', href: '/docs', target: '_blank', rel: 'noopener' }, icon('audit'), m.nav.docs),
      h('button', { type: 'button', class: 'nav', onclick: () => logout() }, icon('out'), m.logOut),
    ]),
  );
}

/** The sidebar as a sheet, on narrow screens. */
function sheet() {
  import('../kit/dialog.js').then(({ dialog }) => {
    const d = dialog(m.nav.main, () => sidebar(), { drawer: true });
    d.node.classList.add('sheet');
    d.node.addEventListener('click', (/** @type {any} */ e) => {
      if (e.target.closest('a,.switcher')) d.close();
    });
  });
}

/** What is wrong with the connection, above everything. */
export const connection = () => () =>
  link() === 'ok'
    ? null
    : h(
        'div',
        { class: 'banner ' + (link() === 'limited' ? 'warning' : 'bad'), role: 'alert' },
        icon('warning'),
        link() === 'limited' ? m.limited : m.unreachable,
      );

const acting = () => () =>
  me()?.operator &&
  orgId() &&
  h(
    'div',
    { class: 'banner acting' },
    icon('people'),
    m.actingOn,
    ' ',
    h('a', { href: href('/o/' + orgId()), title: orgId() }, () => (orgName() ? their(orgName()) : h('span', { class: 'mono' }, orgId()))),
    h('a', { class: 'end', href: href('/operator/organizations') }, m.stopActing),
  );

/** The frame around the screens. @param {(path: string) => any} choose */
export function frame(choose) {
  const main = h('main', { id: 'main', tabindex: -1 });
  outlet(main, choose);
  return h(
    'div',
    { class: 'frame' },
    h(
      'a',
      {
        class: 'skip',
        href: '#main',
        onclick: (/** @type {Event} */ e) => {
          e.preventDefault();
          main.focus();
        },
      },
      m.skip,
    ),
    sidebar(),
    h(
      'div',
      { class: 'stage' },
      bar(),
      connection(),
      acting(),
      () => (lost() ? h('div', { class: 'page' }, failure(lost(), enter)) : null),
      main,
    ),
  );
}

/** A screen's head: its name and its actions; it also names the tab. @param {any} title @param {any[]} [actions] @param {any} [under] */
export function head(title, actions = [], under) {
  const node = h(
    'div',
    { class: 'page-head' },
    h('div', { class: 'grow' }, h('h1', { dir: 'auto' }, title), under && h('p', { class: 'hint' }, under)),
    h('div', { class: 'actions' }, actions),
  );
  document.title = (typeof title === 'string' ? title : node.querySelector('h1').textContent) + ' · Pulse';
  return node;
}

/** A drawer that a parameter of the URL opens and that clears it. @param {() => string} open @param {{set: (v: string) => void, peek?: () => string}} at @param {(id: string) => {title: any, body: any}} make */
export function drawer(open, at, make) {
  /** @type {any} */
  let shown = null,
    turn = 0;
  onEnd(() => {
    turn++;
    const was = shown;
    shown = null;
    was?.close();
  });
  effect(() => {
    const id = open();
    turn++;
    if (shown) {
      const was = shown;
      shown = null;
      was.close();
    }
    if (!id) return;
    remember(id);
    const mineTurn = ++turn;
    import('../kit/dialog.js').then(({ dialog }) => {
      if (mineTurn !== turn || shown) return;
      const made = make(id);
      const mine = (shown = dialog(made.title, () => (typeof made.body === 'function' ? made.body() : made.body), {
        drawer: true,
        closed: () => {
          if (shown === mine) {
            shown = null;
            at.set('');
          }
        },
      }));
    });
  });
}

/** A button that is off, with the reason, for those who may not. @param {string} action @param {string} label @param {() => void} act @param {string} [kind] @param {string} [picture] */
export function button(action, label, act, kind = '', picture) {
  return () => {
    const why = action ? barred(action) : '';
    return h(
      'button',
      {
        type: 'button',
        class: 'button ' + kind,
        'aria-disabled': why ? 'true' : null,
        title: why || null,
        onclick: () => {
          if (!why) act();
        },
      },
      picture && icon(picture),
      label,
      why && h('span', { class: 'offscreen' }, ' ' + why),
    );
  };
}

/** g and a letter jump, ? lists, ⌘K searches. */
export function shortcuts() {
  let g = 0;
  /** Paths by their letter. @returns {Record<string, string>} */
  const jumps = () => {
    const p = projectId.peek(),
      o = orgId.peek(),
      inside = {
        o: '',
        r: '/rooms',
        s: '/sessions',
        u: '/usage',
        c: '/recordings',
        i: '/ingest',
        k: '/keys',
        t: '/tokens',
        w: '/webhooks',
        e: '/events',
        ',': '/settings',
      };
    return {
      h: '/',
      ...(o ? { a: `/o/${o}/audit`, p: `/o/${o}/people` } : {}),
      ...(p ? Object.fromEntries(Object.entries(inside).map(([k, to]) => [k, `/p/${p}${to}`])) : {}),
    };
  };
  addEventListener('keydown', (e) => {
    if ((e.metaKey || e.ctrlKey) && e.key.toLowerCase() === 'k' && me.peek()) {
      e.preventDefault();
      openPalette();
      return;
    }
    const typing = /** @type {Element} */ (e.target).closest?.('input,textarea,select,dialog');
    if (typing || e.metaKey || e.ctrlKey || e.altKey || !me.peek()) return;
    if (e.key === '?') {
      openPalette('keys');
      return;
    }
    if (e.key === 'g') {
      g = Date.now();
      return;
    }
    const to = jumps()[e.key];
    if (to && Date.now() - g < 1200) {
      g = 0;
      go(to);
    }
  });
}
/** @type {() => import('../kit/router.js').Location} */
export const at = here;
