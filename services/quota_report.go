package services

import (
	"context"
	"time"

	"pulse-control-plane/models"
)

// quotaEventsShown bounds the events in a report.
const quotaEventsShown = 100

// QuotaReport is what a project may use and has used.
type QuotaReport struct {
	ProjectID models.ProjectID
	Plan      models.Plan
	// Start and End are of the month.
	Start, End time.Time
	Uses       []models.QuotaUse
	// Events are the thresholds of this month, the latest first, up to 100.
	Events []models.QuotaEvent
}

// Report tells what a project may use and has used. Rooms and people are
// counted as they are there now; with a limit, those who have a token and have
// not joined count too.
func (s *Quotas) Report(ctx context.Context, actor *models.Principal, asked models.ProjectID) (QuotaReport, error) {
	id, err := s.usage.project(ctx, actor, asked)
	if err != nil {
		return QuotaReport{}, err
	}
	project, err := s.projects.Get(ctx, actor.Tenant(), id)
	if err != nil {
		return QuotaReport{}, err
	}
	org, err := s.orgs.Get(ctx, models.TenantOf(project.OrgID), project.OrgID)
	if err != nil {
		return QuotaReport{}, err
	}
	start := models.WindowMonth.Start(s.o.Now())
	month, err := s.readMonth(ctx, id, start)
	if err != nil {
		return QuotaReport{}, err
	}
	report := QuotaReport{ProjectID: id, Plan: org.Plan, Start: start, End: models.WindowMonth.Next(start)}
	limits := s.o.Plans.For(org.Plan, &project.Limits)
	for _, name := range models.QuotaNames() {
		use := models.QuotaUse{Quota: name, Limit: limits.Of(name)}
		switch name {
		case models.QuotaParticipantMinutes, models.QuotaEgressMinutes:
			use.Used, use.Reset = month.of(name), report.End
		case models.QuotaConcurrentParticipants:
			err = s.count(ctx, id, &use, models.SubjectParticipant, models.ParticipantStandard)
		case models.QuotaRooms:
			err = s.count(ctx, id, &use, models.SubjectRoom, "")
		case models.QuotaProjects:
			var n int64
			n, err = s.projects.CountOf(ctx, org.ID)
			use.Used = float64(n)
		}
		if err != nil {
			return QuotaReport{}, err
		}
		report.Uses = append(report.Uses, use)
	}
	report.Events, err = s.events.Since(ctx, []string{string(id), string(org.ID)}, start, quotaEventsShown)
	return report, err
}

// count fills in how many of a subject are there or promised a place.
func (s *Quotas) count(ctx context.Context, p models.ProjectID, use *models.QuotaUse, subject models.Subject, kind string) error {
	there, err := s.sessions.CountOpen(ctx, p, subject, kind, 0)
	if err != nil {
		return err
	}
	if use.Limit > 0 {
		if _, use.Reserved, err = s.places.store.Count(ctx, string(p), use.Quota, s.o.Now()); err != nil {
			return err
		}
	}
	use.Used = float64(there + use.Reserved)
	return nil
}
