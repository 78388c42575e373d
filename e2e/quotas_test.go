package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"

	"pulse-control-plane/e2e/harness"
)

// operatorToken is the PULSE_ADMIN_TOKEN of these tests.
const operatorToken = "operator-of-the-end-to-end-tests-0123456789"

// quotaGrace is QUOTA_GRACE in these tests.
const quotaGrace = 2 * time.Second

// limitedInstallation is an installation with an operator and LiveKit's events.
func limitedInstallation(t *testing.T, o harness.LiveKitOptions) *installation {
	t.Helper()
	in, _ := relayedInstallation(t, o, map[string]string{"PULSE_ADMIN_TOKEN": operatorToken, "QUOTA_GRACE": quotaGrace.String()})
	return in
}

// limited creates a project and sets its limits as the operator.
func (i *installation) limited(t *testing.T, name string, limits map[string]any) harness.Project {
	t.Helper()
	p := i.project(t, name)
	err := i.API.Do(t.Context(), http.MethodPatch, "/v1/projects/"+p.ID(), http.Header{"Authorization": {"Bearer " + operatorToken}},
		map[string]any{"limits": limits}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// quotaReport is the checked part of GET /v1/usage/quota.
type quotaReport struct {
	Quotas map[string]struct {
		Used     float64 `json:"used"`
		Reserved float64 `json:"reserved"`
	} `json:"quotas"`
	Events []struct {
		Type  string `json:"type"`
		Quota string `json:"quota"`
	} `json:"events"`
}

func (i *installation) quota(t *testing.T, p harness.Project) (report quotaReport) {
	t.Helper()
	if err := i.API.Do(t.Context(), http.MethodGet, "/v1/usage/quota", harness.AsServer(p), nil, &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// ask mints a token with the key alone; refused is true if a quota is exhausted.
func (i *installation) ask(t *testing.T, p harness.Project, room, identity string) (token harness.Token, refused bool, err error) {
	return i.askAs(t, harness.AsClient(p), room, identity)
}

// askAsServer is ask with key and secret, which may reserve every slot.
func (i *installation) askAsServer(t *testing.T, p harness.Project, room, identity string) (token harness.Token, refused bool, err error) {
	return i.askAs(t, harness.AsServer(p), room, identity)
}

func (i *installation) askAs(t *testing.T, as http.Header, room, identity string) (token harness.Token, refused bool, err error) {
	token, err = i.API.CreateToken(t.Context(), as, harness.TokenRequest{RoomName: room, ParticipantIdentity: identity})
	var no *harness.APIError
	refused = errors.As(err, &no) && no.Status == http.StatusPaymentRequired && no.Code == "quota_exceeded"
	return token, refused, err
}

func TestABurstOfMintsAcrossAKillAdmitsNoMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	in := limitedInstallation(t, harness.LiveKitOptions{})
	project := in.limited(t, "acme", map[string]any{"concurrent_participants": 50})
	var let, refused atomic.Int64
	var all sync.WaitGroup
	for n := range 200 {
		all.Go(func() {
			for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
				// After a lost response the next request uses a new identity, as another person would.
				_, no, err := in.askAsServer(t, project, "hall", fmt.Sprintf("person-%d-%d", n, time.Now().UnixNano()))
				if err == nil {
					let.Add(1)
					return
				}
				if no {
					refused.Add(1)
					return
				}
				wait(t.Context(), 100*time.Millisecond)
			}
			t.Error("neither admitted nor refused")
		})
	}
	harness.Eventually(t, 10*time.Second, "the first admissions", func() error {
		if let.Load() < 5 {
			return errors.New("too few")
		}
		return nil
	})
	if err := in.Pulse.Kill(); err != nil {
		t.Fatal(err)
	}
	in.Pulse.Restart(t)
	all.Wait()
	if q := in.quota(t, project).Quotas["concurrent_participants"]; let.Load() > 50 || let.Load()+refused.Load() != 200 || q.Reserved != 50 {
		t.Errorf("%d admitted and %d refused; %v slots are reserved", let.Load(), refused.Load(), q.Reserved)
	}
	t.Logf("%d admitted, %d refused", let.Load(), refused.Load())
}

func TestAParticipantWhoReturnsOverTheLimitIsEvicted(t *testing.T) {
	t.Parallel()
	in := limitedInstallation(t, harness.LiveKitOptions{})
	project := in.limited(t, "acme", map[string]any{"concurrent_participants": 2})
	ann, bob := in.token(t, project, "daily", "ann"), in.token(t, project, "daily", "bob")
	first := harness.Join(t, ann.ServerURL, ann.ParticipantToken)
	harness.Join(t, bob.ServerURL, bob.ParticipantToken)
	present := func(want float64) {
		t.Helper()
		harness.Eventually(t, 10*time.Second, "every participant to be counted", func() error {
			if q := in.quota(t, project).Quotas["concurrent_participants"]; q.Used != want || q.Reserved != 0 {
				return fmt.Errorf("%v used, %v reserved", q.Used, q.Reserved)
			}
			return nil
		})
	}
	present(2)
	if _, refused, err := in.ask(t, project, "daily", "cyd"); !refused {
		t.Errorf("a third token: %v", err)
	}
	first.Leave()
	present(1)
	in.join(t, project, "daily", "cyd")
	present(2)
	in.isEvicted(t, project, "ann", 1, ann) // with the token she had before
	present(2)
}

func TestAnExhaustedMonthClosesRoomsAfterTheGracePeriod(t *testing.T) {
	t.Parallel()
	in := limitedInstallation(t, harness.LiveKitOptions{})
	project := in.limited(t, "acme", map[string]any{"participant_minutes_per_month": 1})
	var people []*harness.Participant
	for n := range 8 {
		people = append(people, in.join(t, project, fmt.Sprint("room-", n%2), fmt.Sprint("person-", n)))
	}
	var over time.Time
	harness.Eventually(t, 30*time.Second, "the minute to be exhausted", func() error {
		_, refused, err := in.ask(t, project, "room-0", "late")
		if !refused {
			return fmt.Errorf("a token: %v", err)
		}
		over = time.Now()
		return nil
	})
	for _, p := range people {
		harness.Eventually(t, 20*time.Second, "the end of every room", func() error {
			if gone, reason := p.Disconnected(); !gone || reason != livekit.DisconnectReason_ROOM_DELETED {
				return fmt.Errorf("disconnected %v, because of %s", gone, reason)
			}
			return nil
		})
	}
	if took := time.Since(over); took < quotaGrace-time.Second {
		t.Errorf("the rooms ended %v after the first refusal, within the grace period", took)
	}
	told := map[string]bool{}
	for _, e := range in.quota(t, project).Events {
		told[e.Type+" "+e.Quota] = true
	}
	if !told["quota.warning participant_minutes_per_month"] || !told["quota.exceeded participant_minutes_per_month"] {
		t.Errorf("quota events %v", told)
	}
}

func TestExhaustedEgressMinutesStopEgresses(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	in := limitedInstallation(t, harness.LiveKitOptions{RedisAddress: redis})
	node := harness.StartMediaNode(t, redis)
	project := in.limited(t, "acme", map[string]any{"egress_minutes_per_month": 1})
	in.join(t, project, "stage", "singer")
	client := lksdk.NewEgressClient(in.LiveKit.HTTPURL, in.LiveKit.APIKey, in.LiveKit.APISecret)
	for range 8 {
		recording, err := client.StartRoomCompositeEgress(t.Context(), &livekit.RoomCompositeEgressRequest{
			RoomName: project.ID() + "_stage", Layout: "grid",
			FileOutputs: []*livekit.EncodedFileOutput{{FileType: livekit.EncodedFileType_MP4, Filepath: "recording.mp4"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := node.RunEgress(t.Context(), recording.GetEgressId()); err != nil {
			t.Fatal(err)
		}
	}
	harness.Eventually(t, 40*time.Second, "the end of every egress", func() error {
		list, err := client.ListEgress(t.Context(), &livekit.ListEgressRequest{})
		if err != nil {
			return err
		}
		for _, e := range list.GetItems() {
			if e.GetStatus() != livekit.EgressStatus_EGRESS_ENDING {
				return fmt.Errorf("%s is %s", e.GetEgressId(), e.GetStatus())
			}
		}
		return nil
	})
	for _, e := range in.quota(t, project).Events {
		if e.Type == "quota.exceeded" && e.Quota == "egress_minutes_per_month" {
			return
		}
	}
	t.Error("there is no quota event")
}
