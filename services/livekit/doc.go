// Package livekit is the only package that uses LiveKit's modules: clusters and
// their API keys, calls of the server API, tokens, and the content of events.
//
// It does not know projects beyond their qualified room names. Invariants: an
// event is parsed only after its signature over the raw body was checked; secrets
// are redacted from what is stored; every call has a deadline.
//
// Called by metering, evictions, tokens and the composition root.
package livekit
