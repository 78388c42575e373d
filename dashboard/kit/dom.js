// Signals and an element builder. Nothing here parses HTML: strings become text nodes.
// @ts-check

/** @typedef {{run: () => void, sources: Set<Set<Effect>>, owned: (() => void)[], dead: boolean}} Effect */
/** @template T @typedef {(() => T) & {peek: () => T, set: (value: T) => void, update: (f: (value: T) => T) => void}} Signal */
/** @typedef {Node|string|number|null|undefined|false|(() => any)|any[]} Child */

/** @type {Effect|null} */
let current = null; // the effect that is running: what it reads, it depends on
/** @type {(() => void)[]|null} */
let owner = null; // what is made now ends with this

/** A value that tells who read it when it changes. @template T @param {T} value @returns {Signal<T>} */
export function signal(value) {
  /** @type {Set<Effect>} */
  const readers = new Set();
  const read = () => {
    if (current) { readers.add(current); current.sources.add(readers); }
    return value;
  };
  return Object.assign(read, {
    peek: () => value,
    /** @param {T} next */
    set(next) {
      if (Object.is(value, next)) return;
      value = next;
      for (const reader of [...readers]) if (!reader.dead) reader.run();
    },
    /** @param {(value: T) => T} f */
    update(f) { this.set(f(value)); },
  });
}

/** Runs f now and whenever what it read changes, until its owner ends. @param {() => void} f */
export function effect(f) {
  /** @type {Effect} */
  const self = { sources: new Set(), owned: [], dead: false, run() {
    release(self);
    const [outerEffect, outerOwner] = [current, owner];
    [current, owner] = [self, self.owned];
    try { f(); } finally { [current, owner] = [outerEffect, outerOwner]; }
  } };
  owner?.push(() => { self.dead = true; release(self); });
  self.run();
}

/** @param {Effect} e */
function release(e) {
  for (const readers of e.sources) readers.delete(e);
  e.sources.clear();
  for (const end of e.owned.splice(0)) end();
}

/** A signal computed from others. @template T @param {() => T} f @returns {Signal<T>} */
export function computed(f) {
  const out = signal(/** @type {any} */ (undefined));
  effect(() => out.set(f()));
  return out;
}

/** Runs f without depending on what it reads. @template T @param {() => T} f @returns {T} */
export function untracked(f) {
  const outer = current;
  current = null;
  try { return f(); } finally { current = outer; }
}

/** Calls f when what is being made now goes away. @param {() => void} f */
export const onEnd = (f) => { owner?.push(f); };

/** Makes something with a life of its own. @template T @param {(end: () => void) => T} f @returns {T} */
export function root(f) {
  /** @type {(() => void)[]} */
  const owned = [];
  const [outerEffect, outerOwner] = [current, owner];
  [current, owner] = [null, owned];
  try { return f(() => { for (const end of owned.splice(0)) end(); }); } finally { [current, owner] = [outerEffect, outerOwner]; }
}

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Makes an element. Properties: on… are listeners, `class`, `style` is an object, a function is followed as a signal,
 * false and null leave an attribute out. Children: text, nodes, arrays of them, and functions that are followed.
 * @param {string} tag `svg:path` makes one of SVG @param {Record<string, any>|null} [props] @param {...Child} children
 * @returns {any}
 */
export function h(tag, props, ...children) {
  const node = tag.startsWith('svg:') ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'ref') value(node);
    else if (typeof value === 'function') effect(() => setProp(node, name, value()));
    else setProp(node, name, value);
  }
  append(node, children);
  return node;
}

/** @param {any} node @param {string} name @param {any} value */
function setProp(node, name, value) {
  if (name === 'style') for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
  else if (name === 'value' || name === 'checked' || name === 'disabled' || name === 'srcObject' || name === 'muted') node[name] = value ?? '';
  else if (value === false || value === null || value === undefined) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? '' : String(value));
}

/** @param {Node} parent @param {Child} child */
export function append(parent, child) {
  if (Array.isArray(child)) for (const c of child) append(parent, c);
  else if (typeof child === 'function') region(parent, child);
  else if (child instanceof Node) parent.appendChild(child);
  else if (child !== null && child !== undefined && child !== false) parent.appendChild(document.createTextNode(String(child)));
}

/** A part of parent that is made anew whenever what f read changes. The focus stays where it was. @param {Node} parent @param {() => Child} f */
function region(parent, f) {
  const start = parent.appendChild(document.createComment('')), end = parent.appendChild(document.createComment(''));
  effect(() => {
    const made = document.createDocumentFragment(), within = document.createRange();
    append(made, f());
    within.setStartAfter(start); within.setEndBefore(end);
    const focus = document.activeElement, held = focus && focus !== document.body && start.isConnected && within.intersectsNode(focus) && !focus.contains(start) ? likeness(focus) : '';
    while (start.nextSibling && start.nextSibling !== end) start.nextSibling.remove();
    const again = held && [...made.querySelectorAll(focus?.tagName ?? '')].find((e) => likeness(e) === held);
    end.parentNode?.insertBefore(made, end);
    if (again) /** @type {HTMLElement} */ (again).focus({ preventScroll: true });
  });
}
/** What two drawings of one control have in common. @param {Element} e */
const likeness = (e) => ['href', 'name', 'aria-label', 'title', 'data-key'].map((a) => e.getAttribute(a) ?? '').join('\n') + '\n' + e.textContent;

/** Empties an element and fills it. @param {Element} node @param {...Child} children */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
}

let serial = 0;
/** An id for labels and descriptions. @param {string} prefix */
export const uid = (prefix) => `${prefix}-${++serial}`;

/** f, at most once every ms, the last call counts. @param {(...a: any[]) => void} f @param {number} ms */
export function debounce(f, ms) {
  /** @type {any} */
  let timer;
  return (/** @type {any[]} */ ...a) => { clearTimeout(timer); timer = setTimeout(() => f(...a), ms); };
}
