// Package request reads what a request says: its body, a JSON object decoded
// into a struct and checked, and its query parameters.
//
// It does not own the limits of fields (validate tags of handlers), rules that
// need stored data (services), or how an error is rendered (middleware).
//
// github.com/go-json-experiment/json, the Go team's encoding/json/v2, decodes;
// go-playground/validator checks values. This package adds what they lack:
// every wrong field in one answer, null as documented for /v1, and messages
// that name fields and never repeat values.
//
// Invariants: a body decoded without an error has known names only, each once,
// in valid UTF-8. No input makes it panic, and at most MaxErrors errors are
// reported for one request.
//
// Called by handlers and routes only.
package request
