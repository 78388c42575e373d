package handlers

import (
	"math"
	"net/http"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/quotas"
)

// Overview serves /v1/overview and /v1/plans.
type Overview struct {
	service *quotas.Overview
	limits  *quotas.Limits
}

// NewOverview makes the handlers of two services.
func NewOverview(s *quotas.Overview, l *quotas.Limits) *Overview { return &Overview{s, l} }

// ProjectOverview is what a project has open.
type ProjectOverview struct {
	ProjectID    models.ProjectID `json:"project_id"`
	Name         string           `json:"name"`
	Region       string           `json:"region"`
	Rooms        int64            `json:"rooms"`
	Participants int64            `json:"participants"`
	Egresses     int64            `json:"egresses"`
	// Warnings are the quotas of which at least 80 percent are used.
	Warnings []QuotaWarning `json:"warnings"`
}

// QuotaWarning is a quota near its end.
type QuotaWarning struct {
	Quota   models.Quota `json:"quota"`
	Limit   int64        `json:"limit"`
	Used    float64      `json:"used"`
	Percent int64        `json:"percent"`
}

// Get sends a page of the projects of an organization.
func (h *Overview) Get(c *gin.Context) error {
	q := request.NewQuery(c)
	page, org := pageOf(q), models.OrganizationID(q.Text("org_id"))
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.Projects(c.Request.Context(), actor(c), org, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderOverview))
}

func renderOverview(s quotas.ProjectState) ProjectOverview {
	out := ProjectOverview{ProjectID: s.Project.ID, Name: s.Project.Name, Region: s.Project.Region,
		Rooms: s.Rooms, Participants: s.Participants, Egresses: s.Egresses, Warnings: make([]QuotaWarning, 0, len(s.Warnings))}
	for _, w := range s.Warnings {
		out.Warnings = append(out.Warnings, QuotaWarning{w.Quota, w.Limit, w.Used, int64(math.Floor(w.Used * 100 / float64(w.Limit)))})
	}
	return out
}

// Plan is what a plan gives each project of an organization.
type Plan struct {
	Plan models.Plan `json:"plan"`
	// RequestsPerMinute is null for no limit.
	RequestsPerMinute *int64 `json:"requests_per_minute"`
	// Quotas are by name; null is no limit.
	Quotas map[models.Quota]*int64 `json:"quotas"`
}

// Plans is the answer to GET /v1/plans.
type Plans struct {
	Items []Plan `json:"items"`
}

// Plans sends the plans of the installation.
func (h *Overview) Plans(c *gin.Context) error {
	limit := func(n int64) *int64 {
		if n == 0 {
			return nil
		}
		return &n
	}
	var out Plans
	for _, terms := range h.limits.PlanTerms() {
		plan := Plan{Plan: terms.Plan, RequestsPerMinute: limit(terms.RequestsPerMinute), Quotas: map[models.Quota]*int64{}}
		for _, name := range models.QuotaNames() {
			plan.Quotas[name] = limit(terms.Quotas.Of(name))
		}
		out.Items = append(out.Items, plan)
	}
	return answer(c, http.StatusOK, out)
}
