package livekit

import (
	"strconv"
	"time"

	"github.com/livekit/protocol/livekit"

	"pulse-control-plane/models"
)

// MaxName bounds ids, identities and names that an event or an attribute may have,
// in bytes: four times LiveKit's own limits.
const MaxName = 1 << 10

// Names of LiveKit's that protojson leaves out, because they are the first of their
// enum, and of a status that decides which times an egress has.
const (
	UnknownReason   = "UNKNOWN_REASON"
	EgressStarting  = "EGRESS_STARTING"
	EgressActive    = "EGRESS_ACTIVE"
	IngressInactive = "ENDPOINT_INACTIVE"
)

// KindName is LiveKit's name of a kind of participant, by its number.
func KindName(n int32) (name string, known bool) {
	name, known = livekit.ParticipantInfo_Kind_name[n]
	return name, known
}

// ReasonName is LiveKit's name of a reason to disconnect, by its number.
func ReasonName(n int32) (name string, known bool) {
	name, known = livekit.DisconnectReason_name[n]
	return name, known
}

// EgressStatusName is LiveKit's name of a status of egress, by its number.
func EgressStatusName(n int32) (name string, known bool) {
	name, known = livekit.EgressStatus_name[n]
	return name, known
}

// IngressStatusName is LiveKit's name of a status of ingress, by its number.
func IngressStatusName(n int32) (name string, known bool) {
	name, known = livekit.IngressState_Status_name[n]
	return name, known
}

func egressMedia(e *livekit.EgressInfo) *models.EventMedia {
	return &models.EventMedia{ID: e.EgressId, Status: e.Status.String(),
		StartedAt: UnixNanos(e.StartedAt), EndedAt: UnixNanos(e.EndedAt)}
}

func ingressMedia(i *livekit.IngressInfo) *models.EventMedia {
	s := i.GetState()
	return IngressRun(i.IngressId, s.GetStatus().String(), s.GetStartedAt(), s.GetEndedAt())
}

// IngressRun names one run of an ingress, which may have many: LiveKit gives each
// run its own start. A run without a start has the ingress's own id. Times are in
// nanoseconds.
func IngressRun(ingress, status string, startedAt, endedAt int64) *models.EventMedia {
	m := &models.EventMedia{ID: ingress, Status: status, StartedAt: UnixNanos(startedAt), EndedAt: UnixNanos(endedAt)}
	if startedAt > 0 {
		m.ID = RunID(ingress, startedAt)
	}
	return m
}

// RunID names the run of an ingress that started at a time in nanoseconds.
func RunID(ingress string, startedAt int64) string {
	if ingress == "" {
		return ""
	}
	return ingress + "@" + strconv.FormatInt(startedAt, 10)
}

func roomCreation(r *livekit.Room) time.Time { return Milliseconds(r.CreationTimeMs, r.CreationTime) }

// Milliseconds is a time LiveKit gives in milliseconds, or in older versions in
// seconds only.
func Milliseconds(ms, seconds int64) time.Time {
	if ms > 0 {
		return time.UnixMilli(ms).UTC()
	}
	return UnixSeconds(seconds)
}

// farFuture is in seconds; later times would overflow and become past ones.
const farFuture = 1 << 40

// UnixSeconds is a time in seconds; the zero time for 0 and less.
func UnixSeconds(s int64) time.Time {
	if s <= 0 {
		return time.Time{}
	}
	return time.Unix(min(s, farFuture), 0).UTC()
}

// UnixNanos is a time in nanoseconds, as the database keeps it; the zero time for 0
// and less.
func UnixNanos(ns int64) time.Time {
	if ns <= 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC().Truncate(time.Millisecond)
}
