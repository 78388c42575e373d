package quotas

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/usage"
	"pulse-control-plane/utils/bus"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/times"
)

const (
	// quotasKept is how many projects' quotas, months and recorded thresholds are
	// cached.
	quotasKept = 10_000
	// monthFresh is how old the use of a month may be.
	monthFresh = 5 * time.Second
	// monthWait is how long a request waits for a newer one.
	monthWait = 100 * time.Millisecond
	// DefaultReservationTTL is the longest that a token reserves its slots.
	DefaultReservationTTL = time.Minute
	// joinEventLag is how long a slot is held after its token expired, because the
	// event of a join at the last moment arrives later.
	joinEventLag = 5 * time.Second
	// projectSlotFor is how long a slot is held for a project that is being
	// created; after that the project itself counts.
	projectSlotFor = time.Minute
	// undoTimeout bounds releasing a slot after the caller may have disconnected.
	undoTimeout = 5 * time.Second
)

// Limits knows what each project may use: it refuses tokens and projects over a
// limit and spares evictions that a limit no longer requires. It evicts nothing;
// the Enforcer does.
type Limits struct {
	c     Config
	slots *Slots

	// limits has one entry per project, months one per project and month.
	limits *lookup.Cache[*projectQuotas]
	months *lookup.Cache[*monthUse]
	// told are the ids of thresholds that are known to be recorded.
	told *lru.Cache[string, struct{}]

	refused *prometheus.CounterVec
}

// Config of NewLimits. Every field except Plans and Log is required.
type Config struct {
	Projects      *database.Projects
	Organizations *database.Organizations
	Sessions      *database.UsageSessions
	Events        *database.QuotaEvents
	Slots         *database.Slots
	Egresses      *database.Egresses
	Ingresses     *database.Ingresses
	Usage         *usage.Reports
	// Told is called with each threshold that was reached, maybe more than once.
	Told func(ctx context.Context, e *models.QuotaEvent) error
	// Changes invalidates cached limits.
	Changes *lookup.Changes
	// Exclusive says that no other process changes the database.
	Exclusive bool
	// Plans are the quotas of each plan.
	Plans models.PlanQuotas `optional:"true"`
	// ReservationTTL is the longest that a token reserves its slots; 0 is
	// DefaultReservationTTL.
	ReservationTTL time.Duration
	Log            zerolog.Logger
	Now            func() time.Time
}

// projectQuotas are the quotas of one project.
type projectQuotas struct {
	project models.ProjectID
	org     models.OrganizationID
	quotas  models.Quotas
	// since is when they were last changed.
	since time.Time
	// gone is true for a deleted project: nothing of it may be open.
	gone bool
}

// monthUse is what a project used of a calendar month up to when it was read.
// Agents are apart from other participants.
type monthUse struct{ otherSeconds, agentSeconds, egressSeconds float64 }

// of gives the minutes that count in a monthly quota of a project with quotas.
func (m *monthUse) of(name models.Quota, q *models.Quotas) float64 {
	switch {
	case name == models.QuotaEgressMinutes:
		return minutes(m.egressSeconds)
	case q.InMonth(models.MeterAgentSeconds):
		return minutes(m.otherSeconds + m.agentSeconds)
	}
	return minutes(m.otherSeconds)
}

// NewLimits builds the service. It fails if a required field is missing.
func NewLimits(c Config) (*Limits, error) {
	if err := required.Fields(c); err != nil {
		return nil, err
	}
	if c.ReservationTTL == 0 {
		c.ReservationTTL = DefaultReservationTTL
	}
	s := &Limits{
		c: c,
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pulse_quota_refused_total",
			Help: "Requests refused because a quota was exhausted."}, []string{"quota"}),
	}
	for _, q := range models.QuotaNames() {
		s.refused.WithLabelValues(string(q)) // a rate needs the 0 before the first one
	}
	var err, wrong error
	s.slots, wrong = NewSlots(c.Slots, c.Exclusive, c.Now)
	s.limits, err = lookup.New(lookup.Config[*projectQuotas]{Size: quotasKept, Exact: c.Exclusive, Now: c.Now, Load: s.readLimits})
	wrong = errors.Join(wrong, err)
	s.months, err = lookup.New(lookup.Config[*monthUse]{Size: quotasKept, Fresh: monthFresh, Wait: monthWait, Now: c.Now, Load: s.loadMonth})
	wrong = errors.Join(wrong, err)
	s.told, err = lru.New[string, struct{}](quotasKept)
	if wrong = errors.Join(wrong, err); wrong != nil {
		return nil, wrong
	}
	_, err = c.Changes.Subscribe(bus.Subscriber[models.Change]{Changed: s.changed, Reset: s.limits.Clear})
	return s, err
}

// Slots returns the slots of participants, rooms and projects.
func (s *Limits) Slots() *Slots { return s.slots }

// Register registers the number of refusals and how the caches answered as metrics.
func (s *Limits) Register(registry prometheus.Registerer) {
	registry.MustRegister(s.refused)
	s.limits.Register("limits", registry)
	s.months.Register("months", registry)
}

// changed drops the limits that a change affects.
func (s *Limits) changed(c models.Change) {
	switch {
	case c.ProjectID != "":
		s.limits.Drop(string(c.ProjectID))
	case c.OrgID != "" && c.SessionID == "":
		s.limits.DropWhere(func(q *projectQuotas) bool { return q.org == c.OrgID })
	}
}

func (s *Limits) readLimits(ctx context.Context, id string) (*projectQuotas, error) {
	project, err := s.c.Projects.Named(ctx, models.ProjectID(id))
	if err != nil {
		return nil, err
	}
	if project.IsDeleted {
		return &projectQuotas{project: project.ID, org: project.OrgID, gone: true}, nil
	}
	org, err := s.c.Organizations.Get(ctx, models.TenantOf(project.OrgID), project.OrgID)
	if err != nil {
		return nil, err
	}
	return &projectQuotas{project: project.ID, org: org.ID, quotas: s.c.Plans.For(org.Plan, &project.Limits),
		since: times.Latest(project.LimitsChangedAt, org.PlanChangedAt)}, nil
}

// limitsOf returns the quotas of a project. A project that is not in this database
// has none: another installation may share the cluster.
func (s *Limits) limitsOf(ctx context.Context, p models.ProjectID) (*projectQuotas, error) {
	limits, err := s.limits.Get(ctx, string(p))
	if models.IsKind(err, models.KindNotFound) {
		return &projectQuotas{project: p}, nil
	}
	return limits, err
}

// QuotasOf gives the quotas of a project.
func (s *Limits) QuotasOf(ctx context.Context, p models.ProjectID) (models.Quotas, error) {
	limits, err := s.limitsOf(ctx, p)
	if err != nil {
		return models.Quotas{}, err
	}
	return limits.quotas, nil
}

// month returns a project's usage in the month of a time, a few seconds old.
func (s *Limits) month(ctx context.Context, p models.ProjectID, at time.Time) (*monthUse, error) {
	return s.months.Get(ctx, string(p)+"|"+models.WindowMonth.Start(at).Format(time.DateOnly))
}

func (s *Limits) loadMonth(ctx context.Context, key string) (*monthUse, error) {
	project, month, _ := strings.Cut(key, "|")
	start, err := time.Parse(time.DateOnly, month)
	if err != nil {
		return nil, models.Internal(err)
	}
	return s.readMonth(ctx, models.ProjectID(project), start)
}

func (s *Limits) readMonth(ctx context.Context, p models.ProjectID, start time.Time) (*monthUse, error) {
	report, err := s.c.Usage.Report(ctx, p, usage.Query{
		Start: start, End: models.WindowMonth.Next(start), Window: models.WindowMonth,
	})
	if err != nil {
		return nil, err
	}
	use := &monthUse{agentSeconds: report.Totals[models.MeterAgentSeconds], egressSeconds: report.Totals[models.MeterEgressSeconds]}
	for _, m := range models.ParticipantMeters() {
		if m != models.MeterAgentSeconds {
			use.otherSeconds += report.Totals[m]
		}
	}
	return use, nil
}

// minutes converts seconds to minutes, truncated to thousandths.
func minutes(seconds float64) float64 { return math.Floor(seconds/60*1000) / 1000 }

// Plan is what one plan allows each project, and an organization in projects.
type Plan struct {
	Name   models.Plan
	Quotas models.Quotas
}

// Plans lists the installation's plans.
func (s *Limits) Plans() []Plan {
	out := make([]Plan, 0, len(models.Plans()))
	for _, name := range models.Plans() {
		out = append(out, Plan{name, s.c.Plans[name]})
	}
	return out
}

// TokenRequest is a token that would be minted: for a room of a project, until a
// time. Agent is true if its bearer is one.
type TokenRequest struct {
	RoomName, Identity string
	Agent              bool
	Until              time.Time
}

// AdmitToken holds what a token needs until its bearer joins, at most for the
// ReservationTTL.
// quota_exceeded if there is not enough left. A project without quotas costs
// nothing.
func (s *Limits) AdmitToken(ctx context.Context, actor *models.Principal, ask TokenRequest) error {
	q := &actor.Quotas
	if !q.Bound() {
		return nil
	}
	project, now, until := actor.Project.ID, s.c.Now(), ask.Until.Add(joinEventLag)
	meter := models.MeterParticipantSeconds // or another that counts in the same quotas
	if ask.Agent {
		meter = models.MeterAgentSeconds
	}
	if latest := now.Add(s.c.ReservationTTL); latest.Before(until) {
		until = latest
	}
	if limit := q.ParticipantMinutes; limit > 0 && q.InMonth(meter) {
		month, err := s.month(ctx, project, now)
		if err != nil {
			return err
		}
		used := month.of(models.QuotaParticipantMinutes, q)
		if used >= float64(limit) {
			return s.exceeded(ctx, string(project), models.QuotaUse{Quota: models.QuotaParticipantMinutes, Limit: limit,
				Used: used, Reset: models.WindowMonth.Next(models.WindowMonth.Start(now))}, now)
		}
	}
	room, person := s.room(project, q.Rooms, ask.RoomName, ask.Identity), s.participant(project, q, meter, ask.RoomName, ask.Identity)
	room.client, person.client = actor.Kind == models.CallerClientKey, actor.Kind == models.CallerClientKey
	counted := person.limit > 0
	if counted && q.Rooms > 0 {
		// A refused room must not cost a participant slot.
		if used, err := s.slots.Open(ctx, room); err != nil {
			return s.refusal(ctx, room, used, err, now)
		}
	}
	var made bool
	var people, rooms slotUse
	var err error
	if counted {
		if made, people, err = s.slots.Reserve(ctx, person, until); err != nil {
			return s.refusal(ctx, person, people, err, now)
		}
	}
	if q.Rooms > 0 {
		if _, rooms, err = s.slots.Reserve(ctx, room, until); err != nil {
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

// AdmitRoom reserves a slot for a room that is created without a participant,
// until it is known to be open, at most for the ReservationTTL. quota_exceeded if no
// other room is allowed.
func (s *Limits) AdmitRoom(ctx context.Context, project models.ProjectID, room string) error {
	limits, err := s.limitsOf(ctx, project)
	if err != nil || limits.quotas.Rooms == 0 {
		return err
	}
	now := s.c.Now()
	c := s.room(project, limits.quotas.Rooms, room, "")
	_, used, err := s.slots.Reserve(ctx, c, now.Add(s.c.ReservationTTL))
	if err != nil {
		return s.refusal(ctx, c, used, err, now)
	}
	s.tell(ctx, c.owner, c.quota, c.limit, float64(used.used), now)
	return nil
}

// AdmitProject reserves a slot for a project that is about to be created; the
// caller must call settled with the result. quota_exceeded if the plan does not
// allow another project.
func (s *Limits) AdmitProject(ctx context.Context, org models.OrganizationID, id models.ProjectID) (settled func(error), err error) {
	settled = func(error) {}
	if !s.c.Plans.LimitProjects() {
		return settled, nil
	}
	doc, err := s.c.Organizations.Get(ctx, models.TenantOf(org), org)
	if err != nil {
		return settled, err
	}
	limit := s.c.Plans[doc.Plan].Projects
	if limit == 0 {
		return settled, nil
	}
	c, now := s.project(org, limit, id), s.c.Now()
	_, used, err := s.slots.Reserve(ctx, c, now.Add(projectSlotFor))
	if err != nil {
		return settled, s.refusal(ctx, c, used, err, now)
	}
	s.tell(ctx, c.owner, c.quota, c.limit, float64(used.used), now)
	return func(failed error) {
		// A process that uses the database alone counts the projects themselves;
		// replicas count the taken numbers.
		switch {
		case models.IsKind(failed, models.KindUnavailable) && !s.c.Exclusive:
			return // the project may be there; if not, the reservation expires
		case failed != nil || s.c.Exclusive:
			s.drop(ctx, c)
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if _, err := s.slots.Assign(ctx, c, c.holder); err != nil {
			s.c.Log.Warn().Err(err).Str("owner", c.owner).Msg("quotas: could not release a project's slot; the next read will")
		}
	}, nil
}

// ProjectGone releases the slot of a deleted project.
func (s *Limits) ProjectGone(ctx context.Context, org models.OrganizationID, id models.ProjectID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if s.c.Exclusive || !s.c.Plans.LimitProjects() {
		return // projects have no slots
	}
	c := s.project(org, 0, id)
	if err := errors.Join(s.slots.Vacate(ctx, c, c.holder, time.Time{}), s.slots.Drop(ctx, c.owner, c.quota, c.holder, "")); err != nil {
		s.c.Log.Warn().Err(err).Str("owner", c.owner).Msg("quotas: could not release a project's slot; the next read will")
	}
}

// drop releases an unused reservation; if that fails, it expires.
func (s *Limits) drop(ctx context.Context, c claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if err := s.slots.Drop(ctx, c.owner, c.quota, c.holder, ""); err != nil {
		s.c.Log.Warn().Err(err).Str("owner", c.owner).Str("quota", string(c.quota)).Msg("quotas: could not release a slot; it will expire")
	}
}
