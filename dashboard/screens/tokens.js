// The token lab: mint, decode, validate, revoke, join.
// @ts-check
import { h, signal } from '../kit/dom.js';
import { get, post } from '../kit/api.js';
import { go } from '../kit/router.js';
import { list, failure } from '../kit/load.js';
import { confirm, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { claimsOf, inProject, projectId, barred } from '../shell/session.js';
import { head, button } from '../shell/shell.js';
import { code, copyButton, ident, stamp, status, terms, their, time } from '../shell/format.js';
import { act, calls, guarded } from './parts.js';
import { hand } from './join.js';

const grantNames = ['roomJoin', 'canPublish', 'canSubscribe', 'canPublishData', 'canUpdateOwnMetadata', 'hidden', 'recorder', 'agent', 'roomAdmin'];
const usual = ['roomJoin', 'canPublish', 'canSubscribe', 'canPublishData'];
const some = (/** @type {string} */ v) => v || undefined;
/** @param {string} v */
const attributes = (v) => {
  if (!v.trim()) return undefined;
  /** @type {any} */
  let made;
  try { made = JSON.parse(v); } catch { /* said below */ }
  if (!made || typeof made !== 'object' || Array.isArray(made)) throw new Error(m.notObject);
  return made;
};
/** What differs from the usual grants. @param {string[]} chosen */
const grants = (chosen) => {
  const out = { ...Object.fromEntries(usual.filter((g) => !chosen.includes(g)).map((g) => [g, false])), ...Object.fromEntries(chosen.filter((g) => !usual.includes(g)).map((g) => [g, true])) };
  return Object.keys(out).length ? out : undefined;
};

export function tokens() {
  const q = '?project_id=' + projectId.peek(), made = signal(/** @type {any} */ (null)), shown = signal(''), check = signal(/** @type {any} */ (null)), wrong = signal(/** @type {any} */ (null));
  const mint = form({
    fields: [
      { name: 'room_name', label: m.room, value: 'standup', hint: m.generatedIfEmpty, parse: some }, { name: 'participant_identity', label: m.identity, hint: m.generatedIfEmpty, parse: some }, { name: 'participant_name', label: m.displayName, parse: some },
      { name: 'participant_metadata', label: m.metadata, parse: some }, { name: 'participant_attributes', label: m.attributes, hint: m.attributesHint, parse: attributes },
      { name: 'ttl_seconds', label: m.ttl, type: 'select', value: '3600', options: [['300', m.ttls.m5], ['3600', m.ttls.h1], ['21600', m.ttls.h6], ['86400', m.ttls.d1]], parse: Number },
      { name: 'grants', label: m.grants, type: 'checks', value: usual, options: grantNames.map((g) => [g, g]), parse: grants }],
    submit: m.mint, disabled: barred('tokens.create'), request: (v) => ['POST', '/v1/tokens/create' + q, v],
    done: (t) => { made.set(t); shown.set(t.participant_token); check.set(null); },
  });
  const validate = async () => { wrong.set(null); try { check.set(await post('/v1/tokens/validate' + q, { token: shown.peek() })); } catch (e) { wrong.set(e); } };
  const revoke = (/** @type {string} */ identity, /** @type {string} */ room) => confirm({
    title: m.revoke, verb: m.revoke, consequences: h('p', null, m.revokeConsequences(identity)),
    fields: [{ name: 'room_name', label: m.room, value: room, hint: m.everyRoomIfEmpty, parse: some }, { name: 'ban_seconds', label: m.banSeconds, type: 'number', value: 3600, attrs: { min: 0, max: 2592000 }, parse: Number }],
    request: (v) => ['POST', '/v1/tokens/revoke' + q, { participant_identity: identity, ...v }], done: () => { toast(m.revoked); bans?.reload(); },
  });
  const bans = /** @type {{node: any, reload: () => void}|null} */ (barred('tokens.revoke') ? null : list({
    label: m.revocations, load: (cursor, stop) => get('/v1/tokens/revocations', { project_id: projectId.peek(), limit: 20, cursor }, { signal: stop }),
    columns: [
      { label: m.identity, cell: (r) => their(r.participant_identity) }, { label: m.room, cell: (r) => r.room_name ? their(r.room_name) : m.everyRoom }, { label: m.revokedAt, cell: (r) => time(r.revoked_at) }, { label: m.bannedUntil, cell: (r) => stamp(r.banned_until) },
      { label: '', cell: (r) => h('span', { class: 'row-actions' }, button('tokens.revoke', m.lift, () => act(['DELETE', `/v1/tokens/revocations/${r.id}${q}`], m.lifted, () => bans?.reload()), 'small')) }],
    empty: () => h('p', null, m.noRevocations),
  }));
  const decoded = () => {
    const token = shown();
    if (!token) return h('p', { class: 'hint' }, m.decodeHint);
    const header = claimsOf(token, 0), claims = claimsOf(token);
    if (!Object.keys(claims).length) return h('p', { class: 'note' }, m.notJWT);
    const ends = claims.exp ? new Date(claims.exp * 1000).toISOString() : null;
    return [terms([
      [m.identity, their(claims.sub)], [m.room, their(claims.video?.room)], [m.expires, ends ? [stamp(ends), ' ', Date.parse(ends) < Date.now() ? status('expired') : h('span', { class: 'hint' }, time(ends))] : m.never],
      ['jti', ident(claims.jti)], [m.signedWith, `${header.alg ?? '?'} · ${claims.iss ?? '?'}`]]), code(JSON.stringify(claims, null, 2))];
  };
  return [
    head(m.nav.tokens, [calls([[m.validate, 'POST', '/v1/tokens/validate' + q, { token: '…' }], [m.revoke, 'POST', '/v1/tokens/revoke' + q, { participant_identity: 'ann', ban_seconds: 3600 }], [m.revocations, 'GET', '/v1/tokens/revocations' + q]])], m.tokensUnder),
    h('div', { class: 'columns' },
      h('section', null, h('h2', null, m.mint), mint),
      h('section', null, h('h2', null, m.decode),
        h('label', { class: 'field' }, h('span', { class: 'label' }, m.tokenWord), h('textarea', { rows: 5, class: 'mono', spellcheck: false, value: shown, oninput: (/** @type {any} */ e) => { shown.set(e.target.value.trim()); check.set(null); } })),
        h('div', { class: 'actions' }, () => shown() ? button('tokens.validate', m.validate, validate) : h('button', { type: 'button', class: 'button', disabled: true }, m.validate), () => shown() && copyButton(shown(), m.copy, ''),
          () => made() && h('button', { type: 'button', class: 'button primary', onclick: () => { hand(made.peek()); go(inProject('/join')); } }, icon('rooms'), m.join), () => made() && button('tokens.revoke', m.revoke, () => revoke(made.peek().participant_identity, made.peek().room_name))),
        () => wrong() && failure(wrong()),
        () => check() && h('p', { class: 'note', role: 'status' }, check().valid ? status('valid') : status('invalid', m.notValid(m.invalidReasons[check().reason] ?? check().reason)), check().valid && h('span', { class: 'hint' }, ' ', m.untilWhen, ' ', stamp(check().expires_at))), decoded)),
    h('section', null, h('div', { class: 'section-head' }, h('h2', null, m.revocations), h('span', { class: 'hint' }, m.revocationsHint)), bans ? bans.node : guarded('tokens.revoke', () => null)),
  ];
}
