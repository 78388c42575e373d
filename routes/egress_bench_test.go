package routes_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/media"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/utils/ids"
)

// Two of the record: before LiveKit is asked and after it answered. One of the audit
// trail: until then the record says who asked.
func TestAStartOfAnEgressWritesItsRecordTwiceAndItsAuditEntryOnce(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.records(ada.asOwn)
	for range 3 {
		before, reads := s.engine.writes.Load(), s.engine.reads.Load()
		s.records(ada.asOwn)
		if n := s.engine.writes.Load() - before; n != 3 {
			t.Errorf("%d writes", n)
		}
		if n := s.engine.reads.Load() - reads; n != 0 {
			t.Errorf("%d reads", n)
		}
	}
}

// BenchmarkStartOfAnEgress reports what Pulse adds to LiveKit's own time: the median
// of whole requests less that of LiveKit's part in them.
func BenchmarkStartOfAnEgress(b *testing.B) {
	s := newServer(b)
	ada := s.tenant("ada")
	var answered time.Time
	s.livekit.egress.started = func(*livekit.EgressInfo) { answered = time.Now() }
	before, after := make([]time.Duration, 0, b.N), make([]time.Duration, 0, b.N)
	project, err := database.NewProjects(s.engine).Named(b.Context(), models.ProjectID(ada.project))
	if err != nil {
		b.Fatal(err)
	}
	actor := &models.Principal{Kind: models.CallerServerKey, OrgID: project.OrgID, Project: &project, Scopes: models.Scopes()}
	for b.Loop() {
		began := time.Now()
		if _, err := s.Egresses.Start(b.Context(), actor, media.EgressInput{Type: models.EgressRoomComposite, RoomName: "hall",
			Outputs: []media.OutputInput{{EgressOutput: models.EgressOutput{Kind: models.OutputFile}}}}); err != nil {
			b.Fatal(err)
		}
		before, after = append(before, answered.Sub(began)), append(after, time.Since(answered))
	}
	median := func(all []time.Duration) float64 {
		slices.Sort(all)
		return float64(all[len(all)/2].Microseconds()) / 1000
	}
	b.ReportMetric(median(before), "ms-before")
	b.ReportMetric(median(after), "ms-after")
}

// BenchmarkListOfEgresses reads pages of 10,000 egresses of a project.
func BenchmarkListOfEgresses(b *testing.B) {
	s := newServer(b)
	ada := s.tenant("ada")
	store := database.NewEgresses(s.engine)
	for n := range 10_000 {
		e := &models.Egress{ID: models.EgressID(ids.New(models.EgressPrefix)), EgressID: fmt.Sprint("EG_", n), ProjectID: models.ProjectID(ada.project), Type: models.EgressRoomComposite,
			RoomName: fmt.Sprint("room", n%100), Status: models.EgressComplete, Outputs: []models.EgressOutput{{Kind: models.OutputFile, Path: "p/f.mp4"}},
			Results: []models.EgressResult{{Kind: models.OutputFile, Path: "p/f.mp4", SizeBytes: 1}}, CreatedAt: s.clock.Now()}
		if err := store.Insert(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
	project, err := database.NewProjects(s.engine).Named(b.Context(), models.ProjectID(ada.project))
	if err != nil {
		b.Fatal(err)
	}
	for name, q := range map[string]media.EgressQuery{"all": {}, "by status": {Status: models.EgressComplete}, "by room": {RoomName: "room7"}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				page, err := s.Egresses.List(b.Context(), &models.Principal{Kind: models.CallerServerKey, OrgID: project.OrgID, Project: &project, Scopes: models.Scopes()}, q, paging.Request{Limit: 100})
				if err != nil || len(page.Items) != 100 {
					b.Fatal(len(page.Items), err)
				}
			}
		})
	}
}
