// What a visitor sees: log in, sign up, forgotten password, an invitation.
// @ts-check
import { h } from '../kit/dom.js';
import { call, begin, endedBy, post } from '../kit/api.js';
import { form } from '../kit/form.js';
import { here, href, go } from '../kit/router.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { config, loadConfig, wanted } from '../shell/session.js';
import { secretField } from './parts.js';

/** @param {string} title @param {any} body @param {any} [links] @param {any} [under] */
function door(title, body, links, under) {
  document.title = title + ' · Pulse';
  loadConfig();
  return h(
    'main',
    { class: 'sheet-box' },
    h(
      'div',
      { class: 'door-brand' },
      h(
        'svg:svg',
        { class: 'mark', viewBox: '0 0 32 32', width: 32, height: 32, 'aria-hidden': 'true' },
        h('svg:rect', { width: 32, height: 32, rx: 9 }),
        h('svg:path', { d: 'M5 17h5l3-8 5 15 3.5-7H27' }),
      ),
      h('span', null, 'Pulse'),
    ),
    h('h1', null, title),
    under && h('p', { class: 'muted' }, under),
    body,
    links && h('div', { class: 'door-links' }, links),
  );
}
/** @param {any} answer */
const enter = (answer) => begin(answer.session);
const email = {
  name: 'email',
  label: m.email,
  type: /** @type {'email'} */ ('email'),
  required: true,
  attrs: { autocomplete: 'username', autocapitalize: 'off' },
};
const keep = () => {
  const next = here.peek().query.get('next');
  return next ? '?next=' + encodeURIComponent(next) : '';
};
/** The secret of a link stands behind #, which no server and no log sees; it leaves the address at once. */
function taken() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';
  if (token) history.replaceState(null, '', location.pathname);
  return token;
}

export const login = () =>
  door(
    m.logIn,
    [
      () =>
        endedBy() &&
        h('p', { class: 'note', role: 'status' }, icon('warning'), endedBy() === 'elsewhere' ? m.endedElsewhere : m.endedExpired),
      form({
        fields: [email, { ...secretField, label: m.password, name: 'password', attrs: { autocomplete: 'current-password' } }],
        submit: m.logIn,
        send: async (v) => enter(await call('POST', '/v1/auth/login', { ...v, cookie: true })),
      }),
    ],
    [
      () => config()?.signup_enabled !== false && h('a', { href: href('/signup') + keep() }, m.signUp),
      () => config()?.mail && h('a', { href: href('/forgot') }, m.forgot),
      h('a', { href: href('/login/operator') + keep() }, m.operator),
    ],
  );

export const operator = () =>
  door(
    m.operator,
    form({
      fields: [{ ...secretField, name: 'token', label: m.adminToken, hint: m.adminTokenHint, attrs: { autocomplete: 'off' } }],
      submit: m.logIn,
      send: async (v) => enter(await call('POST', '/v1/auth/operator', { ...v, cookie: true })),
    }),
    h('a', { href: href('/login') + keep() }, m.asPerson),
    m.operatorUnder,
  );

export const signup = () =>
  door(
    m.signUp,
    () =>
      config()?.signup_enabled === false
        ? h('p', { class: 'note' }, m.signupClosed)
        : form({
            fields: [
              { name: 'name', label: m.organizationName, required: true, attrs: { autocomplete: 'organization' } },
              { ...email, name: 'admin_email' },
              { ...secretField, name: 'password', label: m.password, hint: m.passwordRule, attrs: { autocomplete: 'new-password' } },
            ],
            submit: m.createOrganization,
            send: async (v) => enter(await call('POST', '/v1/organizations', { ...v, cookie: true })),
          }),
    h('a', { href: href('/login') }, m.haveAccount),
    m.signUpUnder,
  );

export const forgot = () => {
  const box = door(
    m.forgot,
    form({
      fields: [email],
      submit: m.sendLink,
      send: async (v) => {
        await post('/v1/auth/password/forgot', v);
        box.querySelector('form').replaceWith(h('p', { class: 'note', role: 'status' }, icon('check'), m.linkSent));
      },
    }),
    h('a', { href: href('/login') }, m.logIn),
    m.forgotUnder,
  );
  return box;
};

export const reset = () => {
  const token = taken();
  return door(
    m.newPassword,
    token
      ? form({
          fields: [
            { ...secretField, name: 'password', label: m.newPassword, hint: m.passwordRule, attrs: { autocomplete: 'new-password' } },
          ],
          submit: m.setPassword,
          send: async (v) => {
            await post('/v1/auth/password/reset', { ...v, token });
            endedBy.set('');
            go('/login');
          },
        })
      : h('p', { class: 'note' }, m.noToken),
    h('a', { href: href('/login') }, m.logIn),
  );
};

export const accept = () => {
  const token = taken();
  return door(
    m.acceptInvitation,
    form({
      fields: [
        !token && { ...secretField, name: 'token', label: m.invitationToken, attrs: { autocomplete: 'off' } },
        { name: 'name', label: m.yourName, required: true, attrs: { autocomplete: 'name' } },
        { ...secretField, name: 'password', label: m.password, hint: m.passwordRule, attrs: { autocomplete: 'new-password' } },
      ],
      submit: m.join,
      send: async (v) => {
        enter(await call('POST', '/v1/invitations/accept', { token, ...v, cookie: true }));
        go(wanted());
      },
    }),
    h('a', { href: href('/login') }, m.logIn),
    m.acceptUnder,
  );
};
