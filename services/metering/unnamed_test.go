package metering

import (
	"testing"
	"time"

	"pulse-control-plane/models"
)

// otherProject is of another tenant.
const otherProject = models.ProjectID("prj_00000000-0000-7000-8000-0000000000ff")

func TestEventsWithoutARoomSIDEndNoSessionOfAnotherRoomOrTenant(t *testing.T) {
	s := newStory()
	join := func(sid string, second int, p models.ProjectID, room string) {
		s.tell(second, models.EventParticipantJoined, "", 0, s.person(sid, "ann", second))
		e := &s.events[len(s.events)-1]
		e.ID, e.ProjectID, e.RoomName, e.RoomKey = "EV_"+sid, p, room, models.QualifyRoom(p, room)
	}
	join("PA_1", 0, testProject, "daily")
	join("PA_2", 100, otherProject, "daily")
	join("PA_3", 200, testProject, "weekly")
	join("PA_4", 300, testProject, "daily") // ann comes back to the first room
	r, _ := s.metered(t, 0)
	others, err := r.sessions.Named(t.Context(), []string{"PA_2", "PA_3", "PA_4"})
	if err != nil || len(others) != 3 {
		t.Fatal(others, err)
	}
	for i := range others {
		if found := &others[i]; !found.Open {
			t.Errorf("%s was ended at %v (%s)", found.ID, found.LeftAt, found.EndReason)
		}
	}
	if first := r.session("PA_1"); first.Open || !first.LeftAt.Equal(s.at(300)) {
		t.Errorf("the session before the reconnect ended at %v (%s)", first.LeftAt, first.EndReason)
	}
}

func TestAMovedParticipantKeepsTheTokenItJoinedWith(t *testing.T) {
	s := newStory()
	issued := s.at(-10)
	joined := s.person("PA_1", "ann", 0)
	joined.TokenID, joined.TokenIssuedAt = "tok_1", issued
	s.tell(0, models.EventParticipantJoined, "RM_1", 0, joined)
	s.tell(60, models.EventParticipantJoined, "RM_2", 50, s.person("PA_1", "ann", 0))
	other := &s.events[len(s.events)-1]
	other.RoomName, other.RoomKey = "weekly", models.QualifyRoom(testProject, "weekly")
	r, _ := s.metered(t, 0)
	if moved := r.session("PA_1@RM_2"); moved.TokenID != "tok_1" || !moved.TokenIssuedAt.Equal(issued) {
		t.Errorf("joined with %q, issued at %v", moved.TokenID, moved.TokenIssuedAt)
	}
}

func TestACorrectionThatEndsARecorderOrAnAgentDoesNotMakeItAPerson(t *testing.T) {
	for name, permissions := range map[models.Meter]struct{ recorder, agent bool }{
		models.MeterRecorderSeconds: {recorder: true}, models.MeterAgentSeconds: {agent: true}, models.MeterParticipantSeconds: {},
	} {
		r, c, compare := compared(t)
		began := r.now.Add(-time.Minute)
		bot := models.EventParticipant{SID: "PA_bot", Identity: "bot", Kind: models.ParticipantStandard, JoinedAt: began,
			Recorder: permissions.recorder, Agent: permissions.agent}
		room := models.QualifyRoom(testProject, "daily")
		r.keep([]models.LiveKitEvent{{ID: "EV_bot", Event: models.EventParticipantJoined, ProjectID: testProject, RoomName: "daily", RoomSID: "RM_1",
			RoomKey: room, CreatedAt: began, ReceivedAt: began, Participant: &bot}})
		people := c.people[room]
		c.people[room] = append(people[:len(people):len(people)], bot)
		compare()
		r.now = r.now.Add(30 * time.Second)
		compare()
		c.people[room] = people // its end was lost
		r.now = r.now.Add(30 * time.Second)
		compare()
		ended := r.session("PA_bot")
		if ended.Open || ended.Meter() != name {
			t.Errorf("open %v, metered as %s, not %s", ended.Open, ended.Meter(), name)
		}
		facts, err := r.facts.Sum(t.Context(), testProject, name, began.Add(-time.Hour), r.now.Add(time.Hour))
		if err != nil || facts == 0 {
			t.Errorf("%s has %v seconds, %v", name, facts, err)
		}
	}
}
