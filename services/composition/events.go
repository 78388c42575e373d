package composition

import (
	"context"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/events"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/bus"
	"pulse-control-plane/utils/worker"
)

// telling is the step of the inbox that stores the events for tenants that follow from LiveKit's.
type telling struct{ sources *events.Sources }

// Consume stores the events of a batch.
func (t telling) Consume(ctx context.Context, b *metering.Batch) error {
	return t.sources.Take(ctx, b.Events)
}

// tenantEvents builds the log of events, what writes to it and what reads it.
func (b *builder) tenantEvents() (err error) {
	b.out.EventLog, err = events.NewLog(events.LogConfig{
		Events: database.NewEvents(b.engine), Sequences: database.NewSequences(b.engine), Now: b.Now,
	})
	if err != nil {
		return err
	}
	b.out.EventTail = events.NewTail(b.out.EventLog, func() { b.tailing.Wake() })
	b.sources, err = events.NewSources(events.SourcesConfig{Log: b.out.EventLog, Projects: b.projects, Keys: b.keys, Now: b.Now})
	if err != nil {
		return err
	}
	outcomes, err := events.NewOutcomes(events.OutcomesConfig{
		Trail: b.auditLogs, Projects: b.projects, Keys: b.keys, Organizations: b.organizations, Users: b.users,
		Revocations: database.NewRevocations(b.engine), Fields: tenancy.ProjectFields,
	})
	if err != nil {
		return err
	}
	b.owed, err = events.NewOwed(events.OwedConfig{
		Log: b.out.EventLog, Trail: b.auditLogs, Made: outcomes.Made, Exclusive: b.engine.Exclusive(),
		Wake: func() { b.owedSoon.Wake() }, Now: b.Now,
	})
	if err != nil {
		return err
	}
	b.out.OwnEvents = b.owed
	b.out.Events, err = events.NewFeed(events.FeedConfig{
		Events: database.NewEvents(b.engine), LiveKit: b.events, Projects: b.projects, Tail: b.out.EventTail, Cursors: b.cursors, Settle: b.owed.Settle,
	})
	if err != nil {
		return err
	}
	_, err = b.out.Changes.Subscribe(bus.Subscriber[models.Change]{Changed: b.out.Events.Changed, Reset: b.out.Events.Reset})
	return err
}

// eventWorkers declares the background tasks of events.
func (b *builder) eventWorkers(site worker.Site) (err error) {
	options := site.Options()
	options.Backoff = worker.Backoff{First: 100 * time.Millisecond, Most: 2 * time.Second}
	b.tailing, err = worker.New(worker.Config{
		Name: "events", Pass: b.out.EventTail.Pass, Every: events.TailInterval, Deadline: 10 * time.Second,
	}, site.Quiet(options))
	if err != nil {
		return err
	}
	expiring, err := worker.New(worker.Config{
		Name: "expiring_keys", Pass: worker.Simple(b.sources.Expiring), Every: events.ExpiringInterval, Deadline: time.Minute,
	}, site.Led(30*time.Second, nil))
	if err != nil {
		return err
	}
	last := options
	last.Last = 5 * time.Second // what was changed until the process stops
	b.owedSoon, err = worker.New(worker.Config{
		Name: "own_events", Pass: b.owed.Pass, Every: events.OwedInterval, Deadline: 10 * time.Second,
	}, last)
	if err != nil {
		return err
	}
	sweeping, err := worker.New(worker.Config{
		Name: "own_events_sweep", Pass: worker.Simple(b.owed.Sweep), Every: events.SweepInterval, Deadline: time.Minute,
	}, site.Led(15*time.Second, nil))
	if err != nil {
		return err
	}
	for _, w := range []*worker.Worker{b.tailing, expiring, b.owedSoon, sweeping} {
		b.out.workers = append(b.out.workers, Worker{w.Name(), w.Run})
	}
	return nil
}

// owing passes changes on to what is built after the audit trail.
type owing struct{ b *builder }

// Heard reports whether tenants are informed of changes with an action.
func (o owing) Heard(action string) bool { return o.b.owed.Heard(action) }

// Made has the event of a change stored.
func (o owing) Made(entry *models.AuditEntry) { o.b.owed.Made(entry) }
