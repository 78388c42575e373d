// Package dashboard is the browser client of /v1 and the handler that serves
// it. The client is native ES modules without a build step and without code of
// others: the page holds people's credentials.
//
// It owns what is below /dashboard/: the page, its modules and styles, their
// caching and their content policy. It knows nothing of tenants, and the page
// can do nothing that /v1 does not offer to the person who is logged in.
//
// Invariants: every asset is served under a hash of all of them and never
// changes there; the page itself is never stored. README.md in this folder says
// how a screen is added.
package dashboard
