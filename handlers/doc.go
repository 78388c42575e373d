// Package handlers turns a request into one call of a service and its answer
// into JSON.
//
// It owns the shapes of /v1 (request and response structs with json tags) and
// nothing else: no rule, no BSON, no status of an error. Every field of a
// request is checked against its limits here, and all that is wrong is
// reported at once.
package handlers
