package composition

import (
	"context"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/services/events"
	"pulse-control-plane/services/metering"
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
	b.sources, err = events.NewSources(events.SourcesConfig{Log: b.out.EventLog, Projects: b.projects, Now: b.Now})
	return err
}

// eventWorkers declares the background tasks of events.
func (b *builder) eventWorkers(site worker.Site) (err error) {
	options := site.Options()
	options.Backoff = worker.Backoff{First: 100 * time.Millisecond, Most: 2 * time.Second}
	b.tailing, err = worker.New(worker.Config{
		Name: "events", Pass: b.out.EventTail.Pass, Every: events.TailInterval, Deadline: 10 * time.Second,
	}, options)
	if err != nil {
		return err
	}
	b.out.workers = append(b.out.workers, Worker{b.tailing.Name(), b.tailing.Run})
	return nil
}
