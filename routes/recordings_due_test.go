package routes_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

func TestAProjectWithManyRecordingsToStartDelaysNoOtherProject(t *testing.T) {
	s := newServer(t)
	ada, eve := s.recorder("ada", map[string]any{}), s.recorder("eve", map[string]any{})
	const many = 30
	for n := range many {
		s.opens(ada, fmt.Sprint("hall", n))
	}
	begun, release, heard := make(chan struct{}, many), make(chan struct{}), make(chan struct{})
	s.livekit.egress.started = func(info *livekit.EgressInfo) {
		if strings.HasPrefix(info.RoomName, eve.project) {
			close(heard)
			return
		}
		begun <- struct{}{}
		<-release // LiveKit looks for a worker
	}
	passed := make(chan error, 1)
	go func() {
		_, err := s.Egresses.StartDue(t.Context())
		passed <- err
	}()
	<-begun
	s.opens(eve, "daily") // while those are being started
	select {
	case <-heard:
	case <-time.After(20 * time.Second):
		t.Error("the other project's recording waits")
	}
	list, err := database.NewEgresses(s.engine).List(t.Context(), models.ProjectID(ada.project), database.EgressFilter{}, database.Page{Limit: many})
	claimed := 0
	for i := range list {
		claimed += int(list[i].Attempts)
	}
	if err != nil || len(list) != many || claimed == 0 || claimed > 4 {
		t.Errorf("%d of %d recordings are claimed, more than are being started: %v", claimed, len(list), err)
	}
	close(release)
	if err := <-passed; err != nil {
		t.Error(err)
	}
	if n := strings.Count(s.livekit.egress.calls(), "Start"); n != many+1 {
		t.Errorf("%d were started", n)
	}
}

func TestARecordingWhoseProjectOrClusterIsGoneIsNotRetriedForever(t *testing.T) {
	s := newServer(t)
	ada, eve := s.recorder("ada", map[string]any{}), s.recorder("eve", map[string]any{})
	s.opens(ada, "daily")
	s.opens(eve, "weekly")
	if _, err := s.engine.Delete(t.Context(), "projects", bson.D{{Key: "_id", Value: ada.project}}, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.engine.Update(t.Context(), "egresses", bson.D{{Key: "project_id", Value: eve.project}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "cluster", Value: "gone"}}}}, database.UpdateOptions{Many: true}); err != nil {
		t.Fatal(err)
	}
	for range 12 {
		s.startsDue()
		s.clock.Advance(30 * time.Second)
	}
	if list, err := database.NewEgresses(s.engine).List(t.Context(), models.ProjectID(ada.project), database.EgressFilter{}, database.Page{Limit: 9}); err != nil || len(list) != 0 {
		t.Errorf("the record of a project that is gone stays: %+v, %v", list, err)
	}
	if told := s.failedRecordings(eve); len(told) != 1 || told[0] != "weekly egress_not_started" {
		t.Errorf("told %q", told)
	}
	if strings.Contains(s.livekit.egress.calls(), "Start") {
		t.Error("LiveKit was asked")
	}
}
