// Package livekit is the only package that uses LiveKit's modules: calls of a
// cluster's server API, tokens, and LiveKit's names and notations.
//
// It does not know projects beyond their qualified room names, nor which clusters
// there are (services/clusters), nor how events arrive (services/livekitevents).
// Invariants: secrets are redacted from what is stored or logged; what a
// participant's attributes say is authenticated; every call has a deadline.
//
// Called by clusters, livekitevents, media, metering, rooms, tokens and the
// composition root.
package livekit
