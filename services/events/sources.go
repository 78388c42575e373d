package events

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulse-control-plane/models"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/utils/required"
)

// projectsKnown bounds the projects whose organization is remembered.
const projectsKnown = 50_000

// Projects reads projects of any tenant, deleted ones included.
type Projects interface {
	Named(ctx context.Context, id models.ProjectID) (models.Project, error)
}

// Sources makes events of what others report: metering's inbox, quotas and keys.
type Sources struct {
	c SourcesConfig
	// orgs gives the organization of a project, which never changes.
	orgs *lookup.Cache[models.OrganizationID]
}

// SourcesConfig of NewSources; every field is required.
type SourcesConfig struct {
	Log      *Log
	Projects Projects
	Keys     ExpiringKeys
	Now      func() time.Time
}

// NewSources returns the sources. It fails if a required field is missing.
func NewSources(c SourcesConfig) (*Sources, error) {
	if err := required.Fields(c); err != nil {
		return nil, err
	}
	orgs, err := lookup.New(lookup.Config[models.OrganizationID]{Size: projectsKnown, Fresh: 24 * time.Hour, Now: c.Now,
		Load: func(ctx context.Context, id string) (models.OrganizationID, error) {
			project, err := c.Projects.Named(ctx, models.ProjectID(id))
			return project.OrgID, err
		}})
	return &Sources{c: c, orgs: orgs}, err
}

// Register offers how the cache of projects' organizations answered.
func (s *Sources) Register(registry prometheus.Registerer) {
	s.orgs.Register("project_organizations", registry)
}
