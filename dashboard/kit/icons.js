// Icons of our own: 16 px, 1.5 px stroke.
// @ts-check
import { h } from './dom.js';

/** @type {Record<string, string>} */
const paths = {
  home: 'M2.5 7 8 2.5 13.5 7v6a.5.5 0 0 1-.5.5h-3.5V9.5h-3v4H3a.5.5 0 0 1-.5-.5z',
  rooms: 'M2.5 4.5h7a1 1 0 0 1 1 1v5a1 1 0 0 1-1 1h-7zM10.5 7l3-2v6l-3-2',
  sessions: 'M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM8 5v3.2l2 1.3',
  usage: 'M2.5 13.5h11M4 11V8M8 11V3.5M12 11V6',
  record: 'M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4z',
  ingest: 'M8 2.5v7M5 7l3 3 3-3M2.5 11v2.5h11V11',
  key: 'M5.5 10.5a3 3 0 1 1 2.6-4.5h5.4v2.5h-2v2h-2v-2H8.4a3 3 0 0 1-2.9 2z',
  token: 'M3 5.5 8 2.5l5 3v5l-5 3-5-3zM8 8l5-2.5M8 8 3 5.5M8 8v5.5',
  webhook: 'M5 9.5 7.2 6M11 9.5H6.5M8.8 6 11 9.7M8 6a1.8 1.8 0 1 0 0-3.5A1.8 1.8 0 0 0 8 6zM4.2 13a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6zM11.8 13a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6z',
  events: 'M2.5 8h2.5l1.5-4 3 8 1.5-4h2.5',
  audit: 'M4 2.5h6l2.5 2.5v8.5h-8.5zM6 8h4M6 10.5h4M6 5.5h2',
  settings: 'M2.5 4.5h6M11.5 4.5h2M2.5 11.5h2M7.5 11.5h6M10 6a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3zM6 13a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3z',
  people: 'M6 8a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM1.8 13.5c.3-2.5 1.9-3.7 4.2-3.7s3.9 1.2 4.2 3.7M10.5 3.3a2.3 2.3 0 0 1 0 4.4M12 10.2c1.3.5 2 1.6 2.2 3.3',
  org: 'M3 13.5v-11h6v11M9 6.5h4v7M2 13.5h12M5 5.5h2M5 8h2M5 10.5h2',
  server: 'M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.1M5 11h.1',
  search: 'M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.3 10.3l3.2 3.2',
  warning: 'M8 2.5 14 13H2zM8 6.5v3M8 11.3v.1',
  check: 'M3 8.5l3.2 3L13 4.5',
  close: 'M4 4l8 8M12 4l-8 8',
  down: 'M4 6l4 4 4-4',
  plus: 'M8 3v10M3 8h10',
  copy: 'M5.5 5.5h7v8h-7zM3.5 10.5v-8h7',
  theme: 'M8 13.5a5.5 5.5 0 1 0 0-11zM8 2.5a5.5 5.5 0 0 0 0 11',
  menu: 'M2.5 4.5h11M2.5 8h11M2.5 11.5h11',
  mic: 'M8 9.5a2 2 0 0 0 2-2v-3a2 2 0 1 0-4 0v3a2 2 0 0 0 2 2zM4 7.5a4 4 0 0 0 8 0M8 11.5v2',
  out: 'M6.5 2.5h-4v11h4M10 5l3 3-3 3M13 8H6',
};

/** @param {string} name */
export const icon = (name) => h('svg:svg', { class: 'icon', viewBox: '0 0 16 16', width: 16, height: 16, 'aria-hidden': 'true', fill: 'none', stroke: 'currentColor', 'stroke-width': 1.5, 'stroke-linecap': 'round', 'stroke-linejoin': 'round' },
  h('svg:path', { d: paths[name] ?? '' }));
