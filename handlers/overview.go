package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/overview"
)

// Overview serves /v1/overview.
type Overview struct{ service *overview.Service }

// NewOverview makes the handlers of a service.
func NewOverview(s *overview.Service) *Overview { return &Overview{s} }

// ProjectOverview is what is going on in one project.
type ProjectOverview struct {
	ProjectID    models.ProjectID `json:"project_id"`
	Name         string           `json:"name"`
	Region       string           `json:"region"`
	Rooms        int64            `json:"rooms"`
	Participants int64            `json:"participants"`
	Egresses     int64            `json:"egresses"`
	// Warnings are the quotas of which at least 80 % are used.
	Warnings []QuotaWarning `json:"warnings"`
	// FailingEndpoints counts the webhook endpoints that fail or that Pulse
	// disabled; FailingEndpointIDs names them.
	FailingEndpoints   int                 `json:"failing_endpoints"`
	FailingEndpointIDs []models.EndpointID `json:"failing_endpoint_ids"`
	LastEventAt        *time.Time          `json:"last_event_at"`
	KeyUsedAt          *time.Time          `json:"key_used_at"`
	FirstSessionAt     *time.Time          `json:"first_session_at"`
	// HourlyParticipantSeconds are of the last 24 hours, the latest last.
	HourlyParticipantSeconds []float64 `json:"hourly_participant_seconds"`
}

// QuotaWarning is a quota that is nearly used up.
type QuotaWarning struct {
	Quota   models.Quota `json:"quota"`
	Limit   int64        `json:"limit"`
	Used    float64      `json:"used"`
	Percent int64        `json:"percent"`
}

// OrganizationOverview is the overview of an organization.
type OrganizationOverview struct {
	Items []ProjectOverview `json:"items"`
}

// Get returns the overview of an organization.
func (h *Overview) Get(c *gin.Context) error {
	q := request.NewQuery(c)
	org := models.OrganizationID(q.Text("org_id"))
	if err := q.Err(); err != nil {
		return err
	}
	projects, err := h.service.Get(c.Request.Context(), actor(c), org)
	if err != nil {
		return err
	}
	out := OrganizationOverview{Items: make([]ProjectOverview, 0, len(projects))}
	for i := range projects {
		out.Items = append(out.Items, renderOverview(&projects[i]))
	}
	return answer(c, http.StatusOK, out)
}

func renderOverview(p *overview.Project) ProjectOverview {
	out := ProjectOverview{
		ProjectID: p.ID, Name: p.Name, Region: p.Region, Rooms: p.Rooms, Participants: p.Participants, Egresses: p.Egresses,
		FailingEndpoints: len(p.Failing), FailingEndpointIDs: append([]models.EndpointID{}, p.Failing...),
		Warnings: []QuotaWarning{}, LastEventAt: ever(p.LastEventAt), KeyUsedAt: ever(p.KeyUsedAt), FirstSessionAt: ever(p.FirstSessionAt),
		HourlyParticipantSeconds: make([]float64, 0, len(p.Hourly)),
	}
	for _, use := range p.Near {
		out.Warnings = append(out.Warnings, QuotaWarning{Quota: use.Quota, Limit: use.Limit, Used: use.Used, Percent: int64(use.Used * 100 / float64(use.Limit))})
	}
	for _, seconds := range p.Hourly {
		out.HourlyParticipantSeconds = append(out.HourlyParticipantSeconds, millis(seconds))
	}
	return out
}

// ever renders a time that may never have been.
func ever(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return instantOrNull(&t)
}
