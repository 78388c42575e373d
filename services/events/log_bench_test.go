package events

import (
	"fmt"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

// BenchmarkTake tells tenants of LiveKit's events in batches as the inbox makes
// them under load; ns/op is of one event.
func BenchmarkTake(b *testing.B) {
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprintf("batches of %d", size), func(b *testing.B) {
			r := newRig(b)
			s := testkit.Must[*Sources](b)(NewSources(SourcesConfig{Log: r.Log, Projects: database.NewProjects(r.engine), Keys: database.NewAPIKeys(r.engine), Now: time.Now}))
			if err := database.NewProjects(r.engine).Insert(b.Context(), &models.Project{ID: testkit.Project, OrgID: testOrg}); err != nil {
				b.Fatal(err)
			}
			body := recordedBodies(b)[1]
			for n := 0; b.Loop(); {
				if n++; n%size != 0 {
					continue
				}
				batch := make([]models.LiveKitEvent, size)
				for i := range batch {
					batch[i] = models.LiveKitEvent{ID: fmt.Sprintf("EV_%d", n+i), Cluster: "key", Event: models.EventParticipantJoined, ProjectID: testkit.Project,
						RoomName: "daily", CreatedAt: time.Now(), ReceivedAt: time.Now(), Body: body}
				}
				if err := s.Take(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
