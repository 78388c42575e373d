// Package media owns egress (streams and recordings out of rooms): what may be asked
// for, the records, their states and results, and automatic recording.
//
// It does not own rooms, ingress, the storage of recordings (storage) or LiveKit's
// calls (livekit). Invariants: the record of an egress is stored before LiveKit is
// asked to start it, and how the start ended is stored in it; file paths begin with
// the project's id and are built here; stream keys are in no record; an egress of
// another project is not found; states only go forward, whatever order events come in.
//
// Called by handlers, by metering with LiveKit's events, and by a worker that compares
// records with what LiveKit lists.
package media
