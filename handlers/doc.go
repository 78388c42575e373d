// Package handlers turns a request into one call of a service and its result
// into JSON.
//
// It owns the JSON shapes of /v1 (request and response structs) and the limits
// of their fields. It owns no rules, no BSON and no status codes of errors.
// handlers/request reads bodies and queries; handlers/commands has the command line's
// sub-commands. Called by routes.
package handlers
