// Package tokens owns minting LiveKit tokens in exchange for an API key, validating
// them, and revocations.
//
// It does not sign (livekit) nor count slots (quotas). Invariants: client grade
// gets no more than the project's client_tokens allow; server-wide grants are
// never minted; a banned identity gets no token.
//
// Called by handlers and the inbox's worker.
package tokens
