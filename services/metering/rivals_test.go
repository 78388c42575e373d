package metering

import (
	"strconv"
	"testing"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

func TestParticipantsOfARoomThatLostAgainstItsRivalEndWithIt(t *testing.T) {
	for name, tell := range map[string]struct {
		also func(*story)
		lost string
	}{
		"nothing else is known":                {func(*story) {}, "RM_1"},
		"the greater id is known to end later": {func(s *story) { s.tell(900, models.EventRoomFinished, "RM_2", 0, nil) }, "RM_1"},
		"the lesser id is known to end later":  {func(s *story) { s.tell(900, models.EventRoomFinished, "RM_1", 0, nil) }, "RM_2"},
		"both end, the lesser one later": {func(s *story) {
			s.tell(600, models.EventRoomFinished, "RM_2", 0, nil)
			s.tell(900, models.EventRoomFinished, "RM_1", 0, nil)
		}, "RM_2"},
		"the beginning of both is announced too": {func(s *story) {
			s.tell(0, models.EventRoomStarted, "RM_1", 0, nil)
			s.tell(0, models.EventRoomStarted, "RM_2", 0, nil)
		}, "RM_1"},
	} {
		for seed := range uint64(8) {
			s := newStory()
			s.tell(5, models.EventParticipantJoined, "RM_1", 0, s.person("PA_1", "ann", 5))
			s.tell(5, models.EventParticipantJoined, "RM_2", 0, s.person("PA_2", "bob", 5))
			tell.also(s)
			r, report := s.metered(t, seed)
			won := map[string]string{"RM_1": "RM_2", "RM_2": "RM_1"}[tell.lost]
			lost, winner := r.session("PA_"+tell.lost[3:]), r.session("PA_"+won[3:])
			if lost.Open || !lost.LeftAt.Equal(lost.JoinedAt) || lost.EndReason != models.EndedByNewRoom {
				t.Errorf("%s, seed %d: the participant of %s ended at %v (%s)", name, seed, tell.lost, lost.LeftAt, lost.EndReason)
			}
			if room := r.session(won); winner.Open != room.Open || !winner.Open && !winner.LeftAt.Equal(room.LeftAt) {
				t.Errorf("%s, seed %d: the participant of %s is open: %v, ended at %v; its room at %v", name, seed, won, winner.Open, winner.LeftAt, room.LeftAt)
			}
			if seconds := report.Totals[models.MeterParticipantSeconds]; !winner.Open && seconds != 895 {
				t.Errorf("%s, seed %d: %v seconds", name, seed, seconds)
			}
		}
	}
}

func TestARunOfAnIngressWhoseStartIsNotToldBeganWithItsEvent(t *testing.T) {
	info := func(id string) string {
		return `"ingressInfo":{"ingressId":"` + id + `","roomName":"` + models.QualifyRoom(testProject, "daily") + `","state":{"status":"ENDPOINT_PUBLISHING","roomId":"RM_1"}}`
	}
	created := aMorning
	run := "IN_1@" + strconv.FormatInt(created.UnixNano(), 10)
	for name, c := range map[string]struct {
		body string
		want string
	}{
		"by the event's time": {`{"event":"ingress_started","id":"EV_1","createdAt":"` + decimal(created.Unix()) + `",` + info("IN_1") + `}`, run},
		"by its receipt":      {`{"event":"ingress_started","id":"EV_1",` + info("IN_1") + `}`, run},
		"a negative start": {`{"event":"ingress_started","id":"EV_1","createdAt":"` + decimal(created.Unix()) + `",
			"ingressInfo":{"ingressId":"IN_1","roomName":"` + models.QualifyRoom(testProject, "daily") + `","state":{"startedAt":"-5"}}}`, run},
		"an end alone": {`{"event":"ingress_ended","id":"EV_1","createdAt":"` + decimal(created.Unix()) + `",` + info("IN_1") + `}`, ""},
		"without id":   {`{"event":"ingress_started","id":"EV_1","createdAt":"` + decimal(created.Unix()) + `",` + info("") + `}`, ""},
	} {
		e := readEvent(t, []byte(c.body), created)
		e.ReceivedAt = created
		books := folded([]models.LiveKitEvent{e})
		if c.want == "" {
			if len(books) != 0 {
				t.Errorf("%s: %d sessions", name, len(books))
			}
			continue
		}
		s := books[c.want]
		if s == nil || len(books) != 1 {
			t.Fatalf("%s: %v", name, books)
		}
		s.Settle()
		if !s.JoinedAt.Equal(created) || !s.Open {
			t.Errorf("%s: from %v, open %v", name, s.JoinedAt, s.Open)
		}
		if e.RoomKey == "" {
			t.Errorf("%s: it has no order", name)
		}
	}
}

func TestAnIngressThatIsListedWithoutAStartIsNeitherOpenedNorClosed(t *testing.T) {
	s := newStory()
	s.tell(0, models.EventIngressStarted, "RM_1", 0, nil)
	e := &s.events[0]
	e.Media = &models.EventMedia{ID: "IN_1@" + strconv.FormatInt(s.at(0).UnixNano(), 10), StartedAt: s.at(0)}
	r, c, compare := compared(t)
	if err := r.record(t.Context(), s.events); err != nil {
		t.Fatal(err)
	}
	c.ingresses = append(c.ingresses, livekit.Media{RoomName: models.QualifyRoom(testProject, "daily"), RoomSID: "RM_1", EventMedia: models.EventMedia{ID: "IN_1"}})
	for range 3 {
		compare()
	}
	if got := r.session(e.Media.ID); !got.Open {
		t.Errorf("the run was ended by %s", got.EndReason)
	}
	if list, err := r.sessions.Named(t.Context(), []string{"IN_1", "IN_1@0"}); err != nil || len(list) != 0 {
		t.Errorf("opened %v, %v", list, err)
	}
	c.ingresses = nil
	for range 3 {
		compare()
	}
	if r.session(e.Media.ID).Open {
		t.Error("the run goes on after it is gone from the list")
	}
}
