package composition

import (
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/worker"
)

// changesEvery is how often replicas read each other's changes: a change is
// known everywhere within a second.
const changesEvery = 700 * time.Millisecond

// revocationsQuiet is how often revocations are looked for while nothing happens:
// those of a replica that died before it published them are known within it.
const revocationsQuiet = 5 * time.Second

// deletionsEvery is how often deletions of organizations are looked for that a request
// did not complete.
const deletionsEvery = 5 * time.Second

// site is what the workers of this process share.
func (b *builder) site() worker.Site {
	return worker.Site{Lease: b.elections, Owner: b.holder, Log: b.Log, Observer: b.Observer, Tracer: b.Recorder.Tracer(), Activity: b.activity, Now: b.own}
}

// workers declares the background tasks: what a pass does, how often it runs, how
// long it may take and, for tasks of one replica at a time, how long the others
// wait after it died.
func (b *builder) workers() error {
	s := &b.out
	site := b.site()
	flush := func(last time.Duration) worker.Options {
		o := site.Options()
		o.Last = last // what is in memory when the process stops
		o.Rest = 4
		return o
	}
	rested := site.Options()
	rested.Rest = 1
	settle := site.Led(15*time.Second, s.Totals.CatchUp)
	settle.Activity = b.activity
	settle.Rest = 4 // after a long pass the database serves others first
	revocations := site.Quiet(site.Options())
	revocations.Quiet = revocationsQuiet
	changes := site.Options()
	changes.Backoff = worker.Backoff{First: 200 * time.Millisecond, Most: time.Second}
	s.workers = append(s.workers, Worker{"inbox", s.InboxWorker.Run})
	for _, w := range []struct {
		config  worker.Config
		options worker.Options
	}{
		{worker.Config{Name: "key_uses", Pass: worker.Simple(s.KeyAuth.Uses().Flush), Every: 10 * time.Second, Deadline: 10 * time.Second}, flush(5 * time.Second)},
		{worker.Config{Name: "usage_counters", Pass: worker.Simple(s.Counters.Flush), Every: time.Second, Deadline: 10 * time.Second}, flush(5 * time.Second)},
		{worker.Config{Name: "counter_journal", Pass: s.Counters.Recover, Every: time.Minute, Deadline: time.Minute}, site.Quiet(rested)},
		{worker.Config{Name: "usage_totals", Pass: worker.Simple(s.Totals.Settle), Every: time.Second, Deadline: time.Minute}, settle},
		{worker.Config{Name: "reconciliation", Pass: worker.Simple(s.Reconciliation.Compare), Every: b.ReconcileInterval, Deadline: time.Minute}, site.Led(30*time.Second, nil)},
		{worker.Config{Name: "revocations", Pass: worker.Simple(s.Revocations.Refresh), Every: time.Second, Deadline: 10 * time.Second}, revocations},
		{worker.Config{Name: "quotas", Pass: worker.Simple(s.Enforcer.Enforce), Every: 5 * time.Second, Deadline: time.Minute}, site.Led(20*time.Second, nil)},
		{worker.Config{Name: "deletions", Pass: s.Organizations.FinishDeletions, Every: deletionsEvery, Deadline: time.Minute}, site.Quiet(site.Led(20*time.Second, nil))},
		{worker.Config{Name: "clusters", Pass: worker.Simple(s.Clusters.Probe), Every: 10 * time.Second, Deadline: 10 * time.Second}, site.Options()},
		{worker.Config{Name: "changes", Pass: worker.Simple(s.Changes.Exchange), Every: changesEvery, Deadline: 5 * time.Second}, changes},
		{worker.Config{Name: "password_resets", Pass: worker.Simple(s.PasswordResets.Send), Every: 2 * time.Second, Deadline: time.Minute}, site.Quiet(site.Options())},
		{worker.Config{Name: "evictions", Pass: s.Evictions.Work, Every: time.Second, Deadline: time.Minute}, site.Quiet(site.Options())},
	} {
		running, err := worker.New(w.config, w.options)
		if err != nil {
			return err
		}
		switch w.config.Name {
		case "evictions":
			b.evicting = running
		case "revocations":
			b.revoking = running
		case "changes":
			b.exchanging = running
			if b.engine.Exclusive() {
				continue
			}
		}
		s.workers = append(s.workers, Worker{running.Name(), running.Run})
	}
	if err := b.egressWorkers(site); err != nil {
		return err
	}
	if err := b.eventWorkers(site); err != nil {
		return err
	}
	if err := b.webhooks(site); err != nil {
		return err
	}
	s.Changes.On(models.TopicRevocations, b.revoking.Wake)
	if b.activity != nil {
		s.Changes.On(models.TopicActivity, b.activity.Mark)
	}
	return b.clockWorker(site)
}

// busLog logs faults of the bus of changes.
type busLog struct{ log zerolog.Logger }

func (busLog) Delivered(int, bool) {}

func (l busLog) WasReset() { l.log.Info().Msg("caches: dropped, because changes may have been missed") }

func (l busLog) Panicked(value any, stack []byte) {
	l.log.Error().Interface("panic", value).Bytes("stack", stack).Msg("caches: a subscriber panicked")
}
