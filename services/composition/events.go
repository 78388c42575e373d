package composition

import (
	"context"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/events"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/utils/bus"
	"pulse-control-plane/utils/worker"
)

// telling is the step of the inbox that tells tenants of LiveKit's events.
type telling struct{ sources *events.Sources }

// Consume stores what a batch tells.
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
	b.out.Events, err = events.NewFeed(events.FeedConfig{
		Events: database.NewEvents(b.engine), LiveKit: b.events, Projects: b.projects, Tail: b.out.EventTail, Cursors: b.cursors,
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
	b.out.workers = append(b.out.workers, Worker{b.tailing.Name(), b.tailing.Run}, Worker{expiring.Name(), expiring.Run})
	return nil
}

const (
	// madeTries bounds the attempts to record the event of a change, madeAgain is
	// the time between them.
	madeTries = 3
	madeAgain = 200 * time.Millisecond
)

// made records the event of a change. A change whose event cannot be stored stays
// made; the log says so.
func (b *builder) made(ctx context.Context, entry *models.AuditEntry, project models.ProjectID) {
	var err error
	for range madeTries {
		if err = b.sources.Audited(ctx, entry, project); err == nil {
			return
		}
		if !models.IsKind(err, models.KindUnavailable) {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(madeAgain):
		}
	}
	b.Log.Error().Err(err).Str("action", entry.Action).Str("audit_id", string(entry.ID)).Msg("events: the event of a change is lost")
}
