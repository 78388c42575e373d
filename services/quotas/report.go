package quotas

import (
	"context"
	"time"

	"pulse-control-plane/models"
)

// quotaEventsShown bounds the events in a report.
const quotaEventsShown = 100

// Report is what a project may use and has used.
type Report struct {
	ProjectID models.ProjectID
	Plan      models.Plan
	// Start and End are of the month.
	Start, End time.Time
	Uses       map[models.Quota]models.QuotaUse
	// Events are the thresholds of this month, the latest first, up to 100.
	Events []models.QuotaEvent
}

// Report returns what a project may use and has used. Rooms and participants count
// if they are open now and, under a limit, if a slot is reserved for them.
func (s *Limits) Report(ctx context.Context, actor *models.Principal, asked models.ProjectID) (Report, error) {
	id, err := s.c.Usage.Project(ctx, actor, asked)
	if err != nil {
		return Report{}, err
	}
	project, err := s.c.Projects.Get(ctx, actor.Tenant(), id)
	if err != nil {
		return Report{}, err
	}
	return s.ReportOf(ctx, &project)
}

// ReportOf is Report for a project that the caller may read.
func (s *Limits) ReportOf(ctx context.Context, project *models.Project) (Report, error) {
	id := project.ID
	org, err := s.c.Organizations.Get(ctx, models.TenantOf(project.OrgID), project.OrgID)
	if err != nil {
		return Report{}, err
	}
	start := models.WindowMonth.Start(s.c.Now())
	month, err := s.readMonth(ctx, id, start)
	if err != nil {
		return Report{}, err
	}
	report := Report{ProjectID: id, Plan: org.Plan, Start: start, End: models.WindowMonth.Next(start),
		Uses: map[models.Quota]models.QuotaUse{}}
	limits := s.c.Plans.For(org.Plan, &project.Limits)
	for _, name := range models.QuotaNames() {
		use := models.QuotaUse{Quota: name, Limit: limits.Of(name)}
		var c claim
		switch name {
		case models.QuotaParticipantMinutes, models.QuotaEgressMinutes:
			use.Used, use.Reset = month.of(name, &limits), report.End
		case models.QuotaConcurrentParticipants:
			c = s.participant(id, &limits, models.MeterParticipantSeconds, "", "")
		case models.QuotaConcurrentAgents:
			if use.Limit > 0 { // else they count as participants
				c = s.participant(id, &limits, models.MeterAgentSeconds, "", "")
			}
		case models.QuotaRooms:
			c = s.room(id, use.Limit, "", "")
		case models.QuotaConcurrentEgresses:
			n, err := s.c.Egresses.CountOpen(ctx, id, slotsRead)
			if err != nil {
				return Report{}, err
			}
			use.Used = float64(n)
		case models.QuotaConcurrentIngresses:
			n, err := s.c.Ingresses.CountOpen(ctx, id, slotsRead)
			if err != nil {
				return Report{}, err
			}
			use.Used = float64(n)
		case models.QuotaProjects:
			c = s.project(org.ID, use.Limit, "")
		}
		if c.present != nil {
			if err := s.count(ctx, c, &use); err != nil {
				return Report{}, err
			}
		}
		report.Uses[name] = use
	}
	report.Events, err = s.c.Events.Since(ctx, []string{string(id), string(org.ID)}, start, quotaEventsShown)
	return report, err
}

// count fills in how many sessions are open and slots reserved. Without a limit
// there are no slots, so only open sessions count.
func (s *Limits) count(ctx context.Context, c claim, use *models.QuotaUse) error {
	if c.limit == 0 {
		there, err := c.present(ctx)
		use.Used = float64(len(there))
		return err
	}
	taken, err := s.slots.Count(ctx, c)
	use.Used, use.Reserved = float64(taken.used), taken.reserved
	return err
}
