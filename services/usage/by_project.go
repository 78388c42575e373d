package usage

import (
	"context"

	"golang.org/x/sync/errgroup"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

const (
	// maxProjectRows bounds the projects of one report: the newest.
	maxProjectRows = 100
	// projectsAtOnce bounds the projects that are added up at the same time.
	projectsAtOnce = 4
)

// ProjectTotals are the totals of one project.
type ProjectTotals struct {
	ProjectID models.ProjectID
	Name      string
	Values    map[models.Meter]float64
}

// OrganizationReport is the usage of an organization's projects side by side.
type OrganizationReport struct {
	OrgID models.OrganizationID
	Report
	Projects []ProjectTotals
}

// ByProject adds up what each project of an organization used; of ask, Items
// are not filled in. The operator names the organization. invalid as Get;
// not_found for an organization the caller may not see.
func (s *Reports) ByProject(ctx context.Context, actor *models.Principal, org models.OrganizationID, ask Query) (OrganizationReport, error) {
	if err := actor.May(models.ActionUsageRead); err != nil {
		return OrganizationReport{}, err
	}
	switch own, all := actor.Tenant().Organization(); {
	case actor.Tenant().Project() != "":
		return OrganizationReport{}, actor.Refused("person_required", "a person's access token (Authorization: Bearer)")
	case all && org == "":
		return OrganizationReport{}, models.Invalid(models.FieldError{Location: "org_id", Message: "is required of the operator"})
	case !all && org != "" && org != own:
		return OrganizationReport{}, models.NotFound()
	case !all:
		org = own
	}
	if ask.Window == "" {
		ask.Window = models.WindowHour
		if models.WindowDay.Start(ask.Start).Equal(ask.Start) && models.WindowDay.Start(ask.End).Equal(ask.End) {
			ask.Window = models.WindowDay
		}
	}
	head, err := newReport("", ask, s.c.Now().UTC())
	if err != nil {
		return OrganizationReport{}, err
	}
	projects, err := s.c.Projects.List(ctx, models.TenantOf(org), database.ProjectFilter{}, database.Page{Limit: maxProjectRows})
	if err != nil {
		return OrganizationReport{}, err
	}
	head.Items = nil
	out := OrganizationReport{OrgID: org, Report: head, Projects: make([]ProjectTotals, len(projects))}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(projectsAtOnce)
	for i := range projects {
		group.Go(func() error {
			report, err := s.Report(ctx, projects[i].ID, Query{Start: head.Start, End: head.End, Window: head.Window})
			out.Projects[i] = ProjectTotals{projects[i].ID, projects[i].Name, report.Totals}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return OrganizationReport{}, err
	}
	for _, p := range out.Projects {
		for m, value := range p.Values {
			if m == models.MeterPeak {
				out.Totals[m] = max(out.Totals[m], value) // of one project: peaks of several need not be at one time
				continue
			}
			out.Totals[m] += value
		}
	}
	return out, nil
}
