// Package livekit is the only package that uses LiveKit's modules: calls of a
// cluster's server API, tokens, and the content of events.
//
// It does not know projects beyond their qualified room names, nor which clusters
// there are (services/clusters). Invariants: a
// body is read only for a token a cluster signed, and nothing of it is used unless
// it is the body that was signed; secrets are redacted from what is stored; what a
// participant's attributes say is authenticated; every call has a deadline.
//
// Called by clusters, media, metering, rooms, tokens and the composition root.
package livekit
