package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"

	"pulse-control-plane/e2e/egressworker"
	"pulse-control-plane/e2e/harness"
)

// recording is an egress as /v1 shows it.
type recording struct {
	ID, Type, Status string
	Room             string     `json:"room_name"`
	StartedAt        *time.Time `json:"started_at"`
	EndedAt          *time.Time `json:"ended_at"`
	Duration         float64    `json:"duration_seconds"`
	Error            *string
	Results          []struct {
		Kind, Path string
		Size       int64   `json:"size_bytes"`
		Duration   float64 `json:"duration_seconds"`
	}
}

// egressInstallation lets projects record on the worker's disk.
func egressInstallation(t *testing.T) *installation {
	t.Helper()
	return recordingInstallation(t, map[string]string{"EGRESS_LOCAL": "true"})
}

// media calls /v1/media/egress; the error is an *harness.APIError if Pulse refuses. Starts may take as long as LiveKit does.
func (i *installation) media(t *testing.T, p harness.Project, method, path string, in any) (recording, error) {
	t.Helper()
	var out recording
	err := i.API.Within(30*time.Second).Do(t.Context(), method, "/v1/media/egress"+path, harness.AsServer(p), in, &out)
	return out, err
}

func (i *installation) record(t *testing.T, p harness.Project, room string) (recording, error) {
	t.Helper()
	return i.media(t, p, http.MethodPost, "/start", map[string]any{"room_name": room, "type": "room_composite", "outputs": []any{map[string]string{"kind": "file"}}})
}

func (i *installation) recordingIs(t *testing.T, p harness.Project, id, want string) func() error {
	return func() error {
		got, err := i.media(t, p, http.MethodGet, "/"+id, nil)
		if err == nil && got.Status != want {
			err = fmt.Errorf("it is %+v", got)
		}
		return err
	}
}

// listed are the ids that a project's list of egresses shows.
func (i *installation) listed(t *testing.T, p harness.Project) []string {
	t.Helper()
	var list struct{ Items []recording }
	if err := i.API.Do(t.Context(), http.MethodGet, "/v1/media/egress", harness.AsServer(p), nil, &list); err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, r := range list.Items {
		ids = append(ids, r.ID)
	}
	return ids
}

// publishing lets somebody who is heard join a room.
func (i *installation) publishing(t *testing.T, p harness.Project, room string) {
	t.Helper()
	if _, err := i.join(t, p, room, "alice").PublishAudio("microphone", frame); err != nil {
		t.Fatal(err)
	}
}

func is(err error, status int) bool {
	var problem *harness.APIError
	return errors.As(err, &problem) && problem.Status == status
}

func TestARecordingRunsFromStartToAFileAndIsMeteredAsLongAsTheWorkerRecorded(t *testing.T) {
	t.Parallel()
	in := egressInstallation(t)
	worker := harness.StartEgressWorker(t, in.LiveKit, egressworker.Config{StartsAfter: time.Second})
	project := in.project(t, "acme")
	in.publishing(t, project, "standup")
	started, err := in.record(t, project, "standup")
	if err != nil || started.Status != "starting" || started.ID == "" {
		t.Fatalf("%+v, %v", started, err)
	}
	id := started.ID
	harness.Eventually(t, soon, "the recording is active", in.recordingIs(t, project, id, "active"))
	wait(t.Context(), 2*time.Second)
	if stopped, err := in.media(t, project, http.MethodPost, "/stop", map[string]string{"egress_id": id}); err != nil || stopped.Status != "ending" && stopped.Status != "complete" {
		t.Errorf("stopped: %+v, %v", stopped, err)
	}
	harness.Eventually(t, soon, "the recording is complete", in.recordingIs(t, project, id, "complete"))
	done, err := in.media(t, project, http.MethodGet, "/"+id, nil)
	if err != nil || len(done.Results) != 1 || done.StartedAt == nil || done.EndedAt == nil {
		t.Fatalf("%+v, %v", done, err)
	}
	file := done.Results[0]
	content, err := os.ReadFile(filepath.Join(worker.Dir, filepath.Clean("/"+file.Path)))
	if err != nil || bytes.Count(content, frame) < 50 || int64(len(content)) != file.Size {
		t.Errorf("%s has %d bytes with %d frames, its result says %d: %v", file.Path, len(content), bytes.Count(content, frame), file.Size, err)
	}
	recorded := in.egress(t, id)
	if want := time.Duration(recorded.EndedAt - recorded.StartedAt).Seconds(); done.Duration < want-0.003 || done.Duration > want+0.003 {
		t.Errorf("%.3f s, the worker recorded %.3f", done.Duration, want)
	}
	in.meteredAs(t, project, recorded)
}

func TestAStopBeforeARecordingIsActiveWaitsForItAndLeavesAFile(t *testing.T) {
	t.Parallel()
	in := egressInstallation(t)
	harness.StartEgressWorker(t, in.LiveKit, egressworker.Config{StartsAfter: 3 * time.Second})
	project := in.project(t, "acme")
	in.publishing(t, project, "standup")
	started, err := in.record(t, project, "standup")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.media(t, project, http.MethodPost, "/stop", map[string]string{"egress_id": started.ID}); err != nil {
		t.Error(err)
	}
	harness.Eventually(t, soon, "the recording is complete, not aborted", in.recordingIs(t, project, started.ID, "complete"))
}

func TestAStartWithoutAWorkerIsUnavailableWithin25SecondsAndStaysAsFailed(t *testing.T) {
	t.Parallel()
	in := egressInstallation(t)
	project := in.project(t, "acme")
	in.publishing(t, project, "standup")
	began := time.Now()
	_, err := in.record(t, project, "standup")
	took := time.Since(began)
	t.Logf("refused after %s: %v", took.Round(time.Millisecond), err)
	if !is(err, http.StatusServiceUnavailable) || took > 25*time.Second {
		t.Errorf("after %s: %v, want 503 within 25 s", took, err)
	}
	ids := in.listed(t, project)
	if len(ids) != 1 {
		t.Fatalf("listed: %v", ids)
	}
	if got, err := in.media(t, project, http.MethodGet, "/"+ids[0], nil); err != nil || got.Status != "failed" || got.Error == nil || *got.Error == "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTenantsNeitherSeeNorStopEachOthersRecordings(t *testing.T) {
	t.Parallel()
	in := egressInstallation(t)
	harness.StartEgressWorker(t, in.LiveKit, egressworker.Config{})
	projects := []harness.Project{in.project(t, "acme"), in.project(t, "globex")}
	var ids []string
	for _, p := range projects {
		in.publishing(t, p, "standup")
		started, err := in.record(t, p, "standup")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, started.ID)
		harness.Eventually(t, soon, "the recording is active", in.recordingIs(t, p, started.ID, "active"))
	}
	for n, p := range projects {
		own, other := ids[n], ids[1-n]
		if list := in.listed(t, p); len(list) != 1 || list[0] != own {
			t.Errorf("project %d lists %v, want %s", n, list, own)
		}
		if _, err := in.media(t, p, http.MethodGet, "/"+other, nil); !is(err, http.StatusNotFound) {
			t.Errorf("reading the other's: %v", err)
		}
		if _, err := in.media(t, p, http.MethodPost, "/stop", map[string]string{"egress_id": other}); !is(err, http.StatusNotFound) {
			t.Errorf("stopping the other's: %v", err)
		}
		if _, err := in.media(t, p, http.MethodPatch, "/"+other, map[string]string{"layout": "speaker"}); !is(err, http.StatusNotFound) {
			t.Errorf("changing the other's: %v", err)
		}
	}
	for n, p := range projects {
		if got := in.egress(t, ids[n]); got.Status != livekit.EgressStatus_EGRESS_ACTIVE {
			t.Errorf("the recording of project %d is %v", n, got.Status)
		}
		if _, err := in.media(t, p, http.MethodPost, "/stop", map[string]string{"egress_id": ids[n]}); err != nil {
			t.Error(err)
		}
		harness.Eventually(t, soon, "the recording is complete", in.recordingIs(t, p, ids[n], "complete"))
		in.meteredAs(t, p, in.egress(t, ids[n]))
	}
}
