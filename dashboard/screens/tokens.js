// The token lab: mint, decode, validate, revoke, join.
// @ts-check
import { h, signal } from '../kit/dom.js';
import { get, post, remove } from '../kit/api.js';
import { go } from '../kit/router.js';
import { list, failure } from '../kit/load.js';
import { confirm, toast } from '../kit/dialog.js';
import { form } from '../kit/form.js';
import { icon } from '../kit/icons.js';
import { m } from '../messages.js';
import { claimsOf, inProject, projectId, barred } from '../shell/session.js';
import { head, button } from '../shell/shell.js';
import { code, copyButton, ident, stamp, status, terms, their, time } from '../shell/format.js';
import { curlButton, guarded } from './parts.js';
import { hand } from './join.js';

const grantNames = ['roomJoin', 'canPublish', 'canSubscribe', 'canPublishData', 'canUpdateOwnMetadata', 'hidden', 'recorder', 'agent', 'roomAdmin'];
const usual = ['roomJoin', 'canPublish', 'canSubscribe', 'canPublishData'];
/** @param {string} v */
const attributes = (v) => {
  if (!v.trim()) return undefined;
  const made = JSON.parse(v);
  if (typeof made !== 'object' || Array.isArray(made)) throw new Error(m.notObject);
  return made;
};

export function tokens() {
  const at = '?project_id=' + projectId.peek(), made = signal(/** @type {any} */ (null)), shown = signal(''), check = signal(/** @type {any} */ (null)), wrong = signal(/** @type {any} */ (null));
  const asked = signal(/** @type {any} */ ({ room_name: 'standup' }));
  const mint = form({
    fields: [{ name: 'room_name', label: m.room, value: 'standup', hint: m.generatedIfEmpty, parse: (v) => v || undefined }, { name: 'participant_identity', label: m.identity, hint: m.generatedIfEmpty, parse: (v) => v || undefined }, { name: 'participant_name', label: m.name, parse: (v) => v || undefined },
      { name: 'participant_metadata', label: m.metadata, parse: (v) => v || undefined }, { name: 'participant_attributes', label: m.attributes, hint: m.attributesHint, parse: attributes }, { name: 'ttl_seconds', label: m.ttl, type: 'select', value: '3600', options: [['300', m.ttls.m5], ['3600', m.ttls.h1], ['21600', m.ttls.h6], ['86400', m.ttls.d1]], parse: Number },
      { name: 'grants', label: m.grants, type: 'checks', value: usual, options: grantNames.map((g) => [g, g]), parse: (/** @type {string[]} */ v) => { const out = Object.fromEntries(usual.filter((g) => !v.includes(g)).map((g) => [g, false])); for (const g of v) if (!usual.includes(g)) out[g] = true; return Object.keys(out).length ? out : undefined; } }],
    submit: m.mint, disabled: barred('tokens.create'), send: async (v) => { asked.set(v); made.set(await post('/v1/tokens/create' + at, v)); shown.set(made.peek().participant_token); check.set(null); } });
  const validate = async () => { wrong.set(null); try { check.set(await post('/v1/tokens/validate' + at, { token: shown.peek() })); } catch (e) { wrong.set(e); } };
  const revoke = (/** @type {string} */ identity, /** @type {string} */ room) => confirm({ title: m.revoke, verb: m.revoke, consequences: h('p', null, m.revokeConsequences(identity)), act: async () => {},
    fields: [{ name: 'room_name', label: m.room, value: room, hint: m.everyRoomIfEmpty, parse: (v) => v || undefined }, { name: 'ban_seconds', label: m.banSeconds, type: 'number', value: 3600, attrs: { min: 0, max: 2592000 }, parse: Number }],
    send: async (v) => { await post('/v1/tokens/revoke' + at, { ...v, participant_identity: identity }); toast(m.revoked); bans?.reload(); } });
  const mayRevoke = !barred('tokens.revoke'), bans = /** @type {{node: any, reload: () => void}|null} */ (!mayRevoke ? null : list({ label: m.revocations, load: (cursor, stop) => get('/v1/tokens/revocations', { project_id: projectId.peek(), limit: 20, cursor }, { signal: stop }),
    columns: [{ label: m.identity, cell: (r) => their(r.participant_identity) }, { label: m.room, cell: (r) => r.room_name ? their(r.room_name) : m.everyRoom }, { label: m.revokedAt, cell: (r) => time(r.revoked_at) }, { label: m.bannedUntil, cell: (r) => stamp(r.banned_until) },
      { label: '', cell: (r) => r.id && button('tokens.revoke', m.lift, async () => { try { await remove(`/v1/tokens/revocations/${r.id}${at}`); toast(m.lifted); bans?.reload(); } catch (e) { toast(m.problem(e)); } }, 'small') }],
    empty: () => h('p', null, m.noRevocations) }));
  const decoded = () => {
    const token = shown();
    if (!token) return h('p', { class: 'hint' }, m.decodeHint);
    const head_ = claimsOf(token, 0), claims = claimsOf(token);
    if (!Object.keys(claims).length) return h('p', { class: 'note' }, m.notJWT);
    const ends = claims.exp ? new Date(claims.exp * 1000).toISOString() : null;
    return [terms([[m.identity, their(claims.sub)], [m.room, their(claims.video?.room)], [m.expires, ends ? [stamp(ends), ' ', Date.parse(ends) < Date.now() ? status('expired') : null] : m.never], ['jti', ident(claims.jti)], [m.signedWith, `${head_.alg ?? '?'} · ${claims.iss ?? '?'}`]]), code(JSON.stringify(claims, null, 2))];
  };
  return [
    head(m.nav.tokens, [curlButton('POST', '/v1/tokens/create' + at, asked.peek())], m.tokensUnder),
    h('div', { class: 'columns' },
      h('section', null, h('h2', null, m.mint), mint),
      h('section', null, h('h2', null, m.decode), h('label', { class: 'field' }, h('span', { class: 'label' }, m.tokenWord), h('textarea', { rows: 5, class: 'mono', spellcheck: false, value: shown, oninput: (/** @type {any} */ e) => { shown.set(e.target.value.trim()); check.set(null); } })),
        h('div', { class: 'actions' }, () => shown() ? button('tokens.validate', m.validate, validate) : h('button', { type: 'button', class: 'button', disabled: true }, m.validate), () => shown() && copyButton(shown(), m.copy, ''),
          () => made() && h('button', { type: 'button', class: 'button primary', onclick: () => { hand(made.peek()); go(inProject('/join')); } }, icon('rooms'), m.join), () => made() && button('tokens.revoke', m.revoke, () => revoke(made.peek().participant_identity, made.peek().room_name))),
        () => wrong() && failure(wrong()), () => check() && h('p', { class: 'note', role: 'status' }, check().valid ? status('valid') : status('invalid', m.state('invalid') + ' · ' + check().reason), check().valid && h('span', { class: 'hint' }, ' ', m.untilWhen, ' ', stamp(check().expires_at))), decoded)),
    h('section', null, h('div', { class: 'section-head' }, h('h2', null, m.revocations), h('span', { class: 'hint' }, m.revocationsHint)), bans ? bans.node : guarded('tokens.revoke', () => null)),
  ];
}
