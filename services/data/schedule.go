package data

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulse-control-plane/utils/required"
)

// Schedule makes backups while the server runs. What it knows of earlier ones is
// the names of the files in its folder, so that a restart forgets nothing.
type Schedule struct {
	c ScheduleConfig
	// last is when the newest backup was made, in Unix milliseconds; 0 for none.
	last    atomic.Int64
	started time.Time
}

// ScheduleConfig of NewSchedule; every field is required.
type ScheduleConfig struct {
	Tool
	// Dir is the folder of the backups; it is created if needed.
	Dir string
	// Keep is how many backups are left in it.
	Keep int
	// Next gives when a backup is due after the one of that time; zero for never.
	Next func(time.Time) time.Time
}

const (
	scheduledLayout = "20060102T150405Z"
	scheduledPrefix = "pulse-"
	scheduledSuffix = ".tar"
)

// scheduled are the names of the files that Schedule makes, and deletes; others
// in the folder are not touched.
var scheduled = regexp.MustCompile(`^pulse-(\d{8}T\d{6}Z)\.tar$`)

// NewSchedule fails if a required field is missing.
func NewSchedule(c ScheduleConfig) (*Schedule, error) {
	if err := required.Fields(c); err != nil {
		return nil, err
	}
	s := &Schedule{c: c, started: c.Now()}
	made, err := s.made()
	if err == nil && len(made) > 0 {
		s.last.Store(made[len(made)-1].UnixMilli())
	}
	return s, err
}

// made lists when the backups in the folder were made, oldest first. Times that
// have not come yet, of a clock that was wrong, are left out.
func (s *Schedule) made() ([]time.Time, error) {
	entries, err := os.ReadDir(s.c.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, disk(err)
	}
	var times []time.Time
	for _, entry := range entries {
		name := scheduled.FindStringSubmatch(entry.Name())
		if name == nil || !entry.Type().IsRegular() {
			continue
		}
		if at, err := time.Parse(scheduledLayout, name[1]); err == nil && !at.After(s.c.Now()) {
			times = append(times, at)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times, nil
}

// Work makes a backup if one is due: the first at once, so that a wrong folder
// shows, and one that was missed while the server was down. Then it deletes the
// oldest beyond Keep. It is the pass of a worker.
func (s *Schedule) Work(ctx context.Context) error {
	made, err := s.made()
	if err != nil {
		return err
	}
	now := s.c.Now().UTC()
	if len(made) > 0 {
		if due := s.c.Next(made[len(made)-1]); due.IsZero() || due.After(now) {
			return nil
		}
	}
	if err := os.MkdirAll(s.c.Dir, 0o700); err != nil {
		return disk(err)
	}
	if err := s.sweep(); err != nil {
		return err
	}
	m, err := s.c.Backup(ctx, filepath.Join(s.c.Dir, scheduledPrefix+now.Format(scheduledLayout)+scheduledSuffix))
	if err != nil {
		return err
	}
	s.last.Store(m.CreatedAt.UnixMilli())
	if made, err = s.made(); err != nil {
		return err
	}
	for _, at := range made[:max(0, len(made)-s.c.Keep)] {
		if err := os.Remove(filepath.Join(s.c.Dir, scheduledPrefix+at.Format(scheduledLayout)+scheduledSuffix)); err != nil {
			return disk(err)
		}
	}
	return nil
}

// sweep removes what killed backups of other names left.
func (s *Schedule) sweep() error {
	return removeLeft(filepath.Join(s.c.Dir, "."+scheduledPrefix+"*"+scheduledSuffix+".partial"))
}

// Last gives when the newest backup was made, zero if there is none.
func (s *Schedule) Last() time.Time {
	if at := s.last.Load(); at != 0 {
		return time.UnixMilli(at).UTC()
	}
	return time.Time{}
}

// Register offers the age of the newest backup as metrics.
func (s *Schedule) Register(registry prometheus.Registerer) {
	registry.MustRegister(lastSuccess{s}, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pulse_backup_age_seconds",
		Help: "Age of the newest backup; the time since the server started if there is none.",
	}, func() float64 {
		since := s.Last()
		if since.IsZero() {
			since = s.started
		}
		return max(0, s.c.Now().Sub(since).Seconds())
	}))
}

// lastSuccess is a metric that is absent before the first backup.
type lastSuccess struct{ of *Schedule }

func (l lastSuccess) Describe(to chan<- *prometheus.Desc) { to <- l.desc() }

func (lastSuccess) desc() *prometheus.Desc {
	return prometheus.NewDesc("pulse_backup_last_success_timestamp_seconds", "When the newest backup was made, in Unix seconds; absent without one.", nil, nil)
}

func (l lastSuccess) Collect(to chan<- prometheus.Metric) {
	if at := l.of.Last(); !at.IsZero() {
		to <- prometheus.MustNewConstMetric(l.desc(), prometheus.GaugeValue, float64(at.UnixMilli())/1000)
	}
}
