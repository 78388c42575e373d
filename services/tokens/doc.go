// Package tokens owns the exchange of an API key for a LiveKit token, the check
// of a token, and revocations.
//
// It does not sign (livekit) nor count slots (quotas). Invariants: a client key
// gets no more than the project's client_tokens allow; server-wide grants are
// never minted; a banned identity gets no token.
//
// Called by handlers and the inbox's worker.
package tokens
