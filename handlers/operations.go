package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/services/operations"
)

// Operations serves /v1/operations.
type Operations struct {
	requests *request.Reader
	service  *operations.Service
}

// NewOperations makes the handlers of a service.
func NewOperations(r *request.Reader, s *operations.Service) *Operations { return &Operations{r, s} }

// Backlog is work that waits; the counts stop at 10,000. Null is nothing that
// waits.
type Backlog struct {
	Waiting          int64    `json:"waiting"`
	Dead             int64    `json:"dead"`
	OldestAgeSeconds *float64 `json:"oldest_age_seconds"`
}

// HeldLease is a job that one process has.
type HeldLease struct {
	Name       string  `json:"name"`
	Holder     string  `json:"holder"`
	Own        bool    `json:"own"`
	TTLSeconds float64 `json:"ttl_seconds"`
}

// BackupState is what is known of the backups that this server makes.
type BackupState struct {
	Enabled       bool       `json:"enabled"`
	LastSuccessAt *time.Time `json:"last_success_at"`
}

// OperationsReport is the state of the installation.
type OperationsReport struct {
	Inbox              Backlog     `json:"inbox"`
	Evictions          Backlog     `json:"evictions"`
	Deliveries         Backlog     `json:"deliveries"`
	Leases             []HeldLease `json:"leases"`
	Backups            BackupState `json:"backups"`
	ClockOffsetSeconds float64     `json:"clock_offset_seconds"`
}

// Get returns the state of the installation.
func (h *Operations) Get(c *gin.Context) error {
	r, err := h.service.Report(c.Request.Context(), actor(c))
	if err != nil {
		return err
	}
	out := OperationsReport{
		Inbox: renderBacklog(r.Inbox), Evictions: renderBacklog(r.Evictions), Deliveries: renderBacklog(r.Deliveries),
		Leases:             make([]HeldLease, 0, len(r.Leases)),
		Backups:            BackupState{Enabled: r.Backups.Enabled, LastSuccessAt: ever(r.Backups.LastSuccess)},
		ClockOffsetSeconds: secondsOf(r.ClockOffset),
	}
	for i := range r.Leases {
		l := &r.Leases[i]
		out.Leases = append(out.Leases, HeldLease{Name: l.ID, Holder: l.Holder, Own: l.Holder == r.Holder, TTLSeconds: float64(l.TTLMillis) / 1000})
	}
	return answer(c, http.StatusOK, out)
}

func renderBacklog(q operations.Queue) Backlog {
	out := Backlog{Waiting: q.Waiting, Dead: q.Dead}
	if q.Waiting > 0 {
		age := secondsOf(q.OldestAge)
		out.OldestAgeSeconds = &age
	}
	return out
}

// secondsOf gives a time in seconds, to the millisecond.
func secondsOf(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

type retryDeadEventsRequest struct {
	Limit *int64 `json:"limit,case:ignore" validate:"omitempty,min=1,max=1000"`
}

// retriedByDefault is how many dead events are retried if the request does not say.
const retriedByDefault = 100

// RetriedEvents tells how many dead events are pending again, and how many are
// still dead.
type RetriedEvents struct {
	Retried   int64 `json:"retried"`
	Remaining int64 `json:"remaining"`
}

// RetryDeadEvents makes dead events pending.
func (h *Operations) RetryDeadEvents(c *gin.Context) error {
	var in retryDeadEventsRequest
	if err := h.requests.OptionalBody(c, &in); err != nil {
		return err
	}
	limit := int64(retriedByDefault)
	if in.Limit != nil {
		limit = *in.Limit
	}
	out, err := h.service.RetryDeadEvents(c.Request.Context(), actor(c), limit)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, RetriedEvents{Retried: out.Retried, Remaining: out.Remaining})
}
