package metering

import (
	"slices"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

// ofIngress is an event of an ingress that LiveKit sends some seconds into the morning,
// without the start of the run.
func ofIngress(t *testing.T, kind, id, ingress string, second int, state string) models.LiveKitEvent {
	t.Helper()
	at := aMorning.Add(time.Duration(second) * time.Second)
	e := readEvent(t, []byte(`{"event":"`+kind+`","id":"`+id+`","createdAt":"`+decimal(at.Unix())+`","ingressInfo":{"ingressId":"`+ingress+`","roomName":"`+
		models.QualifyRoom(testProject, "daily")+`","state":{"roomId":"RM_1"`+state+`}}}`), at)
	e.ReceivedAt = at
	return e
}

func TestAnEndOfAnIngressWithoutItsStartEndsTheRunThatBeganBeforeIt(t *testing.T) {
	started := func(id, ingress string, second int, state string) models.LiveKitEvent {
		return ofIngress(t, models.EventIngressStarted, id, ingress, second, state)
	}
	ended := func(id, ingress string, second int, state string) models.LiveKitEvent {
		return ofIngress(t, models.EventIngressEnded, id, ingress, second, state)
	}
	nanos := func(second int) string { return decimal(aMorning.Add(time.Duration(second) * time.Second).UnixNano()) }
	run := func(ingress string, second int) string {
		return livekit.RunID(ingress, aMorning.Add(time.Duration(second)*time.Second).UnixNano())
	}
	for name, c := range map[string]struct {
		events []models.LiveKitEvent
		want   map[string]float64 // seconds of each run, -1 of an open one
	}{
		"neither names it":        {[]models.LiveKitEvent{started("EV_1", "IN_1", 0, ""), ended("EV_2", "IN_1", 60, "")}, map[string]float64{run("IN_1", 0): 60}},
		"in one second":           {[]models.LiveKitEvent{started("EV_1", "IN_1", 0, ""), ended("EV_2", "IN_1", 0, "")}, map[string]float64{run("IN_1", 0): 0}},
		"the end has its time":    {[]models.LiveKitEvent{started("EV_1", "IN_1", 0, ""), ended("EV_2", "IN_1", 60, `,"endedAt":"`+nanos(50)+`"`)}, map[string]float64{run("IN_1", 0): 50}},
		"the start names it":      {[]models.LiveKitEvent{started("EV_1", "IN_1", 1, `,"startedAt":"`+nanos(0)+`"`), ended("EV_2", "IN_1", 60, "")}, map[string]float64{run("IN_1", 0): 60}},
		"two runs":                {[]models.LiveKitEvent{started("EV_1", "IN_1", 0, ""), ended("EV_2", "IN_1", 60, ""), started("EV_3", "IN_1", 90, ""), ended("EV_4", "IN_1", 100, "")}, map[string]float64{run("IN_1", 0): 60, run("IN_1", 90): 10}},
		"the run ended before":    {[]models.LiveKitEvent{started("EV_1", "IN_1", 0, ""), ended("EV_2", "IN_1", 60, ""), ended("EV_3", "IN_1", 90, "")}, map[string]float64{run("IN_1", 0): 60}},
		"another ingress":         {[]models.LiveKitEvent{started("EV_1", "IN_1", 0, ""), started("EV_2", "IN_12", 10, ""), ended("EV_3", "IN_12", 60, "")}, map[string]float64{run("IN_1", 0): -1, run("IN_12", 10): 50}},
		"the run begins later":    {[]models.LiveKitEvent{ended("EV_1", "IN_1", 0, ""), started("EV_2", "IN_1", 60, "")}, map[string]float64{run("IN_1", 60): -1}},
		"nothing is known of one": {[]models.LiveKitEvent{ended("EV_1", "IN_1", 0, "")}, map[string]float64{}},
	} {
		for _, apart := range []bool{true, false} {
			r := newRig(t)
			record := func() {
				t.Helper()
				events := slices.Clone(c.events)
				for len(events) > 0 {
					n := len(events)
					if apart {
						n = 1
					}
					if err := r.record(t.Context(), events[:n]); err != nil {
						t.Fatal(err)
					}
					events = events[n:]
				}
			}
			got := func() map[string]float64 {
				out := map[string]float64{}
				for _, open := range []bool{true, false} {
					list, err := r.sessions.List(t.Context(), testProject, database.UsageSessionFilter{Subject: models.SubjectIngress, Open: &open}, 10)
					if err != nil {
						t.Fatal(err)
					}
					for i := range list {
						if out[list[i].ID] = list[i].LeftAt.Sub(list[i].JoinedAt).Seconds(); open {
							out[list[i].ID] = -1
						}
					}
				}
				return out
			}
			for _, times := range []string{"once", "twice"} {
				record()
				runs := got()
				if len(runs) != len(c.want) {
					t.Errorf("%s, apart %v, %s: %v", name, apart, times, runs)
				}
				for id, want := range c.want {
					if seconds, known := runs[id]; !known || seconds < want || seconds > want+1 {
						t.Errorf("%s, apart %v, %s: %v, want %v", name, apart, times, runs, c.want)
					}
				}
			}
		}
	}
}

func TestConsumersHearOfTheRunThatAnEndWithoutItsStartEnded(t *testing.T) {
	r := newRig(t)
	start := ofIngress(t, models.EventIngressStarted, "EV_1", "IN_1", 0, "")
	if err := r.record(t.Context(), []models.LiveKitEvent{start}); err != nil {
		t.Fatal(err)
	}
	for _, nth := range []string{"first", "second"} { // consumers may have failed the first time
		changes, err := r.metering.Record(t.Context(), []models.LiveKitEvent{ofIngress(t, models.EventIngressEnded, "EV_2", "IN_1", 60, "")})
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(changes, func(c Change) bool { return c.Session.ID == start.Media.ID }); i < 0 || changes[i].Session.Open {
			t.Errorf("the %s time: %+v", nth, changes)
		}
	}
}
