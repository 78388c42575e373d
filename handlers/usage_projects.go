package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/services/usage"
)

// ProjectUsage is what one project used in all.
type ProjectUsage struct {
	ProjectID models.ProjectID `json:"project_id"`
	Name      string           `json:"name"`
	Meters
}

// OrganizationUsage is the usage of an organization's projects.
type OrganizationUsage struct {
	OrgID  models.OrganizationID `json:"org_id"`
	Start  time.Time             `json:"start"`
	End    time.Time             `json:"end"`
	Window models.Window         `json:"window"`
	Totals Meters                `json:"totals"`
	Items  []ProjectUsage        `json:"items"`
}

// byProject returns the usage of an organization, a row a project.
func (h *Usage) byProject(c *gin.Context, org models.OrganizationID, ask usage.Query) error {
	out, err := h.service.ByProject(c.Request.Context(), actor(c), org, ask)
	if err != nil {
		return err
	}
	report := OrganizationUsage{OrgID: out.OrgID, Start: out.Start, End: out.End, Window: out.Window,
		Totals: renderMeters(out.Totals), Items: make([]ProjectUsage, 0, len(out.Projects))}
	for _, p := range out.Projects {
		report.Items = append(report.Items, ProjectUsage{ProjectID: p.ProjectID, Name: p.Name, Meters: renderMeters(p.Values)})
	}
	return answer(c, http.StatusOK, report)
}
