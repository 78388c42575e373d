package overview

import (
	"context"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/utils/required"
)

const (
	// MaxProjects bounds the projects of one answer: the newest.
	MaxProjects = 100
	// freshFor is how old an answer may be: pages ask every few seconds, and
	// each of several tabs does.
	freshFor = 3 * time.Second
	// kept is how many projects' answers are remembered.
	kept = 10_000
	// atOnce bounds the projects that are read at the same time.
	atOnce = 8
	// NearPercent is how much of a limit must be used to be mentioned.
	NearPercent = 80
	hours       = 24
	keysRead    = 100
	egressRead  = 1000
	metersInAll = 20
)

// Project is what is going on in one project.
type Project struct {
	ID           models.ProjectID
	Name, Region string
	// Rooms, Participants (people, without reservations) and Egresses are open
	// now.
	Rooms, Participants, Egresses int64
	// Near are the quotas of which NearPercent or more is used.
	Near []models.QuotaUse
	// Failing are the webhook endpoints whose latest attempt failed, or that Pulse
	// disabled.
	Failing []models.EndpointID
	// LastEventAt, KeyUsedAt and FirstSessionAt are zero if there is none yet.
	LastEventAt, KeyUsedAt, FirstSessionAt time.Time
	// Hourly are the participant seconds of the last 24 hours, the latest last,
	// of sessions that ended.
	Hourly []float64
}

// Service answers for organizations.
type Service struct {
	c    Config
	kept *lru.Cache[models.ProjectID, answer]
}

type answer struct {
	at      time.Time
	project Project
}

// Config of New; every field is required.
type Config struct {
	Projects      *database.Projects
	Organizations *database.Organizations
	Sessions      *database.UsageSessions
	Totals        *database.UsageTotals
	Keys          *database.APIKeys
	Endpoints     *database.Endpoints
	Limits        *quotas.Limits
	Now           func() time.Time
}

// New builds the service. It fails if a required field is missing.
func New(c Config) (*Service, error) {
	if err := required.Fields(c); err != nil {
		return nil, err
	}
	remembered, err := lru.New[models.ProjectID, answer](kept)
	return &Service{c: c, kept: remembered}, err
}

// Get answers for the caller's organization; the operator names one: invalid
// without a name, not_found for one that is not the caller's.
func (s *Service) Get(ctx context.Context, actor *models.Principal, asked models.OrganizationID) ([]Project, error) {
	if err := actor.May(models.ActionProjectRead); err != nil {
		return nil, err
	}
	org := asked
	switch own, all := actor.Tenant().Organization(); {
	case all && org == "":
		return nil, models.Invalid(models.FieldError{Location: "org_id", Message: "is required of the operator"})
	case !all && org == "":
		org = own
	}
	if _, err := s.c.Organizations.Get(ctx, actor.Tenant(), org); err != nil {
		return nil, err
	}
	now := s.c.Now()
	// Which projects there are is read anew: one that was just made is there.
	projects, err := s.c.Projects.List(ctx, models.TenantOf(org), database.ProjectFilter{}, database.Page{Limit: MaxProjects})
	if err != nil {
		return nil, err
	}
	items := make([]Project, len(projects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range projects {
		group.Go(func() (err error) {
			p := &projects[i]
			known, ok := s.kept.Get(p.ID)
			if !ok || now.Sub(known.at).Abs() >= freshFor {
				if known.project, err = s.project(ctx, p, now); err != nil {
					return err
				}
				known.at = now
				s.kept.Add(p.ID, known)
			}
			known.project.Name, known.project.Region = p.Name, p.Region
			items[i] = known.project
			return nil
		})
	}
	return items, group.Wait()
}

func (s *Service) project(ctx context.Context, p *models.Project, now time.Time) (Project, error) {
	out := Project{ID: p.ID, Name: p.Name, Region: p.Region}
	report, err := s.c.Limits.ReportOf(ctx, p)
	if err != nil {
		return out, err
	}
	people, rooms := report.Uses[models.QuotaConcurrentParticipants], report.Uses[models.QuotaRooms]
	out.Participants, out.Rooms = int64(people.Used)-people.Reserved, int64(rooms.Used)-rooms.Reserved
	for _, name := range models.QuotaNames() {
		if use := report.Uses[name]; name != models.QuotaProjects && use.Limit > 0 && use.Used*100 >= float64(use.Limit)*NearPercent {
			out.Near = append(out.Near, use)
		}
	}
	egresses, err := s.c.Sessions.OpenSubject(ctx, p.ID, models.SubjectEgress, egressRead)
	if err != nil {
		return out, err
	}
	out.Egresses = int64(len(egresses))
	if out.LastEventAt, out.FirstSessionAt, err = s.c.Sessions.Span(ctx, p.ID); err != nil {
		return out, err
	}
	keys, err := s.c.Keys.List(ctx, models.TenantOf(p.OrgID), p.ID, database.Page{Limit: keysRead})
	if err != nil {
		return out, err
	}
	for i := range keys {
		if used := keys[i].LastUsedAt; used != nil && used.After(out.KeyUsedAt) {
			out.KeyUsedAt = *used
		}
	}
	endpoints, err := s.c.Endpoints.Of(ctx, []string{string(p.ID)})
	if err != nil {
		return out, err
	}
	for i := range endpoints {
		if e := &endpoints[i]; e.DisabledReason != "" || e.Enabled && e.FailingSince != nil {
			out.Failing = append(out.Failing, e.ID)
		}
	}
	out.Hourly, err = s.hourly(ctx, p.ID, now)
	return out, err
}

// hourly reads the stored totals of the last 24 hours.
func (s *Service) hourly(ctx context.Context, p models.ProjectID, now time.Time) ([]float64, error) {
	end := models.WindowHour.Next(models.WindowHour.Start(now))
	start := end.Add(-hours * time.Hour)
	totals, err := s.c.Totals.Of(ctx, p, models.WindowHour, start, end, hours*metersInAll)
	out := make([]float64, hours)
	for i := range totals {
		if t := &totals[i]; t.Meter == models.MeterParticipantSeconds {
			out[int(t.Start.Sub(start)/time.Hour)] += t.Value
		}
	}
	return out, err
}
