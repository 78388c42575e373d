package handlers

import (
	"math"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/quotas"
)

// Quotas serves /v1/usage/quota.
type Quotas struct{ service *quotas.Limits }

// NewQuotas makes the handlers of a service.
func NewQuotas(s *quotas.Limits) *Quotas { return &Quotas{s} }

// QuotaReport holds the limits and the use of a project.
type QuotaReport struct {
	ProjectID models.ProjectID `json:"project_id"`
	Plan      models.Plan      `json:"plan"`
	// Start and End bound the calendar month (UTC).
	Start  time.Time    `json:"start"`
	End    time.Time    `json:"end"`
	Quotas QuotaUses    `json:"quotas"`
	Events []QuotaEvent `json:"events"`
}

// QuotaUses is the use of each quota.
type QuotaUses struct {
	ParticipantMinutes     QuotaUse `json:"participant_minutes_per_month"`
	ConcurrentParticipants QuotaUse `json:"concurrent_participants"`
	ConcurrentAgents       QuotaUse `json:"concurrent_agents"`
	Rooms                  QuotaUse `json:"rooms"`
	EgressMinutes          QuotaUse `json:"egress_minutes_per_month"`
	ConcurrentEgresses     QuotaUse `json:"concurrent_egresses"`
	ConcurrentIngresses    QuotaUse `json:"concurrent_ingresses"`
	Projects               QuotaUse `json:"projects"`
}

// QuotaUse is the use of one quota, in minutes or as a count. A null limit
// means unlimited.
type QuotaUse struct {
	Limit     *int64     `json:"limit"`
	Used      float64    `json:"used"`
	Reserved  int64      `json:"reserved"`
	Remaining *float64   `json:"remaining"`
	Reset     *time.Time `json:"reset"`
}

// QuotaEvent is a threshold that use has reached.
type QuotaEvent struct {
	ID        string       `json:"id"`
	Type      string       `json:"type"`
	Timestamp time.Time    `json:"timestamp"`
	Quota     models.Quota `json:"quota"`
	Percent   int64        `json:"percent"`
	Limit     int64        `json:"limit"`
	Used      float64      `json:"used"`
}

// Get returns the quotas of a project.
func (h *Quotas) Get(c *gin.Context) error {
	q := request.NewQuery(c)
	project := projectOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.Report(c.Request.Context(), actor(c), project)
	if err != nil {
		return err
	}
	report := QuotaReport{ProjectID: out.ProjectID, Plan: out.Plan, Start: out.Start, End: out.End,
		Quotas: QuotaUses{
			ParticipantMinutes:     renderQuotaUse(out.Uses[models.QuotaParticipantMinutes]),
			ConcurrentParticipants: renderQuotaUse(out.Uses[models.QuotaConcurrentParticipants]),
			ConcurrentAgents:       renderQuotaUse(out.Uses[models.QuotaConcurrentAgents]),
			Rooms:                  renderQuotaUse(out.Uses[models.QuotaRooms]),
			EgressMinutes:          renderQuotaUse(out.Uses[models.QuotaEgressMinutes]),
			ConcurrentEgresses:     renderQuotaUse(out.Uses[models.QuotaConcurrentEgresses]),
			ConcurrentIngresses:    renderQuotaUse(out.Uses[models.QuotaConcurrentIngresses]),
			Projects:               renderQuotaUse(out.Uses[models.QuotaProjects]),
		},
		Events: make([]QuotaEvent, 0, len(out.Events))}
	for i := range out.Events {
		e := &out.Events[i]
		report.Events = append(report.Events, QuotaEvent{ID: e.EventID, Type: e.Type(), Timestamp: instant(e.At),
			Quota: e.Quota, Percent: e.Percent, Limit: e.Limit, Used: e.Used})
	}
	return answer(c, http.StatusOK, report)
}

func renderQuotaUse(u models.QuotaUse) QuotaUse {
	out := QuotaUse{Used: u.Used, Reserved: u.Reserved}
	if u.Limit > 0 {
		// To the thousandth of a minute.
		left := math.Round(max(0, float64(u.Limit)-u.Used)*1000) / 1000
		out.Limit, out.Remaining = &u.Limit, &left
	}
	if !u.Reset.IsZero() {
		out.Reset = &u.Reset
	}
	return out
}
