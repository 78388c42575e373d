package data

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// daily is due at three o'clock.
func daily(t time.Time) time.Time {
	next := t.UTC().Truncate(24 * time.Hour).Add(3 * time.Hour)
	if !next.After(t) {
		next = next.Add(24 * time.Hour)
	}
	return next
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestTheScheduleMakesMissedBackupsOnceAndKeepsTheNewest(t *testing.T) {
	path, dir := store(t, 100), filepath.Join(t.TempDir(), "backups")
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	config := func() ScheduleConfig {
		return ScheduleConfig{Tool: Tool{Path: path, Version: "test", Now: func() time.Time { return now }}, Dir: dir, Keep: 2, Next: daily}
	}
	s, err := NewSchedule(config())
	if err != nil || !s.Last().IsZero() {
		t.Fatal(s.Last(), err)
	}
	for _, step := range []struct {
		at    time.Time
		again bool // a new process
		want  []string
	}{
		{now, false, []string{"pulse-20260501T120000Z.tar"}}, // the first at once
		{now.Add(time.Hour), false, []string{"pulse-20260501T120000Z.tar"}},
		{now.Add(14*time.Hour + 59*time.Minute), true, []string{"pulse-20260501T120000Z.tar"}},
		{now.Add(15 * time.Hour), true, []string{"pulse-20260501T120000Z.tar", "pulse-20260502T030000Z.tar"}},
		{now.Add(15*time.Hour + time.Minute), false, []string{"pulse-20260501T120000Z.tar", "pulse-20260502T030000Z.tar"}},
		// Three days down: one backup, and the oldest goes.
		{now.Add(90 * time.Hour), true, []string{"pulse-20260502T030000Z.tar", "pulse-20260505T060000Z.tar"}},
	} {
		now = step.at
		if step.again {
			if s, err = NewSchedule(config()); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := s.Work(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := files(t, dir); !slices.Equal(got, step.want) {
			t.Fatalf("at %v: %v, want %v", step.at, got, step.want)
		}
		last := step.want[len(step.want)-1]
		if at := "pulse-" + s.Last().Format(scheduledLayout) + ".tar"; at != last {
			t.Errorf("at %v the last one is %s, want %s", step.at, at, last)
		}
		if _, err := unpack(t.Context(), filepath.Join(dir, last), discard{}); err != nil {
			t.Error(err)
		}
	}
}

func TestTheScheduleLeavesOtherFilesAndRemovesWhatAKilledBackupLeft(t *testing.T) {
	path, dir := store(t, 100), t.TempDir()
	others := []string{"notes.txt", "pulse-20260101T000000Z.tar.gz", "pulse-20990101T000000Z.tar"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !killed(t, child(t, "backup", "packed", path, filepath.Join(dir, "pulse-20260101T000000Z.tar"))) {
		t.Fatal("not killed")
	}
	s, err := NewSchedule(ScheduleConfig{Tool: tool(path), Dir: dir, Keep: 1, Next: daily})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := files(t, dir)
	for _, name := range others {
		if !slices.Contains(left, name) {
			t.Errorf("%s is gone", name)
		}
	}
	if slices.ContainsFunc(left, func(name string) bool { return strings.HasSuffix(name, ".partial") }) || len(left) != len(others)+1 {
		t.Errorf("left: %v", left)
	}
}

func TestTheAgeOfTheLastBackupIsAMetricAlsoBeforeTheFirst(t *testing.T) {
	path, dir := store(t, 100), t.TempDir()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s, err := NewSchedule(ScheduleConfig{Tool: Tool{Path: path, Version: "test", Now: func() time.Time { return now }}, Dir: dir, Keep: 1, Next: daily})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	s.Register(registry)
	read := func() map[string]float64 {
		found, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]float64{}
		for _, f := range found {
			values[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
		}
		return values
	}
	now = now.Add(time.Minute)
	if got := read(); len(got) != 1 || got["pulse_backup_age_seconds"] != 60 {
		t.Errorf("before the first: %v", got)
	}
	if err := s.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	made := now
	now = now.Add(time.Hour)
	if got := read(); got["pulse_backup_age_seconds"] != 3600 || got["pulse_backup_last_success_timestamp_seconds"] != float64(made.Unix()) {
		t.Errorf("an hour later: %v", got)
	}
}
