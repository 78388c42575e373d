package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"

	"pulse-control-plane/e2e/egressworker"
	"pulse-control-plane/e2e/harness"
)

// stream is an ingress as /v1 shows it.
type stream struct {
	ID, Status, Name string
	Room             string     `json:"room_name"`
	StartedAt        *time.Time `json:"started_at"`
	EndedAt          *time.Time `json:"ended_at"`
}

// ingress calls /v1/media/ingress.
func (i *installation) ingress(t *testing.T, p harness.Project, method, path string, in, out any) error {
	t.Helper()
	return i.API.Do(t.Context(), method, "/v1/media/ingress"+path, harness.AsServer(p), in, out)
}

// streamIs checks the status of an ingress.
func (i *installation) streamIs(t *testing.T, p harness.Project, id, want string, last *stream) func() error {
	return func() error {
		*last = stream{}
		err := i.ingress(t, p, http.MethodGet, "/"+id, nil, last)
		if err == nil && last.Status != want {
			err = fmt.Errorf("it is %+v", *last)
		}
		return err
	}
}

// TestAnIngressFollowsItsStreamAndOnlyItsTenantReachesIt has everything but the media real.
func TestAnIngressFollowsItsStreamAndOnlyItsTenantReachesIt(t *testing.T) {
	t.Parallel()
	in := recordingInstallation(t, map[string]string{})
	node := harness.StartMediaNode(t, in.LiveKit.RedisAddress)
	acme, globex := in.project(t, "acme"), in.project(t, "globex")
	in.join(t, acme, "stage", "alice")
	room := in.rooms(t)[acme.ID()+"_stage"]
	if room == nil {
		t.Fatal("the room is not open")
	}
	var made struct {
		Ingress stream
		Key     string `json:"stream_key"`
	}
	err := in.ingress(t, acme, http.MethodPost, "/create", map[string]any{"input_type": "rtmp", "name": "camera", "room_name": "stage", "participant_identity": "obs"}, &made)
	if err != nil || made.Key == "" || made.Ingress.Status != "inactive" {
		t.Fatalf("made %+v, %v", made.Ingress, err)
	}
	id := made.Ingress.ID
	liveKit := lksdk.NewIngressClient(in.LiveKit.HTTPURL, in.LiveKit.APIKey, in.LiveKit.APISecret)
	kept := func() *livekit.IngressInfo {
		t.Helper()
		list, err := liveKit.ListIngress(t.Context(), &livekit.ListIngressRequest{})
		if err != nil || len(list.GetItems()) > 1 {
			t.Fatalf("LiveKit lists %v, %v", list.GetItems(), err)
		}
		return append(list.Items, nil)[0]
	}
	if info := kept(); info.GetIngressId() != id || info.GetStreamKey() != made.Key || info.GetRoomName() != acme.ID()+"_stage" {
		t.Errorf("LiveKit has %v", info)
	}
	var now stream
	if err := node.PublishIngress(t.Context(), id, room.GetSid()); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, soon, "the ingress publishes", in.streamIs(t, acme, id, "publishing", &now))
	wait(t.Context(), time.Second)
	if err := node.StopIngress(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, soon, "the stream ended", in.streamIs(t, acme, id, "inactive", &now))
	if now.StartedAt == nil || now.EndedAt == nil || now.EndedAt.Sub(*now.StartedAt) < time.Second {
		t.Fatalf("its run is %+v", now)
	}
	harness.Eventually(t, soon, "the run is metered", func() error {
		var usage struct{ Totals map[string]float64 }
		err := in.API.Do(t.Context(), http.MethodGet, "/v1/usage", harness.AsServer(acme), nil, &usage)
		want := now.EndedAt.Sub(*now.StartedAt).Seconds()
		if got := usage.Totals["ingress_seconds"]; err == nil && (got < want-0.0021 || got > want+0.0021) {
			err = fmt.Errorf("%.3f s, want %.3f", got, want)
		}
		return err
	})
	for method, body := range map[string]any{http.MethodGet: nil, http.MethodPatch: map[string]any{"enabled": false}, http.MethodDelete: nil} {
		if err := in.ingress(t, globex, method, "/"+id, body, nil); !is(err, http.StatusNotFound) {
			t.Errorf("%s by another tenant: %v", method, err)
		}
	}
	if err := in.ingress(t, acme, http.MethodPatch, "/"+id, map[string]any{"room_name": "hall"}, &now); err != nil || now.Room != "hall" || kept().GetRoomName() != acme.ID()+"_hall" {
		t.Errorf("moved: %+v, %v, LiveKit has %v", now, err, kept())
	}
	if err := in.ingress(t, acme, http.MethodDelete, "/"+id, nil, nil); err != nil || kept() != nil {
		t.Errorf("deleted: %v, LiveKit has %v", err, kept())
	}
}

func TestARoomThatATokenOpensIsRecordedIntoAFileOfItsProject(t *testing.T) {
	t.Parallel()
	in := egressInstallation(t)
	worker := harness.StartEgressWorker(t, in.LiveKit, egressworker.Config{})
	account, err := in.API.SignUp(t.Context(), "acme", "acme@example.com", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	project, err := in.API.CreateProject(t.Context(), account.Session, "acme")
	if err != nil {
		t.Fatal(err)
	}
	if err := in.API.Do(t.Context(), http.MethodPatch, "/v1/projects/"+project.ID(), harness.AsPerson(account.Session),
		map[string]any{"recording": map[string]any{"enabled": true, "layout": "grid"}}, nil); err != nil {
		t.Fatal(err)
	}
	in.publishing(t, project, "standup")
	var ids []string
	harness.Eventually(t, soon, "the room is recorded", func() error {
		if ids = in.listed(t, project); len(ids) != 1 || !strings.HasPrefix(ids[0], "EG_") {
			return fmt.Errorf("listed: %v", ids)
		}
		return in.recordingIs(t, project, ids[0], "active")()
	})
	wait(t.Context(), 2*time.Second)
	if _, err := in.media(t, project, http.MethodPost, "/stop", map[string]string{"egress_id": ids[0]}); err != nil {
		t.Error(err)
	}
	harness.Eventually(t, soon, "the recording is complete", in.recordingIs(t, project, ids[0], "complete"))
	done, err := in.media(t, project, http.MethodGet, "/"+ids[0], nil)
	if err != nil || len(done.Results) != 1 || !strings.HasPrefix(done.Results[0].Path, project.ID()+"/standup/") {
		t.Fatalf("%+v, %v", done, err)
	}
	content, err := os.ReadFile(filepath.Join(worker.Dir, filepath.Clean("/"+done.Results[0].Path)))
	if err != nil || bytes.Count(content, frame) < 50 {
		t.Errorf("%s has %d frames: %v", done.Results[0].Path, bytes.Count(content, frame), err)
	}
	if again := in.listed(t, project); len(again) != 1 {
		t.Errorf("recorded twice: %v", again)
	}
	in.meteredAs(t, project, in.egress(t, ids[0]))
}
