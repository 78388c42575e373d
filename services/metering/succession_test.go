package metering

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/services/usage"
)

// story builds events of one project at seconds after a start.
type story struct {
	t0     time.Time
	events []models.LiveKitEvent
}

func newStory() *story { return &story{t0: aMorning} }

func (s *story) at(second int) time.Time { return s.t0.Add(time.Duration(second) * time.Second) }

// tell adds an event of a room that began at a second.
func (s *story) tell(second int, kind, roomSID string, began int, p *models.EventParticipant) *story {
	s.events = append(s.events, models.LiveKitEvent{
		ID: "EV_" + kind + roomSID + s.at(second).Format("150405"), Event: kind, ProjectID: testProject, RoomName: "daily",
		RoomKey: models.QualifyRoom(testProject, "daily"), RoomSID: roomSID, RoomCreatedAt: s.at(began),
		CreatedAt: s.at(second), ReceivedAt: s.at(second), Participant: p,
	})
	return s
}

func (s *story) person(sid, identity string, joined int) *models.EventParticipant {
	return &models.EventParticipant{SID: sid, Identity: identity, Kind: models.ParticipantStandard, JoinedAt: s.at(joined)}
}

// metered is the report of a story whose events were worked on in any order, each
// batch as large as chance has it.
func (s *story) metered(t *testing.T, seed uint64) (*rig, usage.Report) {
	t.Helper()
	r := newRig(t)
	r.now = aMorning.Add(3 * time.Hour)
	random := rand.New(rand.NewPCG(seed, 5))
	if seed > 0 {
		random.Shuffle(len(s.events), func(i, j int) { s.events[i], s.events[j] = s.events[j], s.events[i] })
	}
	w := r.worker("one")
	for rest := s.events; len(rest) > 0; {
		n := 1 + random.IntN(len(rest))
		r.keep(rest[:n])
		rest = rest[n:]
		if err := r.drain(w); err != nil {
			t.Fatal(err)
		}
	}
	return r, r.report(models.WindowHour)
}

func wantMeters(t *testing.T, seed uint64, report usage.Report, want map[models.Meter]float64) {
	t.Helper()
	for m, value := range want {
		if got := report.Totals[m]; got < value-0.001 || got > value+0.001 {
			t.Errorf("seed %d: %s is %v, not %v", seed, m, got, value)
		}
	}
}

func TestAReconnectIsMeteredOnceWhateverWasLost(t *testing.T) {
	for seed := range uint64(20) {
		s := newStory()
		s.tell(0, models.EventParticipantJoined, "RM_1", 0, s.person("PA_1", "ann", 0))
		s.tell(300, models.EventParticipantJoined, "RM_1", 0, s.person("PA_2", "ann", 300))
		s.tell(900, models.EventParticipantLeft, "RM_1", 0, s.person("PA_2", "ann", 300))
		s.tell(1000, models.EventRoomFinished, "RM_1", 0, nil)
		r, report := s.metered(t, seed)
		wantMeters(t, seed, report, map[models.Meter]float64{models.MeterParticipantSeconds: 900, models.MeterPeak: 1, models.MeterRoomSeconds: 1000})
		if first := r.session("PA_1"); first.EndReason != models.EndedByDuplicate || !first.LeftAt.Equal(s.at(300)) {
			t.Errorf("seed %d: the first session ended at %v (%s)", seed, first.LeftAt, first.EndReason)
		}
	}
}

func TestAReconnectWithinTheSameInstantIsMeteredOnceWhateverWasLost(t *testing.T) {
	for name, lost := range map[string]map[string]bool{
		"nothing": {}, "the end of the first": {"EV_left_1": true}, "the end of the second": {"EV_left_2": true},
		"both ends": {"EV_left_1": true, "EV_left_2": true},
	} {
		for _, sids := range [][2]string{{"PA_1", "PA_2"}, {"PA_2", "PA_1"}} {
			for seed := range uint64(6) {
				s := newStory()
				say := func(id string, second int, kind, sid string) {
					if s.tell(second, kind, "RM_1", 0, s.person(sid, "ann", 0)); lost[id] {
						s.events = s.events[:len(s.events)-1]
						return
					}
					s.events[len(s.events)-1].ID = id
				}
				say("EV_joined_1", 0, models.EventParticipantJoined, sids[0])
				say("EV_joined_2", 0, models.EventParticipantJoined, sids[1])
				say("EV_left_1", 0, models.EventParticipantLeft, sids[0])
				say("EV_left_2", 900, models.EventParticipantLeft, sids[1])
				s.tell(1000, models.EventRoomFinished, "RM_1", 0, nil)
				r, report := s.metered(t, seed)
				want := 900.0
				if lost["EV_left_2"] {
					want = 1000
				}
				wantMeters(t, seed, report, map[models.Meter]float64{models.MeterParticipantSeconds: want, models.MeterPeak: 1})
				if first := r.session(sids[0]); !lost["EV_left_1"] && first.LeftAt.Sub(first.JoinedAt) > time.Second {
					t.Errorf("%s was lost, seed %d: the first lasted until %v", name, seed, first.LeftAt)
				}
			}
		}
	}
}

func TestARoomEndsAtTheLatestWhenTheNextOfItsNameBegins(t *testing.T) {
	for seed := range uint64(20) {
		s := newStory()
		s.tell(0, models.EventRoomStarted, "RM_1", 0, nil)
		s.tell(0, models.EventParticipantJoined, "RM_1", 0, s.person("PA_1", "ann", 0))
		s.tell(100, models.EventParticipantJoined, "RM_1", 0, s.person("PA_2", "bob", 100))
		// The end of RM_1 was lost, and the beginning of RM_2.
		s.tell(610, models.EventParticipantJoined, "RM_2", 601, s.person("PA_3", "ann", 610))
		s.tell(901, models.EventParticipantLeft, "RM_2", 601, s.person("PA_3", "ann", 610))
		s.tell(1000, models.EventRoomFinished, "RM_2", 601, nil)
		r, report := s.metered(t, seed)
		wantMeters(t, seed, report, map[models.Meter]float64{
			models.MeterParticipantSeconds: 601 + 501 + 291, models.MeterRoomSeconds: 601 + 399, models.MeterPeak: 2})
		for _, id := range []string{"RM_1", "PA_1", "PA_2"} {
			if old := r.session(id); old.Open || !old.LeftAt.Equal(s.at(601)) || old.EndReason != models.EndedByNewRoom {
				t.Errorf("seed %d: %s ended at %v (%s)", seed, id, old.LeftAt, old.EndReason)
			}
		}
	}
}

func TestAParticipantSeenInTwoRoomsIsMeteredInBoth(t *testing.T) {
	for seed := range uint64(20) {
		s := newStory()
		s.tell(0, models.EventParticipantJoined, "RM_1", 0, s.person("PA_1", "ann", 0))
		s.tell(300, models.EventParticipantLeft, "RM_1", 0, s.person("PA_1", "ann", 0))
		s.tell(300, models.EventParticipantJoined, "RM_2", 200, s.person("PA_1", "ann", 300))
		s.tell(900, models.EventParticipantLeft, "RM_2", 200, s.person("PA_1", "ann", 300))
		for i := range s.events {
			if e := &s.events[i]; e.RoomSID == "RM_2" {
				e.RoomName, e.RoomKey = "weekly", models.QualifyRoom(testProject, "weekly")
			}
		}
		_, report := s.metered(t, seed)
		wantMeters(t, seed, report, map[models.Meter]float64{models.MeterParticipantSeconds: 900, models.MeterPeak: 1})
	}
}

func TestAForwardedParticipantStaysOpenInBothRooms(t *testing.T) {
	r, c, compare := compared(t)
	room := models.QualifyRoom(testProject, "weekly")
	ann := c.people[models.QualifyRoom(testProject, "daily")][0]
	c.rooms = append(c.rooms, livekitRoom(room, "RM_2", ann.JoinedAt))
	c.people[room] = append(c.people[room], ann)
	for range 3 {
		compare()
	}
	for _, id := range []string{"PA_ann", "PA_ann@RM_2"} {
		if s := r.session(id); !s.Open || len(s.Observed.CorrectedBy) > 1 {
			t.Errorf("%s: open %v, corrected by %v", id, s.Open, s.Observed.CorrectedBy)
		}
	}
	c.people[room] = nil
	compare()
	if s := r.session("PA_ann@RM_2"); s.Open {
		t.Error("it goes on in the room they left")
	}
	if s := r.session("PA_ann"); !s.Open {
		t.Error("it has ended in the room they are in")
	}
}

func TestAnEgressThatIsKnownByItsFileBeganWhenTheFileDid(t *testing.T) {
	begin, end := aMorning.Add(time.Minute), aMorning.Add(11*time.Minute)
	body := []byte(`{"event":"egress_ended","id":"EV_1","createdAt":"` + decimal(end.Unix()) + `","egressInfo":{"egressId":"EG_1","roomId":"RM_1",
		"roomName":"` + models.QualifyRoom(testProject, "daily") + `","status":"EGRESS_COMPLETE","endedAt":"` + decimal(end.UnixNano()) + `",
		"fileResults":[{"filename":"b","startedAt":"` + decimal(end.UnixNano()) + `"},{"filename":"a","startedAt":"` + decimal(begin.UnixNano()) + `"}]}}`)
	s := folded([]models.LiveKitEvent{readEvent(t, body, end)})["EG_1"]
	if !s.JoinedAt.Equal(begin) || !s.LeftAt.Equal(end) {
		t.Errorf("it lasted from %v to %v", s.JoinedAt, s.LeftAt)
	}
}

func TestTimesThatCannotBeAreClampedAndMarked(t *testing.T) {
	const joined, received = 0, 900
	for name, change := range map[string]func(*models.LiveKitEvent){
		"the year 9999":    func(e *models.LiveKitEvent) { e.CreatedAt = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) },
		"joined in 1970":   func(e *models.LiveKitEvent) { e.Participant.JoinedAt = time.Unix(5, 0) },
		"joined in 292e6":  func(e *models.LiveKitEvent) { e.Participant.JoinedAt = time.UnixMilli(1<<63 - 1) },
		"left before 2000": func(e *models.LiveKitEvent) { e.CreatedAt = time.Unix(5, 0) },
	} {
		s := newStory()
		s.tell(received, models.EventParticipantLeft, "RM_1", 0, s.person("PA_1", "ann", joined))
		change(&s.events[0])
		s.events[0].Believe(s.at(received))
		r, report := s.metered(t, 0)
		if session := r.session("PA_1"); !session.Clamped || !s.events[0].Clamped {
			t.Errorf("%s: nothing is marked", name)
		}
		if seconds := report.Totals[models.MeterParticipantSeconds]; seconds > received {
			t.Errorf("%s: %v seconds", name, seconds)
		}
		if n := r.engine.Writes.Load(); n > 100 {
			t.Errorf("%s: %d writes", name, n)
		}
	}
}

func TestAParticipantEndsAtTheLatestWithTheirRoom(t *testing.T) {
	for seed := range uint64(6) {
		s := newStory()
		s.tell(0, models.EventParticipantJoined, "RM_1", 0, s.person("PA_1", "ann", 0))
		s.tell(500, models.EventRoomFinished, "RM_1", 0, nil)
		s.tell(900, models.EventParticipantLeft, "RM_1", 0, s.person("PA_1", "ann", 0))
		r, report := s.metered(t, seed)
		wantMeters(t, seed, report, map[models.Meter]float64{models.MeterParticipantSeconds: 500, models.MeterRoomSeconds: 500})
		if got := r.session("PA_1"); got.EndReason != models.EndedByRoom {
			t.Errorf("seed %d: ended by %s", seed, got.EndReason)
		}
	}
}

func TestWhatBeginsWithoutATimeThatCanBeIsMeteredFromItsEvent(t *testing.T) {
	for _, joined := range []string{"0", "-5", "-9223372036854775808"} {
		body := func(event, second string) []byte {
			return []byte(`{"event":"` + event + `","id":"EV_` + event + `","createdAt":"` + second + `","room":{"sid":"RM_1","creationTime":"` + joined + `",
				"name":"` + models.QualifyRoom(testProject, "daily") + `"},"participant":{"sid":"PA_1","identity":"ann","joinedAt":"` + joined + `"}}`)
		}
		s := newStory()
		for second, event := range map[int]string{0: models.EventRoomStarted, 1: models.EventParticipantJoined, 901: models.EventParticipantLeft, 1000: models.EventRoomFinished} {
			e := readEvent(t, body(event, strconv.FormatInt(s.at(second).Unix(), 10)), s.at(second))
			e.ReceivedAt = s.at(second)
			s.events = append(s.events, e)
		}
		r, report := s.metered(t, 1)
		wantMeters(t, 1, report, map[models.Meter]float64{models.MeterParticipantSeconds: 900, models.MeterRoomSeconds: 1000})
		if !r.session("PA_1").Clamped {
			t.Errorf("%s: nothing is marked", joined)
		}
	}
}

func TestAnEgressWithOneTimeThatCannotBeEndsWithItsEvent(t *testing.T) {
	for name, ended := range map[string]time.Time{"1970": time.Unix(0, 1), "2262": time.Unix(0, 1<<63-1)} {
		s := newStory()
		s.tell(100, models.EventEgressEnded, "", 0, nil)
		e := &s.events[0]
		e.RoomCreatedAt, e.Media = time.Time{}, &models.EventMedia{ID: "EG_1", StartedAt: s.at(0), EndedAt: ended}
		e.Believe(s.at(3600)) // it came an hour late
		if _, report := s.metered(t, 0); !e.Clamped || report.Totals[models.MeterEgressSeconds] != 100 {
			t.Errorf("%s: %v seconds, marked %v", name, report.Totals[models.MeterEgressSeconds], e.Clamped)
		}
	}
}

func TestATimeLongBeforeItsRoomIsNotBelievedWhereTheRoomIsKnown(t *testing.T) {
	s := newStory()
	s.tell(0, models.EventRoomStarted, "RM_1", 0, nil)
	s.tell(900, models.EventEgressEnded, "RM_1", 0, nil)
	e := &s.events[1]
	e.RoomCreatedAt = time.Time{} // LiveKit does not say it in such events
	e.Media = &models.EventMedia{ID: "EG_1", StartedAt: s.at(0).Add(-60 * 24 * time.Hour), EndedAt: s.at(900)}
	_, report := s.metered(t, 0)
	wantMeters(t, 0, report, map[models.Meter]float64{models.MeterEgressSeconds: 900})
}

func TestLargeMetadataIsTakenInAndNotStored(t *testing.T) {
	body := []byte(strings.Replace(string(joinedBody(t, "EV_1")), `"sid":"PA_1"`, `"metadata":"`+strings.Repeat("m", 512<<10)+`","sid":"PA_1"`, 1))
	e := readEvent(t, body, aMorning)
	if e.State == models.EventDead || e.Participant.SID != "PA_1" || e.Participant.TokenID != "tok_1" {
		t.Fatalf("understood as %+v (%s)", e.Participant, e.LastError)
	}
	if len(e.Body) > maxStored || strings.Contains(e.Body, "mmmm") {
		t.Errorf("%d bytes of it are stored", len(e.Body))
	}
}

// maxStored bounds the text of a stored event.
const maxStored = 70 << 10

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func TestThePeakOfAnHourIsComputedAgainWhenAParticipantCountedInItHadLeftBefore(t *testing.T) {
	const hour = 3600
	s := newStory()
	s.tell(0, models.EventParticipantJoined, "RM_1", 0, s.person("PA_1", "ann", 0))
	s.tell(2*hour, models.EventParticipantJoined, "RM_1", 0, s.person("PA_2", "bob", 2*hour))
	s.tell(2*hour+60, models.EventParticipantLeft, "RM_1", 0, s.person("PA_2", "bob", 2*hour))
	late := newStory()
	late.tell(600, models.EventParticipantLeft, "RM_1", 0, late.person("PA_1", "ann", 0))
	r := newRig(t)
	r.now = aMorning.Add(3 * time.Hour)
	w, peaks := r.worker("one"), []float64{2, 1}
	for i, events := range [][]models.LiveKitEvent{s.events, late.events} {
		r.keep(events)
		if err := r.drain(w); err != nil {
			t.Fatal(err)
		}
		if got := r.report(models.WindowHour).Items[10].Values[models.MeterPeak]; got != peaks[i] {
			t.Errorf("the peak of the hour is %v, want %v", got, peaks[i])
		}
	}
}
