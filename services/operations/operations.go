package operations

import (
	"context"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/services/usage"
	"pulse-control-plane/utils/required"
)

const (
	// Counted bounds each count.
	Counted = 10_000
	// stuck is how many attempts an eviction takes before it counts as dead: the
	// cluster has refused it for minutes. Pulse still retries it.
	stuck = 10
	// MaxRetried bounds how many dead events one request tries again.
	MaxRetried = database.MaxBatch
)

// Service answers the operator.
type Service struct {
	c       Config
	metrics metrics
}

// Config of New. Fields without "optional" in their comment are required.
type Config struct {
	Inbox      *metering.Inbox
	Totals     *usage.Totals
	Evictions  *database.Evictions
	Deliveries *database.Deliveries
	Leases     *database.Leases
	// Compared gives when each cluster was last compared with what is open.
	Compared func(ctx context.Context) (map[string]time.Time, error)
	// Holder is this process's name for leases.
	Holder string
	// ClockAhead is how far this process's clock is ahead of the database's.
	ClockAhead func() time.Duration
	// LastBackup gives when this server's last backup was completed and false if it
	// makes none; optional.
	LastBackup func() (at time.Time, enabled bool) `optional:"true"`
	Trail      *audit.Trail
	Now        func() time.Time
}

// New fails if a required field is missing.
func New(c Config) (*Service, error) {
	if c.LastBackup == nil {
		c.LastBackup = func() (time.Time, bool) { return time.Time{}, false }
	}
	return &Service{c: c, metrics: newMetrics()}, required.Fields(c)
}

// Queue is work that waits. Waiting and Dead are counted up to Counted.
type Queue struct {
	Waiting, Dead int64
	// OldestAge is the age of the oldest that waits, 0 if none does.
	OldestAge time.Duration
}

// Backups is what is known of the backups that this process makes.
type Backups struct {
	Enabled bool
	// LastSuccess is zero before the first one.
	LastSuccess time.Time
}

// Report is the state of the installation.
type Report struct {
	Inbox, Evictions, Deliveries Queue
	// Leases are in order of their names; Holder is this process's name in them.
	Leases  []models.Lease
	Holder  string
	Backups Backups
	// ClockOffset is how far this process's clock is ahead of the database's.
	ClockOffset time.Duration
}

// Report measures the installation. forbidden for anybody but the operator.
func (s *Service) Report(ctx context.Context, actor *models.Principal) (out Report, err error) {
	if err := actor.May(models.ActionOperations); err != nil {
		return out, err
	}
	out.Holder, out.ClockOffset = s.c.Holder, s.c.ClockAhead()
	out.Backups.LastSuccess, out.Backups.Enabled = s.c.LastBackup()
	for _, part := range []func(context.Context, *Report) error{s.inbox, s.evictions, s.deliveries} {
		if err := part(ctx, &out); err != nil {
			return out, err
		}
	}
	out.Leases, err = s.c.Leases.All(ctx)
	return out, err
}

func (s *Service) inbox(ctx context.Context, out *Report) (err error) {
	if out.Inbox.Waiting, err = s.c.Inbox.Backlog(ctx); err != nil {
		return err
	}
	if out.Inbox.Dead, err = s.c.Inbox.Dead(ctx); err != nil {
		return err
	}
	out.Inbox.OldestAge, err = s.c.Inbox.OldestAge(ctx)
	return err
}

func (s *Service) evictions(ctx context.Context, out *Report) (err error) {
	if out.Evictions.Waiting, err = s.c.Evictions.Count(ctx, 0, Counted); err != nil {
		return err
	}
	if out.Evictions.Dead, err = s.c.Evictions.Count(ctx, stuck, Counted); err != nil {
		return err
	}
	oldest, err := s.c.Evictions.Oldest(ctx)
	out.Evictions.OldestAge = s.since(oldest)
	return err
}

func (s *Service) deliveries(ctx context.Context, out *Report) (err error) {
	if out.Deliveries.Waiting, err = s.c.Deliveries.CountIn(ctx, models.DeliveryPending, Counted); err != nil {
		return err
	}
	if out.Deliveries.Dead, err = s.c.Deliveries.CountIn(ctx, models.DeliveryFailed, Counted); err != nil {
		return err
	}
	oldest, err := s.c.Deliveries.Oldest(ctx)
	out.Deliveries.OldestAge = s.since(oldest)
	return err
}

func (s *Service) since(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return max(s.c.Now().Sub(at), 0)
}

// Retried is the outcome of RetryDeadEvents; Remaining is counted up to Counted.
type Retried struct{ Retried, Remaining int64 }

// RetryDeadEvents makes up to limit dead events of LiveKit pending, in order of
// arrival in each shard; limit is in 1..MaxRetried. An event whose body could not be read is
// finished by that, because nothing is left of it to process. Repeating it finds only what is dead
// by then. forbidden for anybody but the operator.
func (s *Service) RetryDeadEvents(ctx context.Context, actor *models.Principal, limit int64) (out Retried, err error) {
	if err := actor.May(models.ActionOperations); err != nil {
		return out, err
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: models.InstallationTrail, Action: "operations.dead_events_retried", Type: "inbox", ID: "livekit_events",
		After: map[string]any{"limit": limit},
	})
	if err != nil {
		return out, err
	}
	defer entry.End(ctx, &err)
	if out.Retried, err = s.c.Inbox.Retry(ctx, limit); err != nil {
		return out, err
	}
	out.Remaining, err = s.c.Inbox.Dead(ctx)
	return out, err
}
