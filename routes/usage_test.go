package routes_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pulse-control-plane/handlers"
)

// event is a webhook as LiveKit's server writes it.
type event struct {
	id, kind, participant, reason string
	at                            time.Time
	joined                        time.Time
}

// liveKit sends events of a room of a project, signed, and has them worked on.
func (s *server) liveKit(project, room string, made time.Time, events ...event) {
	s.t.Helper()
	s.announce(project, room, made, events...)
	s.work()
}

// announce sends events of a room of a project, signed.
func (s *server) announce(project, room string, made time.Time, events ...event) {
	s.t.Helper()
	for _, e := range events {
		body := map[string]any{"event": e.kind, "id": e.id, "createdAt": fmt.Sprint(e.at.Unix()), "room": map[string]any{
			"sid": "RM_" + room, "name": project + "_" + room, "creationTimeMs": fmt.Sprint(made.UnixMilli()), "turnPassword": "hush"}}
		if e.participant != "" {
			body["participant"] = map[string]any{"sid": "PA_" + e.participant, "identity": e.participant,
				"joinedAtMs": fmt.Sprint(e.joined.UnixMilli()), "disconnectReason": e.reason}
		}
		s.webhook(body).want(http.StatusOK)
	}
}

func (s *server) work() {
	s.t.Helper()
	for {
		n, err := s.InboxWorker.Work(context.Background())
		if err != nil {
			s.t.Fatal(err)
		}
		ended, err := s.Evictions.Work(context.Background())
		if err != nil {
			s.t.Fatal(err)
		}
		if n+ended == 0 {
			return
		}
	}
}

// webhook sends a signed body.
func (s *server) webhook(body any) *answer {
	s.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.do(http.MethodPost, "/v1/webhooks/livekit", data, header("Content-Type", "application/webhook+json"),
		header("Authorization", s.signature(data, clusterSecret)))
}

func (s *server) signature(body []byte, key string) string {
	s.t.Helper()
	sum := sha256.Sum256(body)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": clusterKey, "exp": time.Now().Add(time.Minute).Unix(), "sha256": base64.StdEncoding.EncodeToString(sum[:]),
	}).SignedString([]byte(key))
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// aCall is half an hour of two people, ended an hour ago at a full hour.
func (s *server) aCall(t tenant) (start, end time.Time) {
	end = s.clock.Now().Truncate(time.Hour)
	start = end.Add(-30 * time.Minute)
	s.liveKit(t.project, "daily", start,
		event{id: "EV_" + t.project + "_1", kind: "room_started", at: start},
		event{id: "EV_" + t.project + "_2", kind: "participant_joined", participant: "ann" + t.project, at: start, joined: start},
		event{id: "EV_" + t.project + "_3", kind: "participant_joined", participant: "bob" + t.project, at: start, joined: start.Add(10 * time.Minute)},
		event{id: "EV_" + t.project + "_4", kind: "participant_left", participant: "ann" + t.project, reason: "CLIENT_INITIATED", at: start.Add(20 * time.Minute), joined: start},
		event{id: "EV_" + t.project + "_5", kind: "room_finished", at: end})
	return start, end
}

func usagePath(start, end time.Time, more string) string {
	return "?start=" + start.Format(time.RFC3339) + "&end=" + end.Format(time.RFC3339) + more
}

func TestUsageLeadsFromATotalToTheEventsThatProveIt(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	start, end := s.aCall(mine)
	for who, caller := range map[string]with{"key": mine.asOwn, "person": mine.asPerson, "operator": asOperator()} {
		t.Run(who, func(t *testing.T) {
			s := s.in(t)
			at := usagePath(start, end, "&project_id="+mine.project)
			report := read[handlers.UsageReport](s.do(http.MethodGet, "/v1/usage"+at, nil, caller).want(http.StatusOK))
			// LiveKit tells ends in whole seconds: each is half a second off at most.
			if got := report.Totals.ParticipantSeconds; got < 2399 || got > 2401 {
				t.Errorf("%v participant seconds, not 1200 + 1200", got)
			}
			if got := report.Totals.RoomSeconds; got < 1799 || got > 1801 {
				t.Errorf("%v room seconds", got)
			}
			if report.Totals.PeakParticipants != 2 {
				t.Errorf("a peak of %v", report.Totals.PeakParticipants)
			}
			explained := read[handlers.Explanation](s.do(http.MethodGet, "/v1/usage/explain"+at+"&meter=participant_seconds", nil, caller).want(http.StatusOK))
			sum := 0.0
			for _, fact := range explained.Items {
				sum += fact.Value
				session := read[handlers.UsageSession](s.do(http.MethodGet, "/v1/usage/sessions/"+*fact.SessionID+"?project_id="+mine.project, nil, caller).want(http.StatusOK))
				if !slices.Equal(session.EventIDs, fact.EventIDs) || len(fact.Events) != len(fact.EventIDs) || len(fact.Events) < 2 {
					t.Errorf("%s is proved by %v, its fact by %v", session.ID, session.EventIDs, fact.Events)
				}
			}
			if d := sum - explained.Total; d > .001 || d < -.001 || explained.Total != report.Totals.ParticipantSeconds {
				t.Errorf("addends %v, explained %v, reported %v", sum, explained.Total, report.Totals.ParticipantSeconds)
			}
		})
	}
}

func TestUsageIsTheTenantsOwn(t *testing.T) {
	s := newServer(t)
	mine, other := s.tenant("mine"), s.tenant("other")
	start, end := s.aCall(other)
	at := usagePath(start, end, "")
	report := read[handlers.UsageReport](s.do(http.MethodGet, "/v1/usage"+at, nil, mine.asOwn).want(http.StatusOK))
	if report.Totals.ParticipantSeconds != 0 || report.Totals.RoomSeconds != 0 {
		t.Errorf("somebody else's usage: %+v", report.Totals)
	}
	s.do(http.MethodGet, "/v1/usage/sessions/PA_ann"+other.project, nil, mine.asOwn).refused(http.StatusNotFound, "not_found")
	list := read[handlers.List[handlers.UsageSession]](s.do(http.MethodGet, "/v1/usage/sessions", nil, mine.asOwn).want(http.StatusOK))
	if len(list.Items) != 0 {
		t.Errorf("%d sessions of somebody else", len(list.Items))
	}
	for _, path := range []string{"/v1/usage", "/v1/usage/sessions", "/v1/usage/export", "/v1/usage/sessions/PA_ann" + other.project} {
		for _, caller := range []with{mine.asOwn, mine.asPerson} {
			s.do(http.MethodGet, path+"?project_id="+other.project, nil, caller).refused(http.StatusNotFound, "not_found")
		}
		s.do(http.MethodGet, path, nil, mine.asPerson).refused(http.StatusBadRequest, "invalid_request", "query.project_id")
		s.do(http.MethodGet, path, nil, mine.asKey).refused(http.StatusForbidden, "secret_required")
	}
}

func TestSessionsArePagedTheLatestFirst(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	start := s.clock.Now().Add(-time.Hour).Truncate(time.Second)
	for n := range 5 {
		name := fmt.Sprintf("p%d", n)
		s.liveKit(mine.project, "daily", start, event{id: "EV_" + name, kind: "participant_joined", participant: name,
			at: start, joined: start.Add(time.Duration(n/2) * time.Minute)})
	}
	var seen []string
	for path := "/v1/usage/sessions?limit=2"; ; {
		page := read[handlers.List[handlers.UsageSession]](s.do(http.MethodGet, path, nil, mine.asOwn).want(http.StatusOK))
		for _, session := range page.Items {
			seen = append(seen, session.ID)
			if session.LeftAt != nil || session.DurationSeconds < 3000 {
				t.Errorf("%s is open and lasted %v until %v", session.ID, session.DurationSeconds, session.LeftAt)
			}
		}
		if !page.HasMore {
			break
		}
		path = "/v1/usage/sessions?limit=2&cursor=" + *page.NextCursor
	}
	if !slices.Equal(seen, []string{"PA_p4", "PA_p3", "PA_p2", "PA_p1", "PA_p0"}) {
		t.Errorf("order %v", seen)
	}
	one := read[handlers.List[handlers.UsageSession]](s.do(http.MethodGet, "/v1/usage/sessions?participant_identity=p3", nil, mine.asOwn).want(http.StatusOK))
	if len(one.Items) != 1 || one.Items[0].ID != "PA_p3" {
		t.Errorf("by identity: %+v", one.Items)
	}
}

func TestTheExportHasEveryFactInBothFormats(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	start, end := s.aCall(mine)
	at := usagePath(start, end, "")
	rows, err := csv.NewReader(strings.NewReader(string(s.do(http.MethodGet, "/v1/usage/export"+at, nil, mine.asOwn).want(http.StatusOK).body))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(s.do(http.MethodGet, "/v1/usage/export"+at+"&format=jsonl", nil, mine.asOwn).want(http.StatusOK).body)), "\n")
	if len(rows) != 4 || len(lines) != 3 { // ann, bob and the room; and a header
		t.Fatalf("%d rows of CSV, %d lines of JSON", len(rows), len(lines))
	}
	for i, line := range lines {
		var fact handlers.ExportedFact
		if err := json.Unmarshal([]byte(line), &fact); err != nil {
			t.Fatal(err)
		}
		if rows[i+1][0] != fact.ID || rows[i+1][5] != fact.SessionID || rows[i+1][7] != strings.Join(fact.EventIDs, " ") {
			t.Errorf("%v is %+v", rows[i+1], fact)
		}
	}
}

func TestTokensAndRequestsAreCountedOnceHoweverOftenTheyAreFlushed(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	for range 3 {
		s.do(http.MethodPost, "/v1/tokens/create", nil, mine.asKey).want(http.StatusCreated)
	}
	s.do(http.MethodPost, "/v1/tokens/create", "{", mine.asKey).want(http.StatusBadRequest)
	flush := func() {
		if err := s.Counters.Flush(context.Background()); err != nil && !s.engine.away.Load() {
			t.Fatal(err)
		}
	}
	s.engine.away.Store(true)
	flush()
	s.engine.away.Store(false)
	flush()
	flush()
	report := read[handlers.UsageReport](s.do(http.MethodGet, "/v1/usage?project_id="+mine.project, nil, mine.asPerson).want(http.StatusOK))
	if report.Totals.TokensIssued != 3 || report.Totals.APIRequests != 4 {
		t.Errorf("%v tokens, %v requests", report.Totals.TokensIssued, report.Totals.APIRequests)
	}
}

func TestASignedWebhookIsNeverHeldUpAndAnUnsignedOneIs(t *testing.T) {
	s := newServer(t, func(o *setup) { o.ipPerMinute = 3 })
	for n := range 10 {
		s.webhook(map[string]any{"event": "room_started", "id": fmt.Sprint("EV_", n), "createdAt": "1"}).want(http.StatusOK)
	}
	body := []byte(`{}`)
	last := 0
	for range 5 {
		last = s.do(http.MethodPost, "/v1/webhooks/livekit", body, header("Authorization", s.signature(body, "guessed"))).status
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("guessing is answered %d", last)
	}
}

func TestAWebhookThatCannotBeStoredIsAskedForAgain(t *testing.T) {
	s := newServer(t)
	s.engine.away.Store(true)
	a := s.webhook(map[string]any{"event": "room_started", "id": "EV_1", "createdAt": "1"})
	if a.status < 500 {
		t.Errorf("answered %d: LiveKit takes any 4xx for delivered", a.status)
	}
}

func TestAWebhookOfMoreThan4MiBIsRefused(t *testing.T) {
	s := newServer(t)
	s.webhook(map[string]any{"event": "x", "id": "EV_1", "padding": strings.Repeat("x", 4<<20)}).
		refused(http.StatusRequestEntityTooLarge, "body_too_large")
}

func TestAnOddRangeOfUsageIsRefused(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	for path, location := range map[string]string{
		"?start=yesterday": "query.start", "?window=year": "query.window", "?start=2020-01-01T00:00:00Z": "query.end",
		"?start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z": "query.end",
	} {
		s.do(http.MethodGet, "/v1/usage"+path, nil, mine.asOwn).refused(http.StatusBadRequest, "invalid_request", location)
	}
	s.do(http.MethodGet, "/v1/usage/explain?meter=peak_participants", nil, mine.asOwn).refused(http.StatusBadRequest, "invalid_request", "query.meter")
}
