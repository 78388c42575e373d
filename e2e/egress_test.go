package e2e_test

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"

	"pulse-control-plane/e2e/egressworker"
	"pulse-control-plane/e2e/harness"
)

// recordingInstallation is a metered installation whose LiveKit has a Redis, without an egress worker.
func recordingInstallation(t *testing.T, env map[string]string) *installation {
	t.Helper()
	in, _ := relayedInstallation(t, harness.LiveKitOptions{RedisAddress: harness.StartRedisServer(t)}, env)
	return in
}

// egressClient is LiveKit's own API.
func (i *installation) egressClient() *lksdk.EgressClient {
	return lksdk.NewEgressClient(i.LiveKit.HTTPURL, i.LiveKit.APIKey, i.LiveKit.APISecret)
}

// egress is one egress as LiveKit keeps it.
func (i *installation) egress(t *testing.T, id string) *livekit.EgressInfo {
	t.Helper()
	list, err := i.egressClient().ListEgress(t.Context(), &livekit.ListEgressRequest{EgressId: id})
	if err != nil || len(list.GetItems()) != 1 {
		t.Fatalf("LiveKit lists %v, %v", list.GetItems(), err)
	}
	return list.Items[0]
}

// sessionOfEgress is what Pulse meters of an egress.
type sessionOfEgress struct {
	ID       string    `json:"id"`
	Room     string    `json:"room_name"`
	JoinedAt time.Time `json:"joined_at"`
	LeftAt   time.Time `json:"left_at"`
	Duration float64   `json:"duration_seconds"`
	Events   []string  `json:"event_ids"`
	Reason   string    `json:"end_reason"`
}

func (i *installation) meteredEgress(t *testing.T, p harness.Project, id string) (s sessionOfEgress, err error) {
	t.Helper()
	err = i.API.Do(t.Context(), http.MethodGet, "/v1/usage/sessions/"+id, harness.AsServer(p), nil, &s)
	return s, err
}

// meteredAs waits until the session of an egress has ended and checks that it and the totals are as long as the recording.
func (i *installation) meteredAs(t *testing.T, p harness.Project, recorded *livekit.EgressInfo) {
	t.Helper()
	want := time.Duration(recorded.EndedAt - recorded.StartedAt).Seconds()
	harness.Eventually(t, soon, "the egress is metered", func() error {
		s, err := i.meteredEgress(t, p, recorded.EgressId)
		if err != nil {
			return err
		}
		if s.LeftAt.IsZero() || math.Abs(s.Duration-want) > 0.0021 { // two times, each to the millisecond
			return fmt.Errorf("%+v, want %.3f s", s, want)
		}
		var usage struct{ Totals map[string]float64 }
		if err := i.API.Do(t.Context(), http.MethodGet, "/v1/usage", harness.AsServer(p), nil, &usage); err != nil {
			return err
		}
		if got := usage.Totals["egress_seconds"]; math.Abs(got-want) > 0.0021 {
			return fmt.Errorf("total %.3f s, want %.3f", got, want)
		}
		return nil
	})
}

// TestAnEgressOfLiveKitIsMeteredAsLongAsTheWorkerRecorded starts the egress with LiveKit's own API.
func TestAnEgressOfLiveKitIsMeteredAsLongAsTheWorkerRecorded(t *testing.T) {
	t.Parallel()
	in := recordingInstallation(t, map[string]string{})
	worker := harness.StartEgressWorker(t, in.LiveKit, egressworker.Config{})
	project := in.project(t, "acme")
	alice := in.join(t, project, "standup", "alice")
	if _, err := alice.PublishAudio("microphone", frame); err != nil {
		t.Fatal(err)
	}
	started, err := in.egressClient().StartRoomCompositeEgress(t.Context(), &livekit.RoomCompositeEgressRequest{
		RoomName:    project.ID() + "_standup",
		FileOutputs: []*livekit.EncodedFileOutput{{FileType: livekit.EncodedFileType_MP4, Filepath: "acme/standup.mp4"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	id := started.EgressId
	harness.Eventually(t, soon, "the egress is active", in.egressIs(t, id, livekit.EgressStatus_EGRESS_ACTIVE))
	wait(t.Context(), 2*time.Second)
	if _, err := in.egressClient().StopEgress(t.Context(), &livekit.StopEgressRequest{EgressId: id}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, soon, "the egress is complete", in.egressIs(t, id, livekit.EgressStatus_EGRESS_COMPLETE))
	recorded := in.egress(t, id)
	content, err := os.ReadFile(filepath.Join(worker.Dir, "acme", "standup.mp4"))
	if err != nil || bytes.Count(content, frame) < 50 || int64(len(content)) != recorded.FileResults[0].Size {
		t.Errorf("the file has %d bytes with %d frames, LiveKit says %d: %v", len(content), bytes.Count(content, frame), recorded.FileResults[0].Size, err)
	}
	in.meteredAs(t, project, recorded)
}

func (i *installation) egressIs(t *testing.T, id string, want livekit.EgressStatus) func() error {
	return func() error {
		if info := i.egress(t, id); info.Status != want {
			return fmt.Errorf("it is %v: %s", info.Status, info.Error)
		}
		return nil
	}
}
