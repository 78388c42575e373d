package metering

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pulse-control-plane/models"
)

var aMorning = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// folded folds events batch by batch, as a worker does, and settles the sessions.
func folded(events []models.LiveKitEvent) ledger {
	books := ledger{}
	books.foldAll(events)
	for _, s := range books {
		closeWith(s, books[s.RoomSID])
		s.Settle()
	}
	return books
}

// near reports whether an end is right to the second, LiveKit's precision.
func near(a, b time.Time) bool { return a.Sub(b).Abs() < time.Second }

func TestEventsInAnyOrderAndRepetitionGiveTheTrueSessions(t *testing.T) {
	for seed := range uint64(400) {
		h := newHistory(seed, aMorning)
		r := rand.New(rand.NewPCG(seed, 1))
		events, _ := h.disturbed(r, func() bool { return false })
		books := folded(events)
		if inOrder := folded(h.events); !sameSessions(books, inOrder) {
			t.Fatalf("seed %d: another order gives other sessions", seed)
		}
		if len(books) != len(h.visits) {
			t.Fatalf("seed %d: %d sessions of %d", seed, len(books), len(h.visits))
		}
		var metered, truth float64
		for i := range h.visits {
			want := &h.visits[i]
			s := books[want.id]
			if s == nil {
				t.Fatalf("seed %d: %s is missing", seed, want.id)
			}
			end := want.left
			switch {
			case want.aborted:
				end = want.joined
			case end.IsZero():
				end = want.roomEnded
			}
			if s.Open || !s.JoinedAt.Equal(want.joined) || !near(s.LeftAt, end) {
				t.Fatalf("seed %d: %s lasted %v to %v (open %v), truly %v to %v", seed, want.id, s.JoinedAt, s.LeftAt, s.Open, want.joined, end)
			}
			if want.kind == models.ParticipantStandard {
				truth += end.Sub(want.joined).Seconds()
			}
			if s.Meter() == models.MeterParticipantSeconds {
				metered += s.LeftAt.Sub(s.JoinedAt).Seconds()
			}
			if len(s.EventIDs) == 0 {
				t.Fatalf("seed %d: nothing proves %s", seed, want.id)
			}
		}
		if off := metered - truth; off > float64(len(h.visits)) || off < -float64(len(h.visits)) {
			t.Fatalf("seed %d: %f participant seconds metered of %f", seed, metered, truth)
		}
	}
}

func TestALostEventLosesOnlyItsOwnUsage(t *testing.T) {
	for seed := range uint64(400) {
		h := newHistory(seed, aMorning)
		r := rand.New(rand.NewPCG(seed, 2))
		events, arrived := h.disturbed(r, func() bool { return r.IntN(4) == 0 })
		books := folded(events)
		for i := range h.visits {
			want := &h.visits[i]
			if want.subject != models.SubjectParticipant {
				continue
			}
			s := books[want.id]
			if (s != nil) != want.known(arrived) {
				t.Fatalf("seed %d: %s is known: %v", seed, want.id, s != nil)
			}
			if s == nil {
				continue
			}
			if !s.JoinedAt.Equal(want.joined) {
				t.Fatalf("seed %d: %s joined at %v, truly %v", seed, want.id, s.JoinedAt, want.joined)
			}
			switch {
			case want.aborted:
				if !s.LeftAt.Equal(want.joined) {
					t.Fatalf("seed %d: %s was aborted and lasted until %v", seed, want.id, s.LeftAt)
				}
			case arrived[want.leftEvent]:
				if !near(s.LeftAt, want.left) {
					t.Fatalf("seed %d: %s left at %v, truly %v", seed, want.id, s.LeftAt, want.left)
				}
			case arrived[want.finishEvent]:
				if !near(s.LeftAt, want.roomEnded) || s.EndReason != models.EndedByRoom || !slices.Contains(s.EventIDs, want.finishEvent) {
					t.Fatalf("seed %d: %s ended at %v (%s), its room at %v", seed, want.id, s.LeftAt, s.EndReason, want.roomEnded)
				}
			default:
				if !s.Open {
					t.Fatalf("seed %d: %s ended at %v though nothing said so", seed, want.id, s.LeftAt)
				}
			}
		}
	}
}

func sameSessions(a, b ledger) bool {
	if len(a) != len(b) {
		return false
	}
	for id, s := range a {
		other := b[id]
		if other == nil || !s.JoinedAt.Equal(other.JoinedAt) || !s.LeftAt.Equal(other.LeftAt) || s.Open != other.Open ||
			s.EndReason != other.EndReason || !slices.Equal(s.EventIDs, other.EventIDs) || s.Kind != other.Kind {
			return false
		}
	}
	return true
}

func TestEventsOfForeignRoomsChangeNothing(t *testing.T) {
	h := newHistory(1, aMorning)
	for i := range h.events {
		h.events[i].ProjectID = ""
	}
	if books := folded(h.events); len(books) != 0 {
		t.Errorf("%d sessions of rooms that belong to no tenant", len(books))
	}
}

func TestAnUnknownKindOfEventChangesOnlyTheRoomItNames(t *testing.T) {
	h := newHistory(3, aMorning)
	before := folded(h.events)
	odd := h.events[0]
	odd.ID, odd.Event = "EV_zzz", "room_teleported"
	if after := folded(append(h.events, odd)); !sameSessions(before, after) {
		t.Error("sessions changed")
	}
}

func TestAMigrationEndsNoSession(t *testing.T) {
	joined := models.LiveKitEvent{ID: "EV_1", Event: models.EventParticipantJoined, ProjectID: testProject, RoomSID: "RM_1",
		Participant: &models.EventParticipant{SID: "PA_1", Kind: "STANDARD", JoinedAt: aMorning}}
	moved := joined
	moved.ID, moved.Event = "EV_2", models.EventParticipantLeft
	moved.Participant = &models.EventParticipant{SID: "PA_1", Kind: "STANDARD", JoinedAt: aMorning, Reason: "migration"}
	if s := folded([]models.LiveKitEvent{moved, joined})["PA_1"]; !s.Open {
		t.Errorf("ended at %v", s.LeftAt)
	}
}

func TestASessionThatReconciliationClosedReopensWhenListedAgain(t *testing.T) {
	joined := models.LiveKitEvent{ID: "EV_1", Event: models.EventParticipantJoined, ProjectID: testProject, RoomSID: "RM_1",
		Participant: &models.EventParticipant{SID: "PA_1", Kind: "STANDARD", JoinedAt: aMorning}}
	gone := models.LiveKitEvent{ID: "EV_2", Event: models.EventFoundGone, ProjectID: testProject, RoomSID: "RM_1", SessionID: "PA_1",
		Subject: models.SubjectParticipant, LastSeenAt: aMorning.Add(time.Minute), CreatedAt: aMorning.Add(90 * time.Second)}
	books := folded([]models.LiveKitEvent{joined, gone})
	if s := books["PA_1"]; s.Open || !s.LeftAt.Equal(gone.LastSeenAt) || s.EndReason != models.EndedByReconciliation {
		t.Fatalf("left %v (%s)", s.LeftAt, s.EndReason)
	}
	back := gone
	back.ID, back.Event, back.CreatedAt = "EV_3", models.EventFoundPresent, aMorning.Add(2*time.Minute)
	back.Participant = joined.Participant
	if s := folded([]models.LiveKitEvent{joined, gone, back})["PA_1"]; !s.Open {
		t.Error("seen again and still closed")
	}
	left := joined
	left.ID, left.Event, left.CreatedAt, left.ReceivedAt = "EV_4", models.EventParticipantLeft, aMorning.Add(80*time.Second), aMorning.Add(80*time.Second)
	if s := folded([]models.LiveKitEvent{joined, left, gone})["PA_1"]; !s.LeftAt.Equal(left.CreatedAt) {
		t.Errorf("its own event says %v, not %v", left.CreatedAt, s.LeftAt)
	}
}

func TestSessionsAreSplitAtFullHours(t *testing.T) {
	s := &models.UsageSession{ID: "PA_1", Subject: models.SubjectParticipant, Kind: "STANDARD", ProjectID: testProject,
		JoinedAt: aMorning.Add(50 * time.Minute), LeftAt: aMorning.Add(2*time.Hour + 15*time.Minute), EventIDs: []string{"EV_1"}}
	meteredHours(s)
	facts := factsOf(s, aMorning.Add(3*time.Hour))
	var values []float64
	var at []time.Time
	for _, f := range facts {
		values, at = append(values, f.Value), append(at, f.Timestamp)
	}
	if !slices.Equal(values, []float64{600, 3600, 900}) {
		t.Errorf("values %v", values)
	}
	if !reflect.DeepEqual(at, []time.Time{s.JoinedAt, aMorning.Add(time.Hour), aMorning.Add(2 * time.Hour)}) {
		t.Errorf("times %v", at)
	}
	// An earlier end arrives late: hours that are no longer covered become zero.
	s.LeftAt = aMorning.Add(55 * time.Minute)
	meteredHours(s)
	values = nil
	for _, f := range factsOf(s, aMorning.Add(3*time.Hour)) {
		values = append(values, f.Value)
	}
	if !slices.Equal(values, []float64{300, 0, 0}) {
		t.Errorf("corrected to %v", values)
	}
}

func TestEachKindOfParticipantHasItsMeter(t *testing.T) {
	for _, of := range []struct {
		kind            string
		recorder, agent bool
		want            models.Meter
	}{
		{kind: "STANDARD", want: models.MeterParticipantSeconds},
		{kind: "STANDARD", recorder: true, want: models.MeterRecorderSeconds},
		{kind: "STANDARD", agent: true, want: models.MeterAgentSeconds},
		{kind: "AGENT", want: models.MeterAgentSeconds},
		{kind: "SIP", want: models.MeterSIPSeconds},
		{kind: "CONNECTOR", want: models.MeterOtherSeconds},
		{kind: "BRIDGE", want: models.MeterOtherSeconds},
		{kind: "HOLOGRAM", want: models.MeterOtherSeconds}, // of a LiveKit that is newer
		{kind: "EGRESS", recorder: true, want: ""},         // egress_seconds
		{kind: "INGRESS", want: ""},                        // ingress_seconds
	} {
		body := fmt.Appendf(nil, `{"event":"participant_joined","id":"EV_1","createdAt":"%d","room":{"sid":"RM_1","name":"%s_daily","creationTimeMs":"%d"},
			"participant":{"sid":"PA_1","identity":"ann","joinedAtMs":"%d","kind":%q,"permission":{"recorder":%t,"agent":%t}}}`,
			aMorning.Unix(), testProject, aMorning.UnixMilli(), aMorning.UnixMilli(), of.kind, of.recorder, of.agent)
		s := folded([]models.LiveKitEvent{readEvent(t, body, aMorning)})["PA_1"]
		if m := s.Meter(); m != of.want || s.Kind != of.kind {
			t.Errorf("%+v is metered as %q of kind %q", of, m, s.Kind)
		}
	}
	s := models.UsageSession{Subject: models.SubjectParticipant, Kind: "STANDARD"}
	if s.Meter() != models.MeterParticipantSeconds { // stored by an older binary
		t.Errorf("an old session is metered as %q", s.Meter())
	}
}
