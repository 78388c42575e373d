// Package clusters owns the LiveKit clusters of the installation: which there are
// (the clusters file, read again when it changes), how each is (probes), which one a
// room is on (placements), and calls that concern all of them.
//
// It does not own what a call or a token contains (services/livekit). Invariants: a
// clusters file with a mistake changes nothing; a room is on one cluster, and all
// replicas agree on which; a cluster that does not answer gets no new rooms.
//
// Called by rooms, media, tokens, metering, handlers and the composition root.
package clusters
