// Who is here, what they may do, and what the installation offers.
// @ts-check
import { signal, computed, effect, untracked } from '../kit/dom.js';
import { get, signedIn, credential, Problem } from '../kit/api.js';
import { path, match, here } from '../kit/router.js';
import { m } from '../messages.js';

/** @typedef {import('../api.js').Schemas} S */
/** @typedef {{operator: boolean, user: S['User']|null, organization: S['Organization']|null}} Me */
/** @type {import('../kit/dom.js').Signal<Me|null>} */
export const me = signal(/** @type {Me|null} */ (null));
/** @type {import('../kit/dom.js').Signal<Map<string, S['Permission']>>} */
export const permissions = signal(new Map());
/** What /v1/config says; null until it is known. */
export const config = signal(/** @type {any} */ (null));
/** Why nobody could be found out about: a Problem. */
export const lost = signal(/** @type {any} */ (null));

/** Reads what every visitor may know, once. */
export async function loadConfig() {
  if (config.peek()) return;
  try {
    config.set(await get('/v1/config'));
  } catch (e) {
    if (e instanceof Problem && e.status === 404) config.set({ signup_enabled: true, mail: false, livekit_urls: [], features: {} });
  }
}

/** When the overview was asked for. */
let readAt = 0;
/** Finds out who logged in. What does not wait for the answer is asked for at the same time. */
export async function enter() {
  lost.set(null);
  try {
    const rights = get('/v1/auth/permissions'),
      operator = claimsOf(await credential()).sub === 'operator';
    const first =
      operator || overview.peek()
        ? null
        : get('/v1/overview').catch((e) => {
            overviewError.set(e);
            return null;
          });
    const who = operator ? { operator: true, user: null, organization: null } : { operator: false, ...(await get('/v1/auth/me')) };
    permissions.set(new Map((await rights).permissions.map((/** @type {any} */ p) => [p.action, p])));
    readAt = Date.now();
    me.set(who);
    const answer = await first;
    if (answer) {
      overview.set(answer);
      overviewError.set(null);
    }
  } catch (e) {
    if (signedIn.peek()) lost.set(e);
  }
}
/** Waits until it is known who is here. @returns {Promise<void>} */
export const known = () =>
  new Promise((done) => {
    if (me.peek()) done();
    else waiting.push(done);
  });
/** @type {(() => void)[]} */
const waiting = [];
effect(() => {
  if (me()) for (const done of waiting.splice(0)) done();
});
effect(() => {
  if (signedIn() === false) {
    me.set(null);
    overview.set(null);
  }
});

/** The payload of a JWT, unverified: for show. @param {string} jwt @returns {any} */
export function claimsOf(jwt, part = 1) {
  try {
    const text = atob(jwt.split('.')[part].replaceAll('-', '+').replaceAll('_', '/'));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (c) => c.charCodeAt(0))));
  } catch {
    return {};
  }
}

/** '' if the caller may do it, otherwise why not. @param {string} action */
export function barred(action) {
  const who = me(),
    rule = permissions().get(action);
  if (!who || !rule) return '';
  if (who.operator) return rule.operator ? '' : m.notForOperator;
  if (who.user && rule.roles.includes(who.user.role)) return '';
  return rule.roles.length ? m.needsRole(rule.roles[rule.roles.length - 1]) : rule.operator ? m.operatorOnly : m.keysOnly;
}

/** The project on screen. */
export const projectId = computed(() => /^\/p\/([^/]+)/.exec(path())?.[1] ?? '');
/** The organization the operator named by the URL. */
const named = computed(() => /^\/o\/([^/]+)/.exec(path())?.[1] ?? '');
/** The organization of the project on screen, as the operator learns it. */
const ofProject = signal('');
/** The organization on screen: one's own, or the one the operator acts on. */
export const orgId = computed(() => me()?.organization?.id ?? (named() || (projectId() ? ofProject() : '')));

/** The organization that the operator acts on, once its name is known. */
const acted = signal(/** @type {S['Organization']|null} */ (null));
effect(() => {
  const id = orgId();
  if (me()?.operator && id)
    untracked(() => {
      if (acted.peek()?.id === id) return;
      acted.set(null);
      get('/v1/organizations/' + encodeURIComponent(id)).then(
        (o) => orgId.peek() === id && acted.set(o),
        () => {},
      );
    });
});
/** The name of the organization on screen; '' until it is known. */
export const orgName = computed(() => me()?.organization?.name ?? acted()?.name ?? '');

/** @typedef {S['ProjectOverview']} ProjectRow */
/** What is going on in the organization's projects: the switcher, the counts and the home page read it. */
export const overview = signal(/** @type {{items: ProjectRow[]}|null} */ (null));
export const overviewError = signal(/** @type {any} */ (null));

/** Reads the overview anew, if it is not from just now: for screens that show its counts. */
export const freshOverview = () => {
  if (Date.now() - readAt > 3000) refreshOverview();
};
/** Reads the overview anew. */
export async function refreshOverview() {
  readAt = Date.now();
  const org = orgId.peek();
  if (!org || !me.peek()) return;
  try {
    const answer = await get('/v1/overview', me.peek()?.operator ? { org_id: org } : {});
    if (orgId.peek() === org) {
      overview.set(answer);
      overviewError.set(null);
    }
  } catch (e) {
    overviewError.set(e);
  }
}
/** The organization that the overview is of: the operator goes from one to the other. */
let shown = '';
effect(() => {
  const org = orgId(),
    who = me();
  if (!org || !who) {
    shown = '';
    return;
  }
  if (org !== shown)
    untracked(() => {
      shown = org;
      if (who.operator) {
        overview.set(null);
        refreshOverview();
      }
    });
});
effect(() => {
  const id = projectId();
  if (me()?.operator && id)
    untracked(() => {
      ofProject.set('');
      get('/v1/projects/' + encodeURIComponent(id)).then(
        (p) => ofProject.set(p.org_id),
        () => {},
      );
    });
});
setInterval(() => {
  if (!document.hidden && signedIn.peek()) refreshOverview();
}, 15_000);

/** The row of the project on screen. */
export const project = computed(() => overview()?.items.find((p) => p.project_id === projectId()) ?? null);
/** The query that names the project to routes that keys use too. */
export const ofThis = () => ({ project_id: projectId.peek() });
/** @param {string} rest */
export const inProject = (rest) => `/p/${projectId.peek()}${rest}`;

/** Where an id belongs, '' if nowhere. @param {string} id */
export function homeOf(id) {
  const p = projectId.peek() || overview.peek()?.items[0]?.project_id,
    e = encodeURIComponent(id);
  if (/^prj_/.test(id)) return '/p/' + e;
  if (/^org_/.test(id)) return me.peek()?.operator ? `/o/${e}` : '/';
  if (/^aud_/.test(id) && orgId.peek()) return `/o/${orgId.peek()}/audit?open=${e}`;
  if (/^req_/.test(id) && orgId.peek()) return `/o/${orgId.peek()}/audit?request_id=${e}`;
  if (/^(usr|inv)_/.test(id) && orgId.peek()) return `/o/${orgId.peek()}/people`;
  if (!p) return '';
  if (/^PA_/.test(id)) return `/p/${p}/sessions?open=${e}`;
  if (/^RM_/.test(id)) return `/p/${p}/sessions?range=all&room_sid=${e}`;
  if (/^(EG|egr)_/.test(id)) return `/p/${p}/recordings?open=${e}`;
  if (/^(IN|igr)_/.test(id)) return `/p/${p}/ingest?open=${e}`;
  if (/^(evt|EV)_/.test(id)) return `/p/${p}/events?open=${e}`;
  if (/^key_/.test(id)) return `/p/${p}/keys?open=${e}`;
  if (/^(whe)_/.test(id)) return `/p/${p}/webhooks?open=${e}`;
  if (/^dlv_/.test(id)) return `/p/${p}/webhooks?delivery=${e}`;
  return '';
}

/** Where login should lead afterwards. */
export const wanted = () => {
  const to = here.peek().query.get('next') ?? '';
  return to.startsWith('/') && !to.startsWith('//') && !match('/login', to) ? to : '/';
};
