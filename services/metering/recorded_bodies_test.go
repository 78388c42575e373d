package metering

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/models"
)

// recordedBody is a webhook of a real LiveKit server, from testdata/livekit, with
// its secrets replaced.
type recordedBody struct {
	file     string
	received time.Time
	Body     json.RawMessage `json:"body"`
}

func recordedBodies(t *testing.T) (out []recordedBody) {
	t.Helper()
	files, err := filepath.Glob("testdata/livekit/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d bodies (%v)", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		body := recordedBody{file: filepath.Base(file)}
		if err := json.Unmarshal(raw, &body); err != nil {
			t.Fatal(err)
		}
		body.sign(t)
		out = append(out, body)
	}
	return out
}

// sign gives the attribute pulse.token, of which only the id was recorded, the MAC
// of the test's cluster, and takes the time of the event for that of receipt.
func (b *recordedBody) sign(t *testing.T) {
	t.Helper()
	var in struct {
		CreatedAt   int64 `json:"createdAt,string"`
		Room        struct{ Name string }
		Participant struct {
			Identity   string
			Attributes map[string]string
		}
	}
	if err := json.Unmarshal(b.Body, &in); err != nil {
		t.Fatal(err)
	}
	b.received = time.Unix(in.CreatedAt, 0).UTC()
	if id := in.Participant.Attributes["pulse.token"]; id != "" {
		project, room, _ := models.SplitRoom(in.Room.Name)
		b.Body = bytes.ReplaceAll(b.Body, []byte(id), []byte(tokenAttribute(t, project, room, models.TokenID(id), in.Participant.Identity)))
	}
}

// understood reads a recorded body as if it had come half a second late.
func (b *recordedBody) understood(t *testing.T) models.LiveKitEvent {
	t.Helper()
	e := readEvent(t, b.Body, b.received)
	if e.State == models.EventDead {
		t.Fatalf("%s: %s", b.file, e.LastError)
	}
	e.ReceivedAt = e.CreatedAt.Add(500 * time.Millisecond)
	return e
}

// meaning is what testdata/meanings.json says about a body: a description, and
// what it proves of which session.
type meaning struct {
	Says     string           `json:"says"`
	Event    string           `json:"event"`
	Room     string           `json:"room"`
	Sessions []sessionMeaning `json:"sessions"`
}

type sessionMeaning struct {
	ID       string         `json:"id"`
	Subject  models.Subject `json:"subject"`
	Identity string         `json:"identity,omitempty"`
	Kind     string         `json:"kind,omitempty"`
	Token    models.TokenID `json:"token,omitempty"`
	// Proves is what the body is evidence of: start, step (it began, and
	// this is not the event that announced it), end or abort.
	Proves string    `json:"proves"`
	Begins time.Time `json:"begins"`
	Ends   time.Time `json:"ends,omitzero"`
	Reason string    `json:"reason,omitempty"`
}

func meaningOf(e *models.LiveKitEvent) meaning {
	out := meaning{Event: e.Event, Room: e.RoomName, Sessions: []sessionMeaning{}}
	books := ledger{}
	books.fold(e)
	for _, s := range books {
		o := &s.Observed
		m := sessionMeaning{ID: s.ID, Subject: s.Subject, Identity: s.Identity, Kind: s.Kind, Token: s.TokenID, Begins: o.StartedAt}
		switch {
		case len(o.EndedBy) > 0:
			m.Proves, m.Ends, m.Reason = "end", o.EndedAt, o.EndedReason
		case len(o.AbortedBy) > 0:
			m.Proves, m.Ends = "abort", o.AbortedAt
		case len(o.StartedBy) > 0:
			m.Proves = "start"
		case o.Witness != "":
			m.Proves = "witness"
		}
		out.Sessions = append(out.Sessions, m)
	}
	slices.SortFunc(out.Sessions, func(a, b sessionMeaning) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func TestRecordedBodiesHaveTheirDocumentedMeaning(t *testing.T) {
	raw, err := os.ReadFile("testdata/meanings.json")
	if err != nil {
		t.Fatal(err)
	}
	var written map[string]meaning
	if err := json.Unmarshal(raw, &written); err != nil {
		t.Fatal(err)
	}
	bodies := recordedBodies(t)
	for i := range bodies {
		e := bodies[i].understood(t)
		want, got := written[bodies[i].file], meaningOf(&e)
		got.Says = want.Says
		if want.Says == "" || !reflect.DeepEqual(got, want) {
			text, _ := json.MarshalIndent(got, "", "  ")
			t.Errorf("%s is understood as %s\nnot as %+v", bodies[i].file, text, want)
		}
	}
	if len(written) != len(bodies) {
		t.Errorf("%d meanings of %d bodies", len(written), len(bodies))
	}
}

// TestTheRecordedRoomGivesItsSessions processes all webhooks of one room.
func TestTheRecordedRoomGivesItsSessions(t *testing.T) {
	var events []models.LiveKitEvent
	bodies := recordedBodies(t)
	for i := range bodies {
		e := bodies[i].understood(t)
		if e.RoomName != "standup" || e.ProjectID == "" || e.RoomSID == "" || strings.Contains(e.Body, "[redacted]") {
			t.Errorf("%s: understood as %s of room %q of %q", bodies[i].file, e.Event, e.RoomName, e.ProjectID)
		}
		events = append(events, e)
	}
	want := map[string]string{
		"participant alice STANDARD": "participant_removed", "participant bob STANDARD": "client_initiated",
		"participant carol STANDARD": models.EndedByAbort, "participant egress EGRESS": "client_initiated",
		"participant agent AGENT": "client_initiated", "egress  ": models.EndedByEvent, "ingress  ": models.EndedByEvent,
		"room  ": models.EndedByRoom,
	}
	got := map[string]string{}
	for _, s := range folded(events) {
		got[string(s.Subject)+" "+s.Identity+" "+s.Kind] = s.EndReason
		if s.Open || s.JoinedAt.IsZero() || (s.Identity == "carol" && !s.LeftAt.Equal(s.JoinedAt)) {
			t.Errorf("%s %s: %v to %v", s.Subject, s.Identity, s.JoinedAt, s.LeftAt)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("sessions %v", got)
	}
}
