// Events as they come.
// @ts-check
import { call, pause, Problem } from '../kit/api.js';

/**
 * Follows a stream of server-sent events with the access token, resuming where it broke.
 * @param {string} path @param {(event: {id: string, type: string, data: any}) => void} got @param {AbortSignal} stop
 * @param {(state: 'live'|'waiting'|'missing') => void} state
 */
export async function follow(path, got, stop, state) {
  let last = '';
  for (let wait = 1000; !stop.aborted; wait = Math.min(wait * 2, 15000)) {
    try {
      const answer = await call('GET', path, undefined, { signal: stop, raw: true, headers: { Accept: 'text/event-stream', ...(last ? { 'Last-Event-ID': last } : {}) } });
      state('live');
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = '';
      for (let part; !(part = await reader.read()).done;) {
        wait = 1000;
        const blocks = (rest + part.value).replaceAll('\r\n', '\n').split('\n\n');
        rest = blocks.pop() ?? '';
        for (const block of blocks) {
          const field = (/** @type {string} */ name) => block.split('\n').filter((l) => l.startsWith(name + ':')).map((l) => l.slice(name.length + 1).trimStart()).join('\n');
          const text = field('data');
          if (field('id')) last = field('id');
          if (text) got({ id: field('id'), type: field('event'), data: JSON.parse(text) });
        }
      }
    } catch (e) {
      if (stop.aborted) return;
      if (e instanceof Problem && (e.status === 404 || e.status === 401 || e.status === 403)) { state('missing'); return; }
    }
    state('waiting');
    await pause(wait);
  }
}
