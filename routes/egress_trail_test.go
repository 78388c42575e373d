package routes_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"

	"pulse-control-plane/database"
	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
)

// starts gives the entries of started egresses that are in the trail, newest first.
func (s *server) starts(org string) []audit.Line {
	s.t.Helper()
	return slices.DeleteFunc(s.trailOf(org), func(e audit.Line) bool { return e.Action != "egress.started" })
}

// list gives a page of the egresses of a project.
func (s *server) list(who with) []handlers.EgressInfo {
	s.t.Helper()
	return read[handlers.List[handlers.EgressInfo]](s.do(http.MethodGet, egresses, nil, who).want(http.StatusOK)).Items
}

// asking counts the records that still say who asked.
func (s *server) asking() (n int) {
	s.t.Helper()
	store := database.NewEgresses(s.engine)
	open, err := store.Open(s.t.Context(), "", database.MaxBatch)
	if err != nil {
		s.t.Fatal(err)
	}
	closed, err := store.Asking(s.t.Context(), database.MaxBatch)
	if err != nil {
		s.t.Fatal(err)
	}
	n = len(closed)
	for i := range open {
		if open[i].Asked != nil {
			n++
		}
	}
	return n
}

// A start writes its record, its entry, and its record again.
func TestEveryStartThatLiveKitWasAskedForIsInTheTrailOnceWhereverItsProcessDies(t *testing.T) {
	file := map[string]any{"type": "room_composite", "room_name": "hall", "outputs": []any{map[string]any{"kind": "file"}}}
	for name, dies := range map[string]func(s *server){
		"before its record": func(s *server) { s.crash.dieBefore("egresses", 1) },
		"after its record":  func(s *server) { s.crash.loseAnswerOf(1, true) },
		"when LiveKit has answered": func(s *server) {
			s.livekit.egress.started = func(*livekit.EgressInfo) { s.crash.dieBefore("egresses", 1); s.crash.refuse("audit_logs") }
		},
		"before its entry":                   func(s *server) { s.crash.dieBefore("audit_logs", 1) },
		"before its record is written again": func(s *server) { s.crash.dieBefore("egresses", 2) },
		"after the second write":             func(s *server) { s.crash.loseAnswerOf(2, true) },
		"after the third write":              func(s *server) { s.crash.loseAnswerOf(3, true) },
		"never":                              func(*server) {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			ada := s.tenant("ada")
			dies(s)
			answer := s.do(http.MethodPost, egresses+"/start", file, ada.asOwn)
			s.crash.revive()
			s.crash.refuse("")
			s.livekit.egress.started = nil
			if started := len(s.livekit.egress.all); (answer.status == http.StatusCreated) != (started == 1) {
				t.Errorf("LiveKit started %d, the answer is %d: %s", started, answer.status, answer.body)
			}
			if n := len(s.starts(ada.org)); name == "never" && n != 1 {
				t.Errorf("it was acknowledged with %d entries", n)
			}
			next := s.another()
			next.compare()
			next.clock.Advance(time.Minute)
			next.compare()
			got, records, succeeded := next.starts(ada.org), next.list(ada.asOwn), 0
			if len(got) != len(records) {
				t.Errorf("%d records, the trail has %d entries: %+v", len(records), len(got), got)
			}
			for _, e := range got {
				if e.Outcome == "success" {
					succeeded++
				}
				if e.Actor.Kind != "server_key" || e.Actor.ID == "" || e.RequestID == "" {
					t.Errorf("the entry is %+v", e)
				}
			}
			if started := len(s.livekit.egress.all); succeeded != started {
				t.Errorf("LiveKit started %d, %d entries say so: %+v", started, succeeded, got)
			}
			if n := next.asking(); n > 0 {
				t.Errorf("%d records still say who asked", n)
			}
			if check := next.do(http.MethodGet, "/v1/audit-logs/verify?org_id="+ada.org, nil, asOperator()).want(http.StatusOK); !read[handlers.AuditCheck](check).Valid {
				t.Errorf("the trail: %s", check.body)
			}
		})
	}
}

func TestAStartWhoseOutcomeStaysUnknownIsInTheTrailAsPendingThoughItsClusterIsAway(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.livekit.egress.started = func(*livekit.EgressInfo) { s.engine.away.Store(true) }
	s.do(http.MethodPost, egresses+"/start", map[string]any{"type": "room_composite", "room_name": "hall", "outputs": []any{map[string]any{"kind": "file"}}}, ada.asOwn).want(http.StatusCreated)
	s.engine.away.Store(false)
	s.livekit.egress.fails = errLiveKitAway
	s.clock.Advance(time.Minute)
	for range 2 {
		if err := s.Egresses.Compare(t.Context()); err == nil {
			t.Error("a cluster that is away was compared")
		}
	}
	if got := s.starts(ada.org); len(got) != 1 || got[0].Outcome != "pending" || got[0].Actor.ID == "" {
		t.Errorf("the trail has %+v", got)
	}
}

func TestTheFirstStateAfterAStartTakesAwayWhoAskedAndWritesNoSecondEntry(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.livekit.egress.starting = true
	s.records(ada.asOwn)
	if s.asking() != 1 {
		t.Error("the start wrote its record once more")
	}
	writes := s.engine.writes.Load()
	s.tellsEgress("egress_updated", "EG_1", func(info *livekit.EgressInfo) {
		info.Status, info.StartedAt = livekit.EgressStatus_EGRESS_ACTIVE, s.clock.Now().UnixNano()
	})
	if n := len(s.starts(ada.org)); s.asking() != 0 || n != 1 {
		t.Errorf("%d records still say who asked, %d entries, %d writes", s.asking(), n, s.engine.writes.Load()-writes)
	}
}

func TestAStartThatIsSentAgainAfterACrashIsAcknowledgedWithItsEntryAndNotStartedTwice(t *testing.T) {
	file := map[string]any{"type": "room_composite", "room_name": "hall", "outputs": []any{map[string]any{"kind": "file"}}}
	for nth, outcome := range map[int]string{1: "pending", 2: "success", 3: "success"} { // died after its nth write, the first of which is the key's
		s := newServer(t)
		ada := s.tenant("ada")
		s.crash.loseAnswerOf(nth+1, true)
		first := s.do(http.MethodPost, egresses+"/start", file, ada.asOwn, again("k"))
		if runs := len(s.livekit.egress.all) == 1; runs != (first.status == http.StatusCreated) || !runs && first.status != http.StatusServiceUnavailable {
			t.Errorf("after write %d: it runs: %v, the answer is %d", nth, runs, first.status)
		}
		s.crash.revive()
		next := s.another()
		next.clock.Advance(2 * time.Minute)
		next.do(http.MethodPost, egresses+"/start", file, ada.asOwn, again("k")).want(http.StatusCreated)
		got := next.starts(ada.org)
		if len(got) != 1 || string(got[0].Outcome) != outcome || got[0].Actor.ID == "" || len(s.livekit.egress.all) > 1 {
			t.Errorf("after write %d: LiveKit started %d, the trail has %+v", nth, len(s.livekit.egress.all), got)
		}
	}
}

func TestAnEgressThatRunsIsAcknowledgedThoughTheDatabaseIsLate(t *testing.T) {
	file := map[string]any{"type": "room_composite", "room_name": "hall", "outputs": []any{map[string]any{"kind": "file"}}}
	for late, c := range map[string]struct {
		becomes, again func(s *server)
		id             string
	}{
		"with its entry":            {func(s *server) { s.crash.refuse("audit_logs") }, func(s *server) { s.crash.refuse("") }, "EG_"},
		"with its record":           {func(s *server) { s.crash.refuse("egresses") }, func(s *server) { s.crash.refuse("") }, "egr_"},
		"with both":                 {func(s *server) { s.engine.away.Store(true) }, func(s *server) { s.engine.away.Store(false) }, "egr_"},
		"with one that ended again": {func(s *server) { s.crash.refuse("audit_logs") }, func(s *server) { s.crash.refuse("") }, "EG_"},
	} {
		t.Run(late, func(t *testing.T) {
			s := newServer(t)
			ada := s.tenant("ada")
			s.livekit.egress.started = func(info *livekit.EgressInfo) {
				if late == "with one that ended again" {
					info.Status, info.EndedAt = livekit.EgressStatus_EGRESS_ABORTED, s.clock.Now().UnixNano()
				}
				c.becomes(s)
			}
			answer := s.do(http.MethodPost, egresses+"/start", file, ada.asOwn).want(http.StatusCreated)
			c.again(s)
			got := read[handlers.EgressInfo](answer)
			if !strings.HasPrefix(string(got.ID), c.id) {
				t.Errorf("the answer names %s", got.ID)
			}
			for range 2 {
				s.compare()
			}
			now := read[handlers.EgressInfo](s.do(http.MethodGet, egresses+"/"+string(got.ID), nil, ada.asOwn).want(http.StatusOK))
			if now.ID != "EG_1" || len(s.list(ada.asOwn)) != 1 || len(s.livekit.egress.all) != 1 {
				t.Errorf("%s became %+v", got.ID, now)
			}
			if entries := s.starts(ada.org); len(entries) != 1 || entries[0].Outcome != "success" || s.asking() != 0 {
				t.Errorf("%d records still say who asked, the trail has %+v", s.asking(), entries)
			}
		})
	}
}

// A replica of an older version closes a record without writing the entry that the
// process that stored it owes.
func TestTheEntryOfAStartIsWrittenThoughItsRecordWasClosedWithoutIt(t *testing.T) {
	file := map[string]any{"type": "room_composite", "room_name": "hall", "outputs": []any{map[string]any{"kind": "file"}}}
	for outcome, closes := range map[string]database.EgressChange{
		"success": {EgressID: new("EG_1"), Status: new(models.EgressComplete)},
		"failure": {Status: new(models.EgressFailed)},
	} {
		s := newServer(t)
		ada := s.tenant("ada")
		s.livekit.egress.started = func(*livekit.EgressInfo) { s.engine.away.Store(true) }
		s.do(http.MethodPost, egresses+"/start", file, ada.asOwn)
		s.engine.away.Store(false)
		store := database.NewEgresses(s.engine)
		open, err := store.Open(t.Context(), "", database.MaxBatch)
		if err != nil || len(open) != 1 || len(s.starts(ada.org)) != 0 {
			t.Fatalf("%v, %v", open, err)
		}
		if _, err := store.Update(t.Context(), &open[0], closes, s.clock.Now()); err != nil {
			t.Fatal(err)
		}
		if s.asking() != 1 {
			t.Fatal("no closed record says who asked")
		}
		s.compare()
		entries := s.starts(ada.org)
		if len(entries) != 1 || string(entries[0].Outcome) != outcome || entries[0].Actor.ID == "" || s.asking() != 0 {
			t.Errorf("%s: %d records still say who asked, the trail has %+v", outcome, s.asking(), entries)
		}
		writes := s.engine.writes.Load()
		if err := s.Egresses.Compare(t.Context()); err != nil || s.engine.writes.Load() != writes {
			t.Errorf("%s: it was written again, %v", outcome, err)
		}
	}
}
