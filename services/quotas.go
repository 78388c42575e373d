package services

import (
	"context"
	"errors"
	"math"
	"pulse-control-plane/utils/times"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

const (
	// quotasKept is how many projects' quotas, months and told thresholds are
	// remembered.
	quotasKept = 10_000
	// newsOfJoin is how long after a token expired its place is held, for the
	// news of somebody who joined with it at the last moment to arrive.
	newsOfJoin = 5 * time.Second
	// projectPlaceFor is how long a place is held for a project that is being
	// made; once it is there it counts by itself.
	projectPlaceFor = time.Minute
	// undoTimeout bounds giving a place back after the caller may have hung up.
	undoTimeout = 5 * time.Second
)

// Quotas hold each project to what it may use: tokens are refused beyond a
// limit, whoever joins beyond it all the same is removed, and a month that is
// used up ends what goes on after a grace.
type Quotas struct {
	places   *Places
	projects *database.Projects
	orgs     *database.Organizations
	sessions *database.UsageSessions
	events   *database.QuotaEvents
	usage    *Usage
	removals *Removals
	o        QuotaOptions

	// limits are by project, months by project and month.
	limits *directory[*projectQuotas]
	months *directory[*monthUse]
	// told are the ids of thresholds known to be in the record.
	told *lru.Cache[string, struct{}]

	refused *prometheus.CounterVec
}

// QuotaOptions of NewQuotas.
type QuotaOptions struct {
	// Plans are the quotas of each plan.
	Plans models.PlanQuotas
	// Grace is how long what goes on may go on once a month is used up.
	Grace time.Duration
	// Holder names this process among replicas; Leases say which does the work.
	Leases *database.Leases
	Holder string
	Log    zerolog.Logger
	Now    func() time.Time
}

// QuotaStores are the repositories quotas are known by.
type QuotaStores struct {
	Projects      *database.Projects
	Organizations *database.Organizations
	Sessions      *database.UsageSessions
	Events        *database.QuotaEvents
}

// projectQuotas are those of one project, as they were read.
type projectQuotas struct {
	project models.ProjectID
	org     models.OrganizationID
	quotas  models.Quotas
	// since is when they were last changed.
	since time.Time
	// gone tells that the project was deleted: nothing of it may be open.
	gone bool
}

// monthUse is what a project used of a calendar month up to when it was read.
type monthUse struct{ participantMinutes, egressMinutes float64 }

func (m *monthUse) of(q models.Quota) float64 {
	if q == models.QuotaEgressMinutes {
		return m.egressMinutes
	}
	return m.participantMinutes
}

// NewQuotas builds the service. It decides which removals that quotas asked
// for are not called for any more.
func NewQuotas(stores QuotaStores, places *Places, usage *Usage, removals *Removals, o QuotaOptions) (*Quotas, error) {
	s := &Quotas{
		places: places, projects: stores.Projects, orgs: stores.Organizations, sessions: stores.Sessions,
		events: stores.Events, usage: usage, removals: removals, o: o,
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pulse_quota_refused_total",
			Help: "Requests that were refused because a quota was used up."}, []string{"quota"}),
	}
	removals.SpareIf(s.spare)
	var wrong, err error
	// Not exact: what another process changes is in force when it is next read.
	s.limits, err = newDirectory(quotasKept, false, o.Now, s.readLimits)
	wrong = errors.Join(wrong, err)
	s.months, err = newDirectory(quotasKept, false, o.Now, s.loadMonth)
	wrong = errors.Join(wrong, err)
	s.told, err = lru.New[string, struct{}](quotasKept)
	return s, errors.Join(wrong, err)
}

// Register offers the number of refusals as a metric.
func (s *Quotas) Register(registry prometheus.Registerer) { registry.MustRegister(s.refused) }

// ForgetProject makes the quotas of a project be read anew when it matters
// next.
func (s *Quotas) ForgetProject(id models.ProjectID) { s.limits.drop(string(id)) }

// ForgetOrganization does so for all its projects.
func (s *Quotas) ForgetOrganization(id models.OrganizationID) {
	s.limits.dropWhere(func(q *projectQuotas) bool { return q.org == id })
}

func (s *Quotas) readLimits(ctx context.Context, id string) (*projectQuotas, error) {
	project, err := s.projects.Named(ctx, models.ProjectID(id))
	if err != nil {
		return nil, err
	}
	if project.IsDeleted {
		return &projectQuotas{project: project.ID, org: project.OrgID, gone: true}, nil
	}
	org, err := s.orgs.Get(ctx, models.TenantOf(project.OrgID), project.OrgID)
	if err != nil {
		return nil, err
	}
	return &projectQuotas{project: project.ID, org: org.ID, quotas: s.o.Plans.For(org.Plan, &project.Limits),
		since: times.Latest(project.LimitsChangedAt, org.PlanChangedAt)}, nil
}

// limitsOf gives the quotas of a project. One that is not in this database has
// none: another installation may share the cluster.
func (s *Quotas) limitsOf(ctx context.Context, p models.ProjectID) (*projectQuotas, error) {
	limits, err := s.limits.get(ctx, string(p))
	if models.IsKind(err, models.KindNotFound) {
		return &projectQuotas{project: p}, nil
	}
	return limits, err
}

// month gives what a project used of the month of a time, up to some seconds
// ago.
func (s *Quotas) month(ctx context.Context, p models.ProjectID, at time.Time) (*monthUse, error) {
	return s.months.get(ctx, string(p)+"|"+models.WindowMonth.Start(at).Format(time.DateOnly))
}

func (s *Quotas) loadMonth(ctx context.Context, key string) (*monthUse, error) {
	project, month, _ := strings.Cut(key, "|")
	start, err := time.Parse(time.DateOnly, month)
	if err != nil {
		return nil, models.Internal(err)
	}
	return s.readMonth(ctx, models.ProjectID(project), start)
}

func (s *Quotas) readMonth(ctx context.Context, p models.ProjectID, start time.Time) (*monthUse, error) {
	report, err := s.usage.report(ctx, p, UsageQuery{
		Start: start, End: models.WindowMonth.Next(start), Window: models.WindowMonth,
	})
	if err != nil {
		return nil, err
	}
	return &monthUse{
		participantMinutes: minutes(report.Totals[models.MeterParticipantSeconds]),
		egressMinutes:      minutes(report.Totals[models.MeterEgressSeconds]),
	}, nil
}

// minutes of seconds, to the thousandth that is full.
func minutes(seconds float64) float64 { return math.Floor(seconds/60*1000) / 1000 }

// TokenAsk is a token that would be minted: for a room of a project, until a
// time. Person tells that it is for somebody who counts as one.
type TokenAsk struct {
	RoomName, Identity string
	Person             bool
	Until              time.Time
}

// AdmitToken holds what a token needs until its bearer joins or it expires.
// quota_exceeded if there is not enough left. A project without quotas costs
// nothing.
func (s *Quotas) AdmitToken(ctx context.Context, actor *models.Principal, ask TokenAsk) error {
	q := &actor.Quotas
	if !q.Bound() {
		return nil
	}
	project, now, until := actor.Project.ID, s.o.Now(), ask.Until.Add(newsOfJoin)
	if limit := q.ParticipantMinutes; limit > 0 && ask.Person {
		month, err := s.month(ctx, project, now)
		if err != nil {
			return err
		}
		if month.participantMinutes >= float64(limit) {
			return s.exceeded(ctx, string(project), models.QuotaUse{Quota: models.QuotaParticipantMinutes, Limit: limit,
				Used: month.participantMinutes, Reset: models.WindowMonth.Next(models.WindowMonth.Start(now))}, now)
		}
	}
	room, person := s.room(project, q.Rooms, ask.RoomName, ask.Identity), s.participant(project, q.ConcurrentParticipants, ask.RoomName, ask.Identity)
	counted := q.ConcurrentParticipants > 0 && ask.Person
	if counted && q.Rooms > 0 {
		// So that a room that is not to be had costs no place.
		if used, err := s.places.Open(ctx, room); err != nil {
			return s.refusal(ctx, room, used, err, now)
		}
	}
	var made bool
	var people, rooms occupancy
	var err error
	if counted {
		if made, people, err = s.places.Reserve(ctx, person, until); err != nil {
			return s.refusal(ctx, person, people, err, now)
		}
	}
	if q.Rooms > 0 {
		if _, rooms, err = s.places.Reserve(ctx, room, until); err != nil {
			if made {
				s.drop(ctx, person)
			}
			return s.refusal(ctx, room, rooms, err, now)
		}
		s.tell(ctx, room.owner, room.quota, room.limit, float64(rooms.used), now)
	}
	if counted {
		s.tell(ctx, person.owner, person.quota, person.limit, float64(people.used), now)
	}
	return nil
}

// AdmitProject holds a place for a project of an organization that is about
// to be made; settled must be called when it is, or is not. quota_exceeded if
// the plan does not allow another.
func (s *Quotas) AdmitProject(ctx context.Context, org models.OrganizationID, id models.ProjectID) (settled func(error), err error) {
	settled = func(error) {}
	if !s.o.Plans.LimitProjects() {
		return settled, nil
	}
	doc, err := s.orgs.Get(ctx, models.TenantOf(org), org)
	if err != nil {
		return settled, err
	}
	limit := s.o.Plans[doc.Plan].Projects
	if limit == 0 {
		return settled, nil
	}
	c, now := s.project(org, limit, id), s.o.Now()
	_, used, err := s.places.Reserve(ctx, c, now.Add(projectPlaceFor))
	if err != nil {
		return settled, s.refusal(ctx, c, used, err, now)
	}
	s.tell(ctx, c.owner, c.quota, c.limit, float64(used.used), now)
	return func(failed error) {
		// Alone with the database one counts the projects themselves; others go
		// by the numbers that are taken.
		if failed != nil || s.places.exact {
			s.drop(ctx, c)
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if _, err := s.places.Occupy(ctx, c, c.holder); err != nil {
			s.o.Log.Warn().Err(err).Str("owner", c.owner).Msg("quotas: a project's place is left to the next reading")
		}
	}, nil
}

// ProjectGone gives back the place of a project that was deleted.
func (s *Quotas) ProjectGone(ctx context.Context, org models.OrganizationID, id models.ProjectID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	s.ForgetProject(id)
	if s.places.exact || !s.o.Plans.LimitProjects() {
		return // there is none
	}
	c := s.project(org, 0, id)
	if err := errors.Join(s.places.Vacate(ctx, c, c.holder, time.Time{}), s.places.Drop(ctx, c.owner, c.quota, c.holder, "")); err != nil {
		s.o.Log.Warn().Err(err).Str("owner", c.owner).Msg("quotas: a project's place is left to the next reading")
	}
}

// drop gives a reservation back that came to nothing; otherwise it expires.
func (s *Quotas) drop(ctx context.Context, c claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if err := s.places.Drop(ctx, c.owner, c.quota, c.holder, ""); err != nil {
		s.o.Log.Warn().Err(err).Str("owner", c.owner).Str("quota", string(c.quota)).Msg("quotas: a place is left to expire")
	}
}

// participant is the claim of somebody to a place in a project's rooms.
func (s *Quotas) participant(p models.ProjectID, limit int64, room, identity string) claim {
	return claim{
		owner: string(p), quota: models.QuotaConcurrentParticipants, limit: limit,
		holder: participantHolder(room, identity), identity: identity,
		present: s.openOf(p, func(session *models.UsageSession) string {
			if session.Meter() != models.MeterParticipantSeconds {
				return ""
			}
			return participantHolder(session.RoomName, session.Identity)
		}),
	}
}

// room is the claim of a room to be open, for somebody who would join it.
func (s *Quotas) room(p models.ProjectID, limit int64, name, identity string) claim {
	return claim{
		owner: string(p), quota: models.QuotaRooms, limit: limit, holder: name, identity: identity,
		present: s.openOf(p, func(session *models.UsageSession) string {
			if session.Subject != models.SubjectRoom {
				return ""
			}
			return session.RoomName
		}),
	}
}

// project is the claim of a project to be one of its organization's.
func (s *Quotas) project(org models.OrganizationID, limit int64, id models.ProjectID) claim {
	return claim{
		owner: string(org), quota: models.QuotaProjects, limit: limit, holder: string(id), reread: true,
		present: func(ctx context.Context) (map[string]attendee, error) {
			there := map[string]attendee{}
			err := s.projects.OfOrganization(ctx, org, placesRead, func(id models.ProjectID) { there[string(id)] = attendee{session: string(id)} })
			return there, err
		},
	}
}

// openOf gives what reads the open sessions of a project by their holder; ""
// holds nothing.
func (s *Quotas) openOf(p models.ProjectID, holder func(*models.UsageSession) string) func(context.Context) (map[string]attendee, error) {
	return func(ctx context.Context) (map[string]attendee, error) {
		there := map[string]attendee{}
		err := s.sessions.EachOpen(ctx, p, placesRead, func(session models.UsageSession) error {
			if name := holder(&session); name != "" {
				there[name] = attendee{session.ID, session.JoinedAt}
			}
			return nil
		})
		return there, err
	}
}
