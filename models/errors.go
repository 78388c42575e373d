package models

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of failure an Error is. middleware/errors.go alone turns
// it into an HTTP status.
type Kind string

// The kinds of failure.
const (
	KindInvalid         Kind = "invalid"
	KindUnauthenticated Kind = "unauthenticated"
	KindForbidden       Kind = "forbidden"
	KindNotFound        Kind = "not_found"
	KindConflict        Kind = "conflict"
	KindRateLimited     Kind = "rate_limited"
	KindQuotaExceeded   Kind = "quota_exceeded"
	KindTooLarge        Kind = "too_large"
	KindNotSupported    Kind = "not_supported"
	KindUnsupported     Kind = "unsupported_media_type"
	KindMethod          Kind = "method_not_allowed"
	KindTimeout         Kind = "timeout"
	KindUnavailable     Kind = "unavailable"
	KindInternal        Kind = "internal"
	// KindClientGone is of a request whose client has hung up before its answer.
	KindClientGone Kind = "client_gone"
	// KindMisconfigured is a mistake of the operator, found at start: the
	// message says what to change. It never reaches a client.
	KindMisconfigured Kind = "misconfigured"
)

// FieldError is one wrong field. Location is the path of its name as services
// know it, such as "ttl_seconds" or "grants.hidden"; handlers prefix the part of
// the request it came from.
type FieldError struct {
	Location string
	Message  string
}

// Error is the only error that crosses a layer. Message and Fields are public;
// the cause is for the log and never leaves the process.
type Error struct {
	Kind Kind
	// Code is stable and snake_case; clients may switch on it.
	Code    string
	Message string
	Fields  []FieldError
	// RetryAfter, when positive, tells the caller when to come back.
	RetryAfter time.Duration
	// Quota, where one is exceeded, is public too.
	Quota *QuotaUse
	cause error
}

// NewError builds an error of a kind with a stable code and a public message.
func NewError(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// Error gives the public text followed by the private cause: for logs only.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.cause)
	}
	return e.Code + ": " + e.Message
}

// Unwrap gives the private cause.
func (e *Error) Unwrap() error { return e.cause }

// Because returns a copy of e that remembers its private cause.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// IsKind reports whether err is, or wraps, an Error of that kind.
func IsKind(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// HasCode reports whether err is, or wraps, an Error with that stable code.
func HasCode(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// NotFound is the one answer to an id that is missing or another tenant's; it
// is built afresh for each and says nothing that would tell the two apart.
func NotFound() *Error {
	return NewError(KindNotFound, "not_found", "Not found.")
}

// Invalid reports every wrong field of a request at once.
func Invalid(fields ...FieldError) *Error {
	return &Error{Kind: KindInvalid, Code: "invalid_request",
		Message: "The request is not valid; see errors for each field.", Fields: fields}
}

// Unauthenticated refuses a missing or bad credential. The message never says
// which part of the credential was wrong.
func Unauthenticated(code, message string) *Error {
	return NewError(KindUnauthenticated, code, message)
}

// Forbidden refuses a known caller who lacks the right.
func Forbidden(code, message string) *Error { return NewError(KindForbidden, code, message) }

// Conflict refuses what collides with what is there.
func Conflict(code, message string) *Error { return NewError(KindConflict, code, message) }

// Unavailable says that something Pulse depends on did not answer in time.
func Unavailable(cause error) *Error {
	return NewError(KindUnavailable, "service_unavailable",
		"A service Pulse depends on did not answer; try again shortly.").Because(cause)
}

// Internal wraps a fault of our own. Its text never leaves the process.
func Internal(cause error) *Error {
	return NewError(KindInternal, "internal_error", "Something went wrong on our side.").Because(cause)
}

// Misconfigured is a mistake in the settings or the data that the operator
// gave to the process. The message says what is wrong and what to do.
func Misconfigured(code, message string) *Error { return NewError(KindMisconfigured, code, message) }
