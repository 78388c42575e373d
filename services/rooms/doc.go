// Package rooms owns the rooms API: creating, listing, changing and ending rooms,
// and what is done to their participants.
//
// It does not own tokens, slots (quotas) or which cluster a room is on
// (livekit.Placements). Invariants: names are qualified on the way to LiveKit and
// stripped on the way back; every change is in the audit trail; a room of another
// project is not found.
//
// Called by handlers.
package rooms
