package metering

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"pulse-control-plane/models"
)

// Change is what events say of a usage session: that it began, changed or ended.
// It is a function of the events and of what is stored, not of what was stored
// before: the same events give it again.
type Change struct {
	// Session is as it is stored now.
	Session models.UsageSession
	// Announced tells that one of the events announces its beginning.
	Announced bool
	// HeardAt is when the last event was received that announces it, or for a
	// room something in it; zero if none does.
	HeardAt time.Time
}

// Batch is what consumers get: events and the changes the Recorder derived from
// them, one a session, in no order.
type Batch struct {
	Events  []models.LiveKitEvent
	Changes []Change
}

// Consumer derives something from a batch. Events of one room come in order of
// arrival; the same ones may come again, alone or with others, until all
// consumers have returned nil: what it derives must be a function of the
// event's id or of the session.
type Consumer interface {
	Consume(ctx context.Context, b *Batch) error
}

// Turn is when a consumer gets a batch: the lower first. The Recorder is before
// all.
type Turn int

// The turns. Revocations come before quotas: who may not be there at all takes
// no slot from others.
const (
	TurnRevocations Turn = 10
	TurnQuotas      Turn = 20
	TurnPlacements  Turn = 30
	TurnEvents      Turn = 40
	TurnEgress      Turn = 50
	TurnIngress     Turn = 60
	TurnRecordings  Turn = 70
)

// Step is a consumer and its turn.
type Step struct {
	Turn     Turn
	Consumer Consumer
}

// inTurn sorts steps; it fails if two have the same turn.
func inTurn(steps []Step) ([]Step, error) {
	out := slices.SortedFunc(slices.Values(steps), func(a, b Step) int { return cmp.Compare(a.Turn, b.Turn) })
	for i := range out[:max(0, len(out)-1)] {
		if out[i].Turn == out[i+1].Turn {
			return nil, fmt.Errorf("metering: two consumers have the turn %d", out[i].Turn)
		}
	}
	return out, nil
}

// announces gives the id of the session whose beginning an event announces, and
// whether it begins or ends anything.
func (l ledger) announces(e *models.LiveKitEvent) (id string, counts bool) {
	switch e.Event {
	case models.EventRoomStarted:
		return e.RoomSID, true
	case models.EventParticipantJoined, models.EventFoundPresent, models.EventEgressStarted, models.EventIngressStarted:
		return l.sessionOf(e), true
	case models.EventRoomFinished, models.EventParticipantLeft, models.EventParticipantAborted, models.EventFoundGone,
		models.EventEgressEnded, models.EventIngressEnded:
		return "", true
	}
	return "", false
}

// changes gives what events say of the sessions in the books; also are those
// that other sessions changed.
func (l ledger) changes(events []models.LiveKitEvent, also []*models.UsageSession) []Change {
	of := map[string]*Change{}
	change := func(id string) *Change {
		if of[id] == nil {
			of[id] = &Change{}
		}
		return of[id]
	}
	for i := range events {
		e := &events[i]
		announced, counts := l.announces(e)
		if !counts || e.ProjectID == "" {
			continue
		}
		for _, id := range []string{e.RoomSID, l.sessionOf(e)} {
			if l[id] == nil {
				continue
			}
			c := change(id)
			c.Announced = c.Announced || id == announced
			if announced != "" && e.ReceivedAt.After(c.HeardAt) {
				c.HeardAt = e.ReceivedAt
			}
		}
	}
	for _, s := range also {
		change(s.ID)
	}
	out := make([]Change, 0, len(of))
	for id, c := range of {
		c.Session = *l[id]
		out = append(out, *c)
	}
	return out
}
