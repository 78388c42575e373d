package data_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"pulse-control-plane/e2e/harness"
)

const (
	drillPeople = 3000
	drillRate   = 1000 // events a second
	drillWithin = 3 * time.Minute
)

// ledger is what the sender knows of the events.
type ledger struct {
	mu          sync.Mutex
	sent, acked map[string]bool
}

func (l *ledger) note(in map[string]bool, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in[id] = true
}

func (l *ledger) copy(of map[string]bool) map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]bool, len(of))
	for id := range of {
		out[id] = true
	}
	return out
}

// deliver sends every event when it is due, at drillRate, whether or not those before were answered.
func (l *ledger) deliver(ctx context.Context, url string, all []webhook) error {
	const senders = 16
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	defer client.CloseIdleConnections()
	next, failed := make(chan webhook, len(all)), make(chan error, senders)
	go func() {
		defer close(next)
		began := time.Now()
		for i, w := range all {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(began.Add(time.Duration(i) * time.Second / drillRate))):
			}
			next <- w
		}
	}()
	for range senders {
		go func() {
			for w := range next {
				l.note(l.sent, w.id)
				if err := w.send(ctx, client, url, noLiveKit()); err != nil {
					failed <- err
					return
				}
				l.note(l.acked, w.id)
			}
			failed <- nil
		}()
	}
	for range senders {
		if err := <-failed; err != nil {
			return err
		}
	}
	return ctx.Err()
}

// stored reads the ids of the events in a database that no server has open.
func stored(t *testing.T, path string) map[string]bool {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT _id FROM livekit_events")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	ids := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids[id] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return ids
}

// TestABackupMadeWhileEventsComeInIsRestoredElsewhereWithTheTotalsOfItsMoment is the restore drill.
func TestABackupMadeWhileEventsComeInIsRestoredElsewhereWithTheTotalsOfItsMoment(t *testing.T) {
	source := start(t, "", nil)
	a, hour := signUp(t, source.API(), "drill"), hoursAgo(5)
	var all []webhook
	for person := range drillPeople + drillRate {
		if person < drillPeople {
			all = append(all, joined(a.project.ID(), hour, person))
		}
		if person >= drillRate {
			all = append(all, left(a.project.ID(), hour, person-drillRate))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), drillWithin)
	defer cancel()
	l := &ledger{sent: map[string]bool{}, acked: map[string]bool{}}
	delivered := make(chan error, 1)
	began := time.Now()
	go func() { delivered <- l.deliver(ctx, source.URL, all) }()
	harness.Eventually(t, drillWithin, "a third of the events", func() error {
		if n := len(l.copy(l.acked)); n < len(all)/3 {
			return fmt.Errorf("%d events", n)
		}
		return nil
	})
	file := filepath.Join(t.TempDir(), "pulse.backup")
	before := l.copy(l.acked)
	command(t, source, nil, 0, "backup", file)
	after := l.copy(l.sent)
	if err := <-delivered; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events in %v; %d were acknowledged before the backup, %d sent when it was complete", len(all), time.Since(began), len(before), len(after))

	if out, _ := command(t, source, nil, 0, "check", file); out != "ok\n" {
		t.Errorf("the check of the backup says %q", out)
	}
	elsewhere := map[string]string{"DATA_DIR": t.TempDir()}
	out, _ := command(t, source, elsewhere, 0, "restore", file)
	for _, name := range []string{"DATA_KEY", "API_KEY_PEPPER", "JWT_SECRET"} {
		if !strings.Contains(out, name+": not set; bring") {
			t.Errorf("the restore does not name %s:\n%s", name, out)
		}
	}
	database := filepath.Join(elsewhere["DATA_DIR"], "pulse.db")
	there := stored(t, database)
	for id := range before {
		if !there[id] {
			t.Fatalf("%s was acknowledged before the backup and is not in it", id)
		}
	}
	for id := range there {
		if !after[id] {
			t.Fatalf("%s is in the backup, but was sent after it", id)
		}
	}
	if len(there) == len(all) {
		t.Error("the backup was made after the last event: the drill proves nothing")
	}

	// Without the secrets a start is refused, and with them it serves the totals of the backup's moment.
	_, errs := command(t, source, map[string]string{"DATA_DIR": elsewhere["DATA_DIR"], "PORT": "0"}, 78, "serve")
	for _, name := range []string{"DATA_KEY", "API_KEY_PEPPER", "JWT_SECRET"} {
		if !strings.Contains(errs, name) {
			t.Errorf("the refused start does not name %s:\n%s", name, errs)
		}
	}
	secrets, err := os.ReadFile(filepath.Join(source.DataDir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(elsewhere["DATA_DIR"], "secrets.json"), secrets, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _ := command(t, source, elsewhere, 0, "check"); out != "ok\n" {
		t.Errorf("the check of the restored database says %q", out)
	}
	restored := start(t, elsewhere["DATA_DIR"], nil)
	harness.Eventually(t, drillWithin, "the events of the backup are processed", func() error { return worked(t.Context(), restored.API()) })
	want := 0.0
	for person := range drillPeople {
		from := hour.Add(30*time.Minute + time.Second/2 - stay)
		switch {
		case there[left(a.project.ID(), hour, person).id]:
			want += stay.Seconds()
		case there[joined(a.project.ID(), hour, person).id]:
			want += hour.Add(time.Hour).Sub(from).Seconds() // still in the room, as far as the backup knows
		}
	}
	if got, err := participantSeconds(t.Context(), restored.API(), a.project, hour); err != nil || got != want {
		t.Errorf("%v participant seconds, %v; the events in the backup say %v", got, err, want)
	}
	if err := restored.Stop(); err != nil {
		t.Fatal(err)
	}
	if out, _ := command(t, source, elsewhere, 0, "check"); out != "ok\n" {
		t.Errorf("after it served, the check says %q", out)
	}
}

func TestTheServerBacksItselfUpOnScheduleAndShowsIt(t *testing.T) {
	pulse := start(t, "", map[string]string{"BACKUP_SCHEDULE": "@hourly"})
	var last time.Time
	harness.Eventually(t, time.Minute, "the first backup", func() error {
		o, err := readOperations(t.Context(), pulse.API())
		if err == nil && (!o.Backups.Enabled || o.Backups.LastSuccessAt == nil) {
			err = fmt.Errorf("backups are %+v", o.Backups)
		} else if err == nil {
			last = *o.Backups.LastSuccessAt
		}
		return err
	})
	made, err := filepath.Glob(filepath.Join(pulse.DataDir, "backups", "pulse-*.tar"))
	if err != nil || len(made) != 1 || filepath.Base(made[0]) != "pulse-"+last.Format("20060102T150405Z")+".tar" {
		t.Fatalf("backups %v, %v; the last was made at %v", made, err, last)
	}
	if out, _ := command(t, pulse, nil, 0, "check", made[0]); out != "ok\n" {
		t.Errorf("its check says %q", out)
	}
	response, err := http.Get(pulse.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(string(text), "\npulse_backup_last_success_timestamp_seconds ")
	line, _, _ := strings.Cut(value, "\n")
	if at, err := strconv.ParseFloat(line, 64); err != nil || int64(at) != last.Unix() {
		t.Errorf("the metric of the last backup is %q, want %d", line, last.Unix())
	}
}
