package metering

import (
	"context"
	"testing"
	"time"

	"pulse-control-plane/models"
)

func TestAnEgressIsMeteredFromTheStartThatItsWorkerReportedLast(t *testing.T) {
	began := aMorning
	event := func(id, kind string, started, ended time.Time) models.LiveKitEvent {
		return models.LiveKitEvent{ID: id, Event: kind, ProjectID: testProject, RoomName: "daily", RoomSID: "RM_1", RoomKey: models.QualifyRoom(testProject, "daily"),
			CreatedAt: began, ReceivedAt: began, Media: &models.EventMedia{ID: "EG_1", StartedAt: started, EndedAt: ended}}
	}
	end := began.Add(90*time.Second + 7*time.Millisecond)
	for name, c := range map[string]struct {
		events []models.LiveKitEvent
		want   time.Duration
	}{
		"taken without a start": {[]models.LiveKitEvent{
			event("EV_1", models.EventEgressStarted, time.Time{}, time.Time{}),
			event("EV_2", models.EventEgressUpdated, began.Add(3*time.Second), time.Time{}),
			event("EV_3", models.EventEgressEnded, began.Add(3*time.Second), end)}, 87*time.Second + 7*time.Millisecond},
		"taken, then begun": {[]models.LiveKitEvent{
			event("EV_1", models.EventEgressStarted, began, time.Time{}),
			event("EV_2", models.EventEgressUpdated, began.Add(2*time.Second), time.Time{}),
			event("EV_3", models.EventEgressEnded, began.Add(2*time.Second), end)}, 88*time.Second + 7*time.Millisecond},
		"never begun": {[]models.LiveKitEvent{
			event("EV_1", models.EventEgressStarted, time.Time{}, time.Time{}),
			event("EV_3", models.EventEgressEnded, time.Time{}, end)}, 0},
	} {
		for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
			r := newRig(t)
			for _, n := range order {
				if n < len(c.events) {
					if err := r.record(context.Background(), c.events[n:n+1]); err != nil {
						t.Fatal(err)
					}
				}
			}
			if s := r.session("EG_1"); s.Open || s.LeftAt.Sub(s.JoinedAt) != c.want {
				t.Errorf("%s, in order %v: %v, want %v", name, order, s.LeftAt.Sub(s.JoinedAt), c.want)
			}
		}
	}
}
