// Package middleware holds what every request passes: request id, log line,
// recovery, the one table from errors to statuses, security headers, CORS,
// limits and authentication.
//
// It owns no business rules and no routes. Invariants: an error is rendered and
// logged once, here; an error that is not a *models.Error gets 500 and its text
// is not sent; a credential is read here and never logged; the
// models.Principal is built here only. Called by routes.
package middleware
