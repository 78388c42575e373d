package routes_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/handlers"
	"pulse-control-plane/services/events"
)

// settle has the log of events read to its end.
func (s *server) settle() {
	s.t.Helper()
	for {
		if _, err := s.OwnEvents.Pass(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		n, err := s.EventTail.Pass(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// listed gives the types of events, latest first.
func (s *server) listed(query string, how with) (types []string, items []handlers.Event) {
	s.t.Helper()
	items = read[handlers.List[handlers.Event]](s.do(http.MethodGet, "/v1/events?"+query, nil, how).want(http.StatusOK)).Items
	for _, e := range items {
		types = append(types, e.Type)
	}
	return types, items
}

func TestEventsOfACallAndOfChangesAreListedUnderTheTenantsNames(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	s.aCall(ada)
	s.settle()
	types, items := s.listed("limit=100", ada.asOwn)
	for _, want := range []string{"project.created", "room.started", "participant.joined", "participant.left", "room.finished"} {
		if !slices.Contains(types, want) {
			t.Errorf("%s is not among %v", want, types)
		}
	}
	for _, e := range items {
		if strings.Contains(string(e.Data), ada.project+"_") {
			t.Errorf("%s names the cluster's room: %s", e.Type, e.Data)
		}
		got := read[handlers.Event](s.do(http.MethodGet, "/v1/events/"+e.ID, nil, ada.asOwn).want(http.StatusOK))
		if got.ID != e.ID || got.Type != e.Type {
			t.Errorf("%+v", got)
		}
		s.do(http.MethodGet, "/v1/events/"+e.ID, nil, eve.asOwn).refused(http.StatusNotFound, "not_found")
		if ofPulse := e.Type == events.ProjectCreated; ofPulse != (e.LiveKitEventID == nil) {
			t.Errorf("livekit_event_id of %s is %v", e.Type, e.LiveKitEventID)
		}
		if e.LiveKitEventID != nil {
			proof := read[handlers.Event](s.do(http.MethodGet, "/v1/events/"+*e.LiveKitEventID, nil, ada.asOwn).want(http.StatusOK))
			if proof.ID != e.ID {
				t.Errorf("%s is shown as %s", *e.LiveKitEventID, proof.ID)
			}
			s.do(http.MethodGet, "/v1/events/"+*e.LiveKitEventID, nil, eve.asOwn).refused(http.StatusNotFound, "not_found")
		}
	}
	if rooms, _ := s.listed("type=room.*", ada.asOwn); len(rooms) == 0 || slices.ContainsFunc(rooms, func(t string) bool { return !strings.HasPrefix(t, "room.") }) {
		t.Errorf("type=room.* lists %v", rooms)
	}
	if joined, _ := s.listed("type=participant.joined&project_id="+ada.project, ada.asPerson); len(joined) == 0 {
		t.Error("a person sees none of their project")
	}
	if all, _ := s.listed("limit=100&org_id="+ada.org, ada.asPerson); len(all) < len(items) {
		t.Errorf("the organization has %d, its project %d", len(all), len(items))
	}
	s.do(http.MethodGet, "/v1/events?org_id="+ada.org, nil, eve.asPerson).refused(http.StatusNotFound, "not_found")
	s.do(http.MethodGet, "/v1/events?type=rooms", nil, ada.asOwn).refused(http.StatusBadRequest, "invalid_request", "query.type")
}

// streaming reads a stream line by line from a real server.
type streaming struct {
	lines  *bufio.Scanner
	status int
	stop   func()
}

func stream(t *testing.T, url string, how with, last string) *streaming {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	how(r)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	out := &streaming{bufio.NewScanner(answer.Body), answer.StatusCode, func() { stop(); answer.Body.Close() }}
	t.Cleanup(out.stop)
	return out
}

// next gives the id of the next event, or a comment.
func (s *streaming) next(t *testing.T) string {
	t.Helper()
	for s.lines.Scan() {
		line := s.lines.Text()
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			return id
		}
		if strings.HasPrefix(line, ":") && line != ": heartbeat" {
			return line
		}
	}
	t.Fatal("the stream ended:", s.lines.Err())
	return ""
}

func TestAStreamSendsEachEventOnceAndResumesWithoutAGap(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	s.settle()
	live := httptest.NewServer(s.handler)
	t.Cleanup(live.Close)
	url := live.URL + "/v1/events/stream"
	reading, foreign := stream(t, url, ada.asOwn, ""), stream(t, url, eve.asOwn, "")
	if first := reading.next(t); first != ": connected" {
		t.Errorf("begins with %q", first)
	}
	foreign.next(t)
	s.aCall(ada)
	s.settle()
	_, items := s.listed("limit=100&type=*", ada.asOwn)
	slices.Reverse(items)
	items = slices.DeleteFunc(items, func(e handlers.Event) bool { return e.Type == events.ProjectCreated })
	var got []string
	for range items {
		got = append(got, reading.next(t))
	}
	for i, e := range items {
		if got[i] != e.ID {
			t.Fatalf("event %d is %s, want %s %s", i, got[i], e.Type, e.ID)
		}
	}
	reading.stop()
	again := stream(t, url+"?type=participant.*", ada.asOwn, items[0].ID)
	again.next(t)
	for _, e := range items[1:] {
		if strings.HasPrefix(e.Type, "participant.") {
			if id := again.next(t); id != e.ID {
				t.Errorf("resumed with %s, want %s", id, e.ID)
			}
		}
	}
	if last := stream(t, url, ada.asOwn, "evt_unknown"); last.status != http.StatusNotFound {
		t.Errorf("an unknown Last-Event-ID answers %d", last.status)
	}
	if other := stream(t, url, eve.asOwn, items[0].ID); other.status != http.StatusNotFound {
		t.Errorf("another tenant's Last-Event-ID answers %d", other.status)
	}
	s.newProject(eve, "second")
	s.settle()
	s.do(http.MethodPatch, "/v1/projects/"+eve.project, map[string]any{"name": "renamed"}, eve.asPerson).want(http.StatusOK)
	s.settle()
	_, theirs := s.listed("type=project.updated", eve.asOwn)
	if id := foreign.next(t); len(theirs) != 1 || id != theirs[0].ID {
		t.Errorf("another tenant's stream told %s", id)
	}
}

func TestStreamsEndWhenTheirKeyDoesAndWhenTheProcessStops(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	live := httptest.NewServer(s.handler)
	t.Cleanup(live.Close)
	key := s.newKey(ada, map[string]any{"name": "reader", "scopes": []string{"usage:read"}})
	byKey := stream(t, live.URL+"/v1/events/stream", asServer(key.PulseAPIKey, key.PulseAPISecret), "")
	byKey.next(t)
	byOwn := stream(t, live.URL+"/v1/events/stream", ada.asOwn, "")
	byOwn.next(t)
	s.do(http.MethodDelete, ada.keyPath(key.Key.ID), nil, ada.asPerson).want(http.StatusNoContent)
	for byKey.lines.Scan() { // ends before its context
	}
	if err := byKey.lines.Err(); err != nil {
		t.Errorf("the stream of a deleted key: %v", err)
	}
	s.Events.Close()
	for byOwn.lines.Scan() {
	}
	if err := byOwn.lines.Err(); err != nil {
		t.Errorf("at the end of the process: %v", err)
	}
}

func TestSessionsAreExportedAsTheyAreListed(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	start, end := s.aCall(ada)
	at := usagePath(start.Add(-time.Hour), end.Add(time.Hour), "")
	lines := strings.Split(strings.TrimSpace(string(s.do(http.MethodGet, "/v1/usage/export"+at+"&of=sessions&format=jsonl", nil, ada.asOwn).want(http.StatusOK).body)), "\n")
	if len(lines) != 3 { // two people and a room
		t.Fatalf("%q", lines)
	}
	listed := read[handlers.List[handlers.UsageSession]](s.do(http.MethodGet, "/v1/usage/sessions"+at, nil, ada.asOwn).want(http.StatusOK)).Items
	for i, session := range listed {
		var got handlers.UsageSession
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil || !reflect.DeepEqual(got, session) {
			t.Errorf("%v: exported %+v, listed %+v", err, got, session)
		}
	}
	table := string(s.do(http.MethodGet, "/v1/usage/export"+at+"&of=sessions", nil, ada.asOwn).want(http.StatusOK).body)
	if !strings.HasPrefix(table, "id,subject,room_name,") || strings.Count(table, "\n") != 4 {
		t.Error(table)
	}
	s.do(http.MethodGet, "/v1/usage/export"+at+"&of=rooms", nil, ada.asOwn).refused(http.StatusBadRequest, "invalid_request", "query.of")
}
