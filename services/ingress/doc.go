// Package ingress owns ingress (streams into rooms): what may be asked for, the
// records, and their states.
//
// It does not own rooms or LiveKit's calls (livekit). Invariants: the record of an
// ingress is stored before LiveKit is asked to create it; stream keys are in no
// record and shown once; an ingress of another project is not found; the order of
// states is that of livekit-server, whatever order events come in; an ingress that
// LiveKit has and no caller knows is deleted.
//
// Called by handlers, by metering with LiveKit's events, and by a worker that compares
// records with what LiveKit lists.
package ingress
