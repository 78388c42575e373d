// Package httpserver is a net/http server with bounds against slow clients and
// a shutdown that waits only for requests under way.
//
// It owns the timeouts of connections, the size of headers and the shutdown. It
// does not own handlers, or bounds on bodies and on the time of a request.
//
// Invariants: no connection stays open without a bound in time; Shutdown returns
// within its context, with every connection closed.
package httpserver
