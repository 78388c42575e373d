package composition

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulse-control-plane/database"
	"pulse-control-plane/services/data"
	"pulse-control-plane/services/operations"
	"pulse-control-plane/utils/worker"
)

// measureEvery is how often what waits is counted for the metrics.
const measureEvery = 5 * time.Second

// backupDeadline bounds one backup.
const backupDeadline = 6 * time.Hour

// operations builds what the operator asks of the installation, and the metrics of
// the parts that the others do not register.
func (b *builder) operations() (err error) {
	backups, err := b.backups()
	if err != nil {
		return err
	}
	b.out.Operations, err = operations.New(operations.Config{
		LastBackup: backups,
		Inbox:      b.out.Inbox, Totals: b.out.Totals, Evictions: database.NewEvictions(b.engine), Deliveries: database.NewDeliveries(b.engine), Leases: b.leases,
		Holder: b.holder, ClockAhead: b.out.Clock.Ahead, Trail: b.out.Trail, Now: b.Now,
	})
	if err != nil {
		return err
	}
	site := worker.Site{Lease: database.NewElections(b.engine), Owner: b.holder, Log: b.Log, Observer: b.Observer, Tracer: b.Recorder.Tracer()}
	measuring, err := worker.New(worker.Config{Name: "measurements", Pass: worker.Simple(b.out.Operations.Measure), Every: measureEvery, Deadline: 30 * time.Second}, site.Options())
	if err != nil {
		return err
	}
	b.out.workers = append(b.out.workers, Worker{measuring.Name(), measuring.Run})
	b.out.measured = append(b.out.measured, b.out.Operations, b.out.KeyAuth, b.out.LoginSessions, b.out.InboxWorker, b.out.Reconciliation, b.placements, b.sources)
	return nil
}

// backups declares the worker that makes backups, if there is a schedule. It
// gives what is known of the last one.
func (b *builder) backups() (last func() (time.Time, bool), err error) {
	if b.Backups == nil {
		return nil, nil
	}
	schedule, err := data.NewSchedule(*b.Backups)
	if err != nil {
		return nil, err
	}
	site := worker.Site{Log: b.Log, Observer: b.Observer, Tracer: b.Recorder.Tracer()}
	options := site.Options()
	options.Backoff = worker.Backoff{First: 10 * time.Second, Most: 10 * time.Minute}
	w, err := worker.New(worker.Config{Name: "backups", Pass: worker.Simple(schedule.Work), Every: 10 * time.Second, Deadline: backupDeadline}, options)
	if err != nil {
		return nil, err
	}
	b.out.workers = append(b.out.workers, Worker{w.Name(), w.Run})
	b.out.measured = append(b.out.measured, schedule)
	return func() (time.Time, bool) { return schedule.Last(), true }, nil
}

// measured has metrics.
type measured interface {
	Register(registry prometheus.Registerer)
}
