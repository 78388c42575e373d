package services

import (
	"context"
	"errors"
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
	// projectPlaceFor is how long a place is held for a project that is being
	// made; once it is there it counts by itself.
	projectPlaceFor = time.Minute
)

// QuotaCluster is what quotas end on a LiveKit cluster, by qualified names;
// that it has ended already is not an error.
type QuotaCluster interface {
	Remover
	EndRoom(ctx context.Context, room string) error
	StopEgress(ctx context.Context, id string) error
}

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
	cluster  QuotaCluster
	o        QuotaOptions

	// limits are by project, months by project and month.
	limits *directory[*projectQuotas]
	months *directory[*monthUse]
	// told are the ids of thresholds known to be in the record.
	told *lru.Cache[string, struct{}]

	refused, ended *prometheus.CounterVec
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
	plan   models.Plan
	quotas models.Quotas
}

// monthUse is what a project used of a calendar month up to when it was read.
type monthUse struct{ participantMinutes, egressMinutes float64 }

func (m *monthUse) of(q models.Quota) float64 {
	if q == models.QuotaEgressMinutes {
		return m.egressMinutes
	}
	return m.participantMinutes
}

// NewQuotas builds the service.
func NewQuotas(stores QuotaStores, places *Places, usage *Usage, cluster QuotaCluster, o QuotaOptions) (*Quotas, error) {
	s := &Quotas{
		places: places, projects: stores.Projects, orgs: stores.Organizations, sessions: stores.Sessions,
		events: stores.Events, usage: usage, cluster: cluster, o: o,
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pulse_quota_refused_total",
			Help: "Requests that were refused because a quota was used up."}, []string{"quota"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pulse_quota_ended_total",
			Help: "Participants, rooms and egresses that were ended because a quota was used up."}, []string{"quota"}),
	}
	var wrong, err error
	// Not exact: a limit that somebody changes is in force when it is next read.
	s.limits, err = newDirectory(quotasKept, false, o.Now, s.readLimits)
	wrong = errors.Join(wrong, err)
	s.months, err = newDirectory(quotasKept, false, o.Now, s.loadMonth)
	wrong = errors.Join(wrong, err)
	s.told, err = lru.New[string, struct{}](quotasKept)
	return s, errors.Join(wrong, err)
}

// Register offers the numbers of refusals and ends as metrics.
func (s *Quotas) Register(registry prometheus.Registerer) { registry.MustRegister(s.refused, s.ended) }

func (s *Quotas) readLimits(ctx context.Context, id string) (*projectQuotas, error) {
	project, err := s.projects.Named(ctx, models.ProjectID(id))
	if err != nil {
		return nil, err
	}
	org, err := s.orgs.Get(ctx, models.TenantOf(project.OrgID), project.OrgID)
	if err != nil {
		return nil, err
	}
	return &projectQuotas{plan: org.Plan, quotas: s.o.Plans.For(org.Plan, &project.Limits)}, nil
}

// month gives what a project used of this month, up to some seconds ago.
func (s *Quotas) month(ctx context.Context, p models.ProjectID) (*monthUse, error) {
	return s.months.get(ctx, string(p)+"|"+models.WindowMonth.Start(s.o.Now()).Format(time.DateOnly))
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

// minutes of seconds, to the thousandth.
func minutes(seconds float64) float64 {
	return float64(time.Duration(seconds*float64(time.Second))/(time.Minute/1000)) / 1000
}

// limitsOf gives the quotas of a project; one that is gone has none.
func (s *Quotas) limitsOf(ctx context.Context, p models.ProjectID) (*projectQuotas, error) {
	limits, err := s.limits.get(ctx, string(p))
	if models.IsKind(err, models.KindNotFound) {
		return &projectQuotas{}, nil
	}
	return limits, err
}

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
	project := actor.Project.ID
	if limit := q.ParticipantMinutes; limit > 0 && ask.Person {
		month, err := s.month(ctx, project)
		if err != nil {
			return err
		}
		if month.participantMinutes >= float64(limit) {
			return s.exceeded(ctx, string(project), models.QuotaParticipantMinutes, limit, month.participantMinutes)
		}
	}
	made := false
	if limit := q.ConcurrentParticipants; limit > 0 && ask.Person {
		var err error
		if made, err = s.reserve(ctx, s.participant(project, limit, ask.RoomName, ask.Identity), ask.Until); err != nil {
			return err
		}
	}
	if q.Rooms > 0 {
		if _, err := s.reserve(ctx, s.room(project, q.Rooms, ask.RoomName), ask.Until); err != nil {
			if made {
				err = errors.Join(err, s.places.Drop(ctx, string(project), models.QuotaConcurrentParticipants, participantHolder(ask.RoomName, ask.Identity)))
			}
			return err
		}
	}
	return nil
}

// AdmitProject holds a place for a project of an organization that is about
// to be made. quota_exceeded if its plan does not allow another.
func (s *Quotas) AdmitProject(ctx context.Context, org models.OrganizationID, id models.ProjectID) error {
	limited := false
	for _, q := range s.o.Plans {
		limited = limited || q.Projects > 0
	}
	if !limited {
		return nil
	}
	doc, err := s.orgs.Get(ctx, models.TenantOf(org), org)
	if err != nil {
		return err
	}
	limit := s.o.Plans[doc.Plan].Projects
	if limit == 0 {
		return nil
	}
	_, err = s.reserve(ctx, claim{
		owner: string(org), quota: models.QuotaProjects, limit: limit, holder: string(id), reread: true,
		present: func(ctx context.Context) (map[string]string, error) {
			there := map[string]string{}
			err := s.projects.OfOrganization(ctx, org, placesRead, func(id models.ProjectID) { there[string(id)] = string(id) })
			return there, err
		},
	}, s.o.Now().Add(projectPlaceFor))
	return err
}

// reserve holds a place for a claim until a time, and tells of thresholds.
func (s *Quotas) reserve(ctx context.Context, c claim, until time.Time) (made bool, err error) {
	made, used, err := s.places.Reserve(ctx, c, until)
	if errors.Is(err, errFull) {
		return false, s.exceeded(ctx, c.owner, c.quota, c.limit, float64(used))
	}
	if err == nil && made {
		s.tell(ctx, c.owner, c.quota, c.limit, float64(used))
	}
	return made, err
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

// room is the claim of a room to be open.
func (s *Quotas) room(p models.ProjectID, limit int64, name string) claim {
	return claim{
		owner: string(p), quota: models.QuotaRooms, limit: limit, holder: name,
		present: s.openOf(p, func(session *models.UsageSession) string {
			if session.Subject != models.SubjectRoom {
				return ""
			}
			return session.RoomName
		}),
	}
}

// openOf gives what reads the open sessions of a project by their holder; ""
// holds nothing.
func (s *Quotas) openOf(p models.ProjectID, holder func(*models.UsageSession) string) func(context.Context) (map[string]string, error) {
	return func(ctx context.Context) (map[string]string, error) {
		there := map[string]string{}
		err := s.sessions.EachOpen(ctx, p, placesRead, func(session models.UsageSession) error {
			if name := holder(&session); name != "" {
				there[name] = session.ID
			}
			return nil
		})
		return there, err
	}
}
