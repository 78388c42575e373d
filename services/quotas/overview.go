package quotas

import (
	"context"

	"golang.org/x/sync/errgroup"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/required"
)

// overviewAtOnce is how many projects of a page are counted at a time.
const overviewAtOnce = 4

// Overview tells what an organization's projects have open and which of their
// quotas are near their end.
type Overview struct{ c OverviewConfig }

// OverviewConfig of NewOverview; every field is required.
type OverviewConfig struct {
	Limits        *Limits
	Projects      *database.Projects
	Organizations *database.Organizations
	Sessions      *database.UsageSessions
	Cursors       *cursor.Codec
}

// NewOverview builds the service. It fails if a required field is missing.
func NewOverview(c OverviewConfig) (*Overview, error) { return &Overview{c}, required.Fields(c) }

// ProjectState is what a project has open.
type ProjectState struct {
	Project                       models.Project
	Rooms, Participants, Egresses int64
	// Warnings are the quotas of which at least QuotaWarningPercent are used.
	Warnings []models.QuotaUse
}

// Projects reads a page of the projects of an organization: a person's own, or
// the one the operator names. invalid org_id if the operator names none;
// not_found for another tenant's.
func (o *Overview) Projects(ctx context.Context, actor *models.Principal, asked models.OrganizationID, p paging.Request) (paging.Page[ProjectState], error) {
	if err := actor.May(models.ActionUsageRead); err != nil {
		return paging.Page[ProjectState]{}, err
	}
	if asked == "" {
		if asked = actor.OrgID; asked == "" {
			return paging.Page[ProjectState]{}, models.Invalid(models.FieldError{Location: "org_id", Message: "is required: the operator names the organization"})
		}
	}
	org, err := o.c.Organizations.Get(ctx, actor.Tenant(), asked)
	if err != nil {
		return paging.Page[ProjectState]{}, err
	}
	page, err := paging.ByID(o.c.Cursors, actor, "overview|"+string(org.ID), p, func(at database.Page) ([]ProjectState, error) {
		projects, err := o.c.Projects.List(ctx, actor.Tenant(), database.ProjectFilter{Organization: org.ID}, at)
		states := make([]ProjectState, len(projects))
		for i := range projects {
			states[i].Project = projects[i]
		}
		return states, err
	}, func(s ProjectState) string { return string(s.Project.ID) })
	if err != nil {
		return page, err
	}
	group, counting := errgroup.WithContext(ctx)
	group.SetLimit(overviewAtOnce)
	for i := range page.Items {
		group.Go(func() error { return o.count(counting, org.Plan, &page.Items[i]) })
	}
	return page, group.Wait()
}

func (o *Overview) count(ctx context.Context, plan models.Plan, state *ProjectState) error {
	id := state.Project.ID
	for subject, into := range map[models.Subject]*int64{
		models.SubjectRoom: &state.Rooms, models.SubjectParticipant: &state.Participants, models.SubjectEgress: &state.Egresses,
	} {
		n, err := o.c.Sessions.CountOpen(ctx, id, subject, slotsRead)
		if err != nil {
			return err
		}
		*into = n
	}
	quotas := o.c.Limits.c.Plans.For(plan, &state.Project.Limits)
	month, start := &monthUse{}, models.WindowMonth.Start(o.c.Limits.c.Now())
	if quotas.ParticipantMinutes > 0 || quotas.EgressMinutes > 0 {
		var err error
		if month, err = o.c.Limits.month(ctx, id, start); err != nil {
			return err
		}
	}
	for _, name := range models.QuotaNames() {
		use := models.QuotaUse{Quota: name, Limit: quotas.Of(name)}
		switch name {
		case models.QuotaParticipantMinutes, models.QuotaEgressMinutes:
			use.Used, use.Reset = month.of(name), models.WindowMonth.Next(start)
		case models.QuotaConcurrentParticipants:
			use.Used = float64(state.Participants)
		case models.QuotaRooms:
			use.Used = float64(state.Rooms)
		default: // of the organization, or counted elsewhere
			continue
		}
		if use.Limit > 0 && use.Used*100 >= float64(use.Limit*models.QuotaWarningPercent) {
			state.Warnings = append(state.Warnings, use)
		}
	}
	return nil
}

// PlanTerms are what a plan gives each project of an organization.
type PlanTerms struct {
	Plan models.Plan
	// RequestsPerMinute is 0 for no limit.
	RequestsPerMinute int64
	Quotas            models.Quotas
}

// PlanTerms lists the plans and what they give.
func (s *Limits) PlanTerms() []PlanTerms {
	var out []PlanTerms
	for _, plan := range []models.Plan{models.PlanFree, models.PlanPro, models.PlanEnterprise} {
		out = append(out, PlanTerms{plan, plan.RequestsPerMinute(s.c.RequestsPerMinute), s.c.Plans[plan]})
	}
	return out
}
