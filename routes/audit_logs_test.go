package routes_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
)

func (s *server) trail(t tenant, query string) []audit.Line {
	s.t.Helper()
	return read[handlers.List[audit.Line]](s.do(http.MethodGet, "/v1/audit-logs?limit=100"+query, nil, t.asPerson).want(200)).Items
}

func (s *server) verify(t tenant) handlers.AuditCheck {
	s.t.Helper()
	return read[handlers.AuditCheck](s.do(http.MethodGet, "/v1/audit-logs/verify", nil, t.asPerson).want(200))
}

// tamper changes an entry behind Pulse's back.
func (s *server) tamper(t tenant, seq int64, update bson.D) {
	s.t.Helper()
	n, err := s.engine.Update(context.Background(), "audit_logs", bson.D{{Key: "org_id", Value: t.org}, {Key: "seq", Value: seq}}, update, database.UpdateOptions{})
	if err != nil || n != 1 {
		s.t.Fatal(n, err)
	}
}

func TestEveryChangeLeavesOneAuditEntryWithActorTargetAndOutcome(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	s.do(http.MethodPatch, "/v1/projects/"+own.project, map[string]any{"name": "after"}, own.asPerson,
		from("203.0.113.9"), header("User-Agent", "walker/1"), header("X-Request-Id", "req-1")).want(200)
	s.do(http.MethodPost, "/v1/projects/"+own.project+"/regenerate-keys", nil, own.asOwn).want(200)
	made := s.newKey(own, nil)
	s.do(http.MethodPatch, own.keyPath(made.Key.ID), `{"scopes":["rooms:read"]}`, own.asPerson).want(200)
	s.do(http.MethodDelete, own.keyPath(made.Key.ID), nil, own.asPerson).want(204)
	s.do(http.MethodPatch, "/v1/organizations/"+own.org, map[string]any{"plan": "pro"}, asOperator()).want(200)
	s.do(http.MethodPost, "/v1/organizations/"+own.org+"/suspend", nil, asOperator()).want(200)
	s.do(http.MethodPost, "/v1/organizations/"+own.org+"/unsuspend", nil, asOperator()).want(200)
	s.do(http.MethodDelete, "/v1/projects/"+own.project, nil, own.asPerson).want(204)

	want := []string{"organization.created", "project.created", "project.updated", "key.rotated", "key.created", "key.updated",
		"key.deleted", "organization.updated", "organization.suspended", "organization.unsuspended", "project.deleted"}
	got := s.trail(own, "")
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i, action := range want {
		e := got[len(got)-1-i]
		if e.Seq != int64(i+1) || e.Action != action || e.Outcome != "success" || e.CompletedAt == nil {
			t.Errorf("entry %d is %+v, want %s", i+1, e, action)
		}
	}
	e := got[len(got)-3]
	if e.IP != "203.0.113.9" || e.UserAgent != "walker/1" || e.RequestID != "req-1" || e.Actor.Kind != "person" || e.Actor.ID != own.user ||
		!strings.HasPrefix(e.Actor.CredentialID, "ses_") || e.Target.ID != own.project ||
		string(e.Before) != `{"name":"acme project"}` || string(e.After) != `{"name":"after"}` {
		t.Errorf("got %+v", e)
	}
	if e := got[3]; e.Actor.Kind != "operator" || string(e.Before) != `{"plan":"free"}` || string(e.After) != `{"plan":"pro"}` {
		t.Errorf("got %+v", e)
	}
	if check := s.verify(own); !check.Valid || check.Entries != int64(len(want)) {
		t.Errorf("got %+v", check)
	}
	if got := s.trail(own, "&action=key.created&actor="+own.user+"&target="+string(made.Key.ID)); len(got) != 1 || got[0].Target.ID != string(made.Key.ID) {
		t.Errorf("got %+v", got)
	}
	all := s.do(http.MethodGet, "/v1/audit-logs/export", nil, own.asPerson).want(200)
	if bytes.Contains(all.body, []byte(own.secret)) || bytes.Contains(all.body, []byte(made.PulseAPISecret)) || bytes.Contains(all.body, []byte(password)) {
		t.Error("a secret stands in the trail")
	}
}

func TestAChangedRemovedOrReorderedEntryIsFound(t *testing.T) {
	set := func(field string, value any) bson.D {
		return bson.D{{Key: "$set", Value: bson.D{{Key: field, Value: value}}}}
	}
	for name, attack := range map[string]func(*server, tenant){
		"changed":       func(s *server, t tenant) { s.tamper(t, 3, set("after", `{"name":"forged"}`)) },
		"actor changed": func(s *server, t tenant) { s.tamper(t, 3, set("actor.id", "usr_x")) },
		"outcome":       func(s *server, t tenant) { s.tamper(t, 3, set("outcome", "failure")) },
		"reordered": func(s *server, t tenant) {
			s.tamper(t, 3, set("seq", 99))
			s.tamper(t, 4, set("seq", 3))
			s.tamper(t, 99, set("seq", 4))
		},
		"removed": func(s *server, t tenant) {
			if _, err := s.engine.Delete(context.Background(), "audit_logs", bson.D{{Key: "org_id", Value: t.org}, {Key: "seq", Value: 3}}, 1); err != nil {
				s.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			own := s.tenant("acme")
			for _, name := range []string{"a", "b", "c", "d"} {
				s.patch(own.project, map[string]any{"name": name})
			}
			if check := s.verify(own); !check.Valid || check.Entries != 6 {
				t.Fatalf("got %+v", check)
			}
			attack(s, own)
			if check := s.verify(own); check.Valid || check.FirstInvalid == nil || *check.FirstInvalid > 4 || *check.FirstInvalid < 3 {
				t.Errorf("got %+v", check)
			}
			export := s.do(http.MethodGet, "/v1/audit-logs/export", nil, own.asPerson).want(200)
			if _, err := audit.VerifyExport(bytes.NewReader(export.body), ""); err == nil {
				t.Error("the export does not show it")
			}
		})
	}
}

func TestAnExportThatWasAlteredIsFound(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	for _, name := range []string{"a", "b", "c"} {
		s.patch(own.project, map[string]any{"name": name})
	}
	export := s.do(http.MethodGet, "/v1/audit-logs/export?format=jsonl", nil, own.asPerson).want(200).body
	lines := strings.SplitAfter(strings.TrimSuffix(string(export), "\n"), "\n")
	report, err := audit.VerifyExport(bytes.NewReader(export), s.verify(own).Head)
	if err != nil || report.Entries != 5 || !report.Whole {
		t.Fatalf("got %+v, %v", report, err)
	}
	for name, altered := range map[string]string{
		"changed":     strings.Replace(string(export), `"name":"b"`, `"name":"x"`, 1),
		"removed":     strings.Join(append(append([]string{}, lines[:2]...), lines[3:]...), ""),
		"first gone":  strings.Join(lines[1:], ""),
		"reordered":   strings.Join([]string{lines[0], lines[2], lines[1], lines[3], lines[4], lines[5]}, ""),
		"cut off":     strings.Join(lines[:4], ""),
		"end removed": strings.Join(append(append([]string{}, lines[:4]...), lines[5]), ""),
		"appended":    string(export) + lines[4],
		"outcome":     strings.Replace(string(export), `"outcome":"success"`, `"outcome":"failure"`, 1),
	} {
		if _, err := audit.VerifyExport(strings.NewReader(altered), ""); err == nil {
			t.Errorf("%s: not found", name)
		}
	}
	if _, err := audit.VerifyExport(bytes.NewReader(export), strings.Repeat("0", 64)); err == nil {
		t.Error("another head was accepted")
	}
	table := s.do(http.MethodGet, "/v1/audit-logs/export?format=csv", nil, own.asPerson).want(200)
	if rows := strings.Count(string(table.body), "\n"); rows != 6 || table.header.Get("Content-Type") != "text/csv; charset=utf-8" {
		t.Errorf("%d rows as %q", rows, table.header.Get("Content-Type"))
	}
}

func TestACrashLeavesAnEntryTooManyNeverOneTooFew(t *testing.T) {
	for name, crash := range map[string]struct {
		collection        string
		nth               int
		entries, projects int
	}{
		"before the entry":                   {"audit_logs", 1, 0, 0},
		"between the entry and the change":   {"api_keys", 1, 1, 0},
		"in the middle of the change":        {"projects", 1, 1, 0},
		"between the change and its outcome": {"audit_logs", 2, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			own := s.tenant("acme")
			entries, projects := len(s.trail(own, "")), s.countProjects(own)
			s.crash.dieBefore(crash.collection, crash.nth)
			s.do(http.MethodPost, "/v1/projects", `{"name":"x"}`, own.asPerson)
			s.crash.revive()
			after := s.another() // the process that died is gone
			got := after.trail(own, "")
			if len(got)-entries != crash.entries || after.countProjects(own)-projects != crash.projects {
				t.Fatalf("%d entries and %d projects more", len(got)-entries, after.countProjects(own)-projects)
			}
			if crash.entries > 0 && got[0].Outcome != "pending" {
				t.Errorf("got %+v", got[0])
			}
			after.newProject(own, "next")
			s.clock.Advance(models.AuditSettled)
			// The entry that stays pending is sealed as such in time.
			after.patch(own.project, map[string]any{"name": "later"})
			check := read[handlers.AuditCheck](after.do(http.MethodGet, "/v1/audit-logs/verify?org_id="+own.org, nil, asOperator()).want(200))
			if !check.Valid {
				t.Errorf("got %+v", check)
			}
			last := read[handlers.List[audit.Line]](after.do(http.MethodGet, "/v1/audit-logs?org_id="+own.org, nil, asOperator()).want(200)).Items[0]
			if len(last.Open) != 0 {
				t.Errorf("still open: %v", last.Open)
			}
		})
	}
}

func TestTwoProcessesWriteOneChainWithoutGaps(t *testing.T) {
	s := newServer(t, func(o *setup) { o.replica = true })
	own := s.tenant("acme")
	second := s.another()
	var all sync.WaitGroup
	for i := range 32 {
		process := []*server{s, second}[i%2]
		all.Go(func() {
			process.do(http.MethodPatch, "/v1/projects/"+own.project, map[string]any{"name": text(i)}, asOperator()).want(200)
		})
	}
	all.Wait()
	// An attempt that a change of the other process came before has an entry too.
	made := 0
	for next := ""; ; {
		page := read[handlers.List[audit.Line]](s.do(http.MethodGet, "/v1/audit-logs?limit=100&action=project.updated&org_id="+own.org+"&cursor="+next, nil, asOperator()).want(200))
		for _, line := range page.Items {
			switch {
			case line.Outcome == "success":
				made++
			case line.Outcome != "failure" || line.Code != "concurrent_change":
				t.Errorf("got %+v", line)
			}
		}
		if page.NextCursor == nil {
			break
		}
		next = *page.NextCursor
	}
	if check := s.verify(own); !check.Valid || check.Entries < 34 || made != 32 {
		t.Errorf("%d changes; got %+v", made, check)
	}
}

func TestConcurrentChangesInOneProcessHaveAnEntryEach(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			s.do(http.MethodPatch, "/v1/projects/"+own.project, map[string]any{"name": text(i)}, asOperator()).want(200)
		})
	}
	all.Wait()
	if check := s.verify(own); !check.Valid || check.Entries != 34 {
		t.Errorf("got %+v", check)
	}
}

func TestTheTrailAddsTwoDurableWritesToAChangeAndEventsFourToAnyNumber(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	s.settle()
	s.clock.Advance(time.Minute)
	s.settle()
	const changes = 20
	before := s.engine.writes.Load()
	for i := range changes {
		s.patch(own.project, map[string]any{"name": text(i)})
	}
	if got := s.engine.writes.Load() - before; got != 3*changes {
		t.Errorf("%d writes, want the changes and two of the trail for each", got)
	}
	before = s.engine.writes.Load()
	s.settle()
	s.clock.Advance(time.Minute)
	s.settle()
	// A number, the events, that they are told of, and how far the log is settled.
	if got := s.engine.writes.Load() - before; got > 4 {
		t.Errorf("%d writes for the events of %d changes", got, changes)
	}
}
