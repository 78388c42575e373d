package metering

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

const testProject = testkit.Project

// visit is the truth of one session of a generated history.
type visit struct {
	id, room    string
	subject     models.Subject
	kind        string
	joined      time.Time
	left        time.Time // as its own event says; zero if the end of the room ends it
	roomEnded   time.Time
	aborted     bool
	events      []string // ids of the events that contain its start or end
	startEvent  string
	leftEvent   string
	finishEvent string
}

// history is a generated sequence of events and the truth behind them.
type history struct {
	events []models.LiveKitEvent
	visits []visit
}

// newHistory generates rooms with participants of all kinds that join, leave, fail
// to connect or remain to the end, and a recording in each.
func newHistory(seed uint64, begin time.Time) history {
	r := rand.New(rand.NewPCG(seed, 7))
	kinds := []string{"STANDARD", "STANDARD", "STANDARD", "EGRESS", "INGRESS", "SIP", "AGENT"}
	var h history
	for room := range 1 + r.IntN(4) {
		sid, name := fmt.Sprintf("RM_%d_%d", seed, room), fmt.Sprintf("room-%d", room)
		made := begin.Add(time.Duration(r.IntN(7200_000)) * time.Millisecond)
		lasted := time.Duration(60_000+r.IntN(3*3600_000)) * time.Millisecond
		ended := made.Add(lasted)
		event := func(kind string, at time.Time) models.LiveKitEvent {
			e := models.LiveKitEvent{
				ID: fmt.Sprintf("EV_%d_%04d", seed, len(h.events)), Event: kind, ProjectID: testProject, RoomName: name,
				RoomSID: sid, RoomCreatedAt: made, RoomKey: sid, CreatedAt: at.Truncate(time.Second),
				ReceivedAt: at.Add(time.Duration(r.IntN(40)) * time.Millisecond),
			}
			h.events = append(h.events, e)
			return e
		}
		started := event(models.EventRoomStarted, made)
		roomStay := visit{id: sid, room: sid, subject: models.SubjectRoom, joined: made, left: ended, startEvent: started.ID}
		firstOfRoom := len(h.visits)
		for n := range r.IntN(12) {
			s := visit{id: fmt.Sprintf("PA_%d_%d_%d", seed, room, n), room: sid, subject: models.SubjectParticipant,
				kind: kinds[r.IntN(len(kinds))], roomEnded: ended}
			s.joined = made.Add(time.Duration(r.Int64N(int64(lasted) * 3 / 4))).Truncate(time.Millisecond)
			p := &models.EventParticipant{SID: s.id, Identity: fmt.Sprintf("somebody-%d", n), Kind: s.kind, JoinedAt: s.joined}
			until := s.joined.Add(time.Duration(r.Int64N(int64(ended.Sub(s.joined))))).Truncate(time.Millisecond)
			last := func(kind string) {
				event(kind, until)
				gone := *p
				gone.Reason = "client_initiated"
				h.events[len(h.events)-1].Participant = &gone
				s.left, s.leftEvent = until, h.events[len(h.events)-1].ID
				s.events = append(s.events, s.leftEvent)
			}
			if s.aborted = r.IntN(8) == 0; s.aborted {
				last(models.EventParticipantAborted)
			} else {
				event(models.EventParticipantJoined, s.joined)
				h.events[len(h.events)-1].Participant = p
				s.startEvent = h.events[len(h.events)-1].ID
				s.events = append(s.events, s.startEvent)
				if r.IntN(6) > 0 {
					last(models.EventParticipantLeft)
				}
			}
			h.visits = append(h.visits, s)
		}
		finished := event(models.EventRoomFinished, ended)
		roomStay.leftEvent = finished.ID
		for i := firstOfRoom; i < len(h.visits); i++ {
			h.visits[i].finishEvent = finished.ID
		}
		h.visits = append(h.visits, roomStay)
		h.record(r, seed, room, made, ended)
	}
	return h
}

// record adds a recording of a room; its events name no room.
func (h *history) record(r *rand.Rand, seed uint64, room int, made, ended time.Time) {
	id, sid := fmt.Sprintf("EG_%d_%d", seed, room), fmt.Sprintf("RM_%d_%d", seed, room)
	from := made.Add(time.Second)
	to := from.Add(time.Duration(r.Int64N(int64(ended.Sub(from))))).Truncate(time.Millisecond)
	s := visit{id: id, room: sid, subject: models.SubjectEgress, joined: from, left: to}
	for _, kind := range []string{models.EventEgressStarted, models.EventEgressUpdated, models.EventEgressEnded} {
		e := models.LiveKitEvent{ID: fmt.Sprintf("EV_%d_%04d", seed, len(h.events)), Event: kind, ProjectID: testProject,
			RoomName: fmt.Sprintf("room-%d", room), RoomSID: sid, RoomKey: sid, CreatedAt: from.Truncate(time.Second), ReceivedAt: from,
			Media: &models.EventMedia{ID: id, StartedAt: from}}
		if kind == models.EventEgressEnded {
			e.CreatedAt, e.ReceivedAt, e.Media.EndedAt = to.Truncate(time.Second), to, to
			s.leftEvent = e.ID
		}
		h.events = append(h.events, e)
		s.events = append(s.events, e.ID)
	}
	h.visits = append(h.visits, s)
}

// disturbed returns the events in random order, some several times, without those
// that drop selects.
func (h *history) disturbed(r *rand.Rand, drop func() bool) (events []models.LiveKitEvent, arrived map[string]bool) {
	arrived = map[string]bool{}
	for _, e := range h.events {
		if drop() {
			continue
		}
		arrived[e.ID] = true
		for range 1 + r.IntN(3) {
			events = append(events, e)
		}
	}
	r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	return events, arrived
}

// known reports whether an event that arrived mentions the visit.
func (s *visit) known(arrived map[string]bool) bool {
	return slices.ContainsFunc(s.events, func(id string) bool { return arrived[id] })
}
