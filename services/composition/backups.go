package composition

import (
	"time"

	"pulse-control-plane/services/data"
	"pulse-control-plane/utils/worker"
)

// BackupSchedule says when and where the server makes backups.
type BackupSchedule = data.ScheduleConfig

// backupDeadline bounds one backup.
const backupDeadline = 6 * time.Hour

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
	options.Backoff = worker.Backoff{First: 10 * time.Second, Most: 2 * time.Minute}
	w, err := worker.New(worker.Config{Name: "backups", Pass: worker.Simple(schedule.Work), Every: 10 * time.Second, Deadline: backupDeadline}, options)
	if err != nil {
		return nil, err
	}
	b.out.workers = append(b.out.workers, Worker{w.Name(), w.Run})
	b.out.measured = append(b.out.measured, schedule)
	return func() (time.Time, bool) { return schedule.Last(), true }, nil
}
