// Package middleware is what every request passes: request id, log line,
// recovery, the one table from errors to statuses, security headers, CORS,
// limits and authentication.
//
// It owns no business rule and no route. Invariants: an error is rendered and
// logged once, here; what is not a *models.Error answers 500 and says nothing
// of itself; a credential is read here and never logged; the
// models.Principal is built here and nowhere else.
package middleware
