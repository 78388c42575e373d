package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"

	"pulse-control-plane/e2e/harness"
)

// reconcileEvery is RECONCILE_INTERVAL in these tests.
const reconcileEvery = 3 * time.Second

// soaking is true for the long form of the test (make soak).
func soaking() bool { return os.Getenv("PULSE_SOAK") != "" }

// visit is one visit of a client in a room as the client measured it: it began
// between asked and in, and ended between leaving and out.
type visit struct {
	project                 int
	room, identity          string
	asked, in, leaving, out time.Time
}

func (v *visit) least() time.Duration { return v.leaving.Sub(v.in) }
func (v *visit) most() time.Duration  { return v.out.Sub(v.asked) }

// meteredInstallation is an installation whose webhooks pass through a relay.
func meteredInstallation(t *testing.T) (*installation, *harness.WebhookRelay) {
	t.Helper()
	return relayedInstallation(t, harness.LiveKitOptions{}, map[string]string{"RECONCILE_INTERVAL": reconcileEvery.String()})
}

// relayedInstallation is a metered installation with the given settings and without rate limits.
func relayedInstallation(t *testing.T, o harness.LiveKitOptions, env map[string]string) (*installation, *harness.WebhookRelay) {
	t.Helper()
	relay := harness.StartWebhookRelay(t)
	o.WebhookURLs, o.DepartureTimeout = []string{relay.URL}, 1
	liveKit := harness.StartLiveKit(t, liveKitBinary, o)
	env["RATE_LIMIT_PROJECT_PER_MINUTE"] = "0"
	pulse := harness.StartPulse(t, harness.PulseOptions{Binary: pulseBinary, LiveKit: liveKit, Env: env})
	relay.ForwardTo(pulse.URL + "/v1/webhooks/livekit")
	return &installation{LiveKit: liveKit, Pulse: pulse, API: pulse.API()}, relay
}

// crowd lets participants join and leave at random until ctx ends, and returns
// every visit.
func (i *installation) crowd(t *testing.T, ctx context.Context, projects []harness.Project, people int) []visit {
	t.Helper()
	// Three rooms in two projects.
	choices := []visit{{project: 0, room: "red"}, {project: 0, room: "green"}, {project: 1, room: "red"}}
	var mu sync.Mutex
	var visits []visit
	var all sync.WaitGroup
	for person := range people {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(person), 4))
			for n := 0; ctx.Err() == nil; n++ {
				v := choices[random.IntN(len(choices))]
				v.identity = fmt.Sprintf("person-%d-%d", person, n)
				// Pulse may be down; an app would retry.
				token, err := i.API.CreateToken(t.Context(), harness.AsServer(projects[v.project]),
					harness.TokenRequest{RoomName: v.room, ParticipantIdentity: v.identity})
				if err != nil {
					wait(ctx, 200*time.Millisecond)
					continue
				}
				v.asked = time.Now()
				p, err := harness.TryJoin(t.Context(), token.ServerURL, token.ParticipantToken)
				v.in = time.Now()
				if err != nil {
					t.Errorf("%s: %v", v.identity, err)
					return
				}
				v.leaving, v.out = attend(ctx, p, time.Second+time.Duration(random.IntN(8000))*time.Millisecond)
				mu.Lock()
				visits = append(visits, v)
				mu.Unlock()
				wait(ctx, time.Duration(random.IntN(1500))*time.Millisecond)
			}
		})
	}
	all.Wait()
	return visits
}

// attend keeps a participant in the room for a while, or until LiveKit
// disconnects them, and returns the times between which they left.
func attend(ctx context.Context, p *harness.Participant, d time.Duration) (leaving, out time.Time) {
	defer p.Leave()
	for until := time.Now().Add(d); time.Now().Before(until) && ctx.Err() == nil; {
		before := time.Now()
		wait(ctx, 50*time.Millisecond)
		if gone, _ := p.Disconnected(); gone {
			return before, time.Now()
		}
	}
	leaving = time.Now()
	p.Leave()
	return leaving, time.Now()
}

// wait lets a client idle for a while, because it measures time.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// usageSession is a usage session as /v1/usage/sessions returns it.
type usageSession struct {
	ID                  string     `json:"id"`
	ParticipantIdentity string     `json:"participant_identity"`
	RoomName            string     `json:"room_name"`
	LeftAt              *time.Time `json:"left_at"`
	DurationSeconds     float64    `json:"duration_seconds"`
	EndReason           *string    `json:"end_reason"`
	EventIDs            []string   `json:"event_ids"`
}

// sessions reads every usage session of a project.
func (i *installation) sessions(t *testing.T, p harness.Project) (all []usageSession, err error) {
	t.Helper()
	for path := "/v1/usage/sessions?limit=100"; ; {
		var page struct {
			Items      []usageSession `json:"items"`
			NextCursor *string        `json:"next_cursor"`
		}
		if err := i.API.Do(t.Context(), http.MethodGet, path, harness.AsServer(p), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.NextCursor == nil {
			return all, nil
		}
		path = "/v1/usage/sessions?limit=100&cursor=" + url.QueryEscape(*page.NextCursor)
	}
}

// totals fails unless the project's total over the whole test is the sum of its sessions.
func (i *installation) totals(t *testing.T, p harness.Project, sum float64) error {
	t.Helper()
	var report struct {
		Totals struct {
			ParticipantSeconds float64 `json:"participant_seconds"`
		} `json:"totals"`
	}
	if err := i.API.Do(t.Context(), http.MethodGet, "/v1/usage", harness.AsServer(p), nil, &report); err != nil {
		t.Fatal(err)
	}
	if total := report.Totals.ParticipantSeconds; total < sum-.01 || total > sum+.01 {
		return fmt.Errorf("the total is %v, its sessions %v", total, sum)
	}
	return nil
}

// settled waits until no usage session of a project is open and at least least
// are known, and returns them by identity. Each visit has its own identity, so a
// second usage session of an identity would be counted twice.
func (i *installation) settled(t *testing.T, p harness.Project, least int, within time.Duration) map[string]usageSession {
	t.Helper()
	var by map[string]usageSession
	harness.Eventually(t, within, "the end of every session", func() error {
		all, err := i.sessions(t, p)
		if err != nil {
			return err
		}
		by = map[string]usageSession{}
		for _, s := range all {
			if s.LeftAt == nil {
				return fmt.Errorf("%s of %s is open", s.ID, s.ParticipantIdentity)
			}
			if other, twice := by[s.ParticipantIdentity]; twice {
				return fmt.Errorf("%s is metered as %s and as %s", s.ParticipantIdentity, other.ID, s.ID)
			}
			by[s.ParticipantIdentity] = s
		}
		if len(by) < least {
			return fmt.Errorf("%d sessions of %d are known", len(by), least)
		}
		return nil
	})
	return by
}

func TestMeteredSecondsEqualTheSecondsClientsMeasured(t *testing.T) {
	in, _ := meteredInstallation(t)
	projects := []harness.Project{in.project(t, "acme"), in.project(t, "umbrella")}
	lasting, people := 12*time.Second, 8
	if soaking() {
		lasting, people = 60*time.Second, 20
	}
	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	visits := in.crowd(t, ctx, projects, people)
	for n, p := range projects {
		count := 0
		for i := range visits {
			if visits[i].project == n {
				count++
			}
		}
		metered := in.settled(t, p, count, 20*time.Second)
		if len(metered) != count {
			t.Errorf("%d sessions of %d visits", len(metered), count)
		}
		sum := 0.0
		for i := range visits {
			v := &visits[i]
			if v.project != n {
				continue
			}
			s := metered[v.identity]
			got := time.Duration(s.DurationSeconds * float64(time.Second))
			if got < v.least()-time.Second || got > v.most()+time.Second {
				t.Errorf("%s: %v metered, between %v and %v measured", v.identity, got, v.least(), v.most())
			}
			// participant_connection_aborted alone tells of a connection without media.
			if s.RoomName != v.room || len(s.EventIDs) < 1 {
				t.Errorf("%s: was in %q, metered in %q, proved by %v", v.identity, v.room, s.RoomName, s.EventIDs)
			}
			sum += s.DurationSeconds
		}
		// The end of a session is stored just before its usage facts.
		harness.Eventually(t, soon, "a total that is the sum of its sessions", func() error { return in.totals(t, p, sum) })
	}
	t.Logf("%d visits", len(visits))
}

func TestMeteringSurvivesLostAndRepeatedEventsAndKills(t *testing.T) {
	in, relay := meteredInstallation(t)
	projects := []harness.Project{in.project(t, "acme"), in.project(t, "umbrella")}
	lasting, people, cut := 30*time.Second, 8, 18*time.Second // LiveKit gives up after 15 s
	if soaking() {
		lasting, people, cut = 75*time.Second, 20, 40*time.Second
	}
	relay.Repeat(2)
	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	var faults sync.WaitGroup
	faults.Go(func() {
		wait(ctx, 4*time.Second)
		relay.Cut(true)
		wait(ctx, cut)
		relay.Cut(false)
	})
	faults.Go(func() {
		for range 3 {
			wait(ctx, lasting/5)
			if err := in.Pulse.Kill(); err != nil {
				t.Error(err)
			}
			wait(ctx, time.Second)
			in.Pulse.Restart(t)
		}
	})
	faults.Go(func() {
		wait(ctx, lasting*3/4)
		_, err := in.LiveKit.Rooms().DeleteRoom(t.Context(), &livekit.DeleteRoomRequest{Room: projects[0].ID() + "_green"})
		if err != nil {
			t.Logf("delete the room: %v", err) // it may have closed just now
		}
	})
	visits := in.crowd(t, ctx, projects, people)
	faults.Wait()

	for n, p := range projects {
		// LiveKit may retry the last event for 15 s, and the second
		// reconciliation after that finds what was lost.
		metered := in.settled(t, p, 0, 30*time.Second)
		var missing, corrected int
		for i := range visits {
			v := &visits[i]
			if v.project != n {
				continue
			}
			s, known := metered[v.identity]
			// A reconciliation reads its list within a second, or two while
			// Pulse is being killed.
			slack := reconcileEvery + 4*time.Second
			if !known {
				missing++
				if v.least() > slack {
					t.Errorf("%s was in the room for %v and has no usage session", v.identity, v.least())
				}
				continue
			}
			if s.EndReason != nil && *s.EndReason == "reconciled" {
				corrected++
			}
			got := time.Duration(s.DurationSeconds * float64(time.Second))
			if got < v.least()-slack || got > v.most()+slack {
				t.Errorf("%s: %v metered (%s), between %v and %v measured", v.identity, got, *s.EndReason, v.least(), v.most())
			}
		}
		// An event that LiveKit retries may still correct a usage session.
		harness.Eventually(t, 20*time.Second, "a total that is the sum of its sessions", func() error {
			sum := 0.0
			for _, s := range in.settled(t, p, 0, 10*time.Second) {
				sum += s.DurationSeconds
			}
			return in.totals(t, p, sum)
		})
		t.Logf("%d sessions known, %d too short to be seen, %d ended by reconciliation", len(metered), missing, corrected)
	}
}

func TestARevokedParticipantIsEvictedAndCannotReturn(t *testing.T) {
	in, _ := meteredInstallation(t)
	project := in.project(t, "acme")
	token := in.token(t, project, "daily", "mallory")
	mallory := harness.Join(t, token.ServerURL, token.ParticipantToken)
	out := func(p *harness.Participant) func() error {
		return func() error {
			if gone, reason := p.Disconnected(); !gone {
				return errors.New("still in the room")
			} else if reason != livekit.DisconnectReason_PARTICIPANT_REMOVED {
				return fmt.Errorf("left because of %s", reason)
			}
			return nil
		}
	}
	harness.Eventually(t, 10*time.Second, "the join event of mallory", func() error {
		all, err := in.sessions(t, project)
		if err == nil && len(all) == 0 {
			err = errors.New("no session")
		}
		return err
	})
	if err := in.API.Do(t.Context(), http.MethodPost, "/v1/tokens/revoke", harness.AsServer(project),
		map[string]any{"participant_identity": "mallory"}, nil); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, time.Second, "the eviction of mallory", out(mallory))
	_, err := in.API.CreateToken(t.Context(), harness.AsServer(project), harness.TokenRequest{RoomName: "daily", ParticipantIdentity: "mallory"})
	var refused *harness.APIError
	if !errors.As(err, &refused) || refused.Status != http.StatusForbidden || refused.Code != "participant_revoked" {
		t.Errorf("a new token: %v", err)
	}
	in.isEvicted(t, project, "mallory", 2, token)
}

// isEvicted joins a room with a token that no longer opens it and waits until the usage sessions say that the participant
// was evicted so many times in all, the last time within a second. The eviction may come before the client knows that it
// joined.
func (i *installation) isEvicted(t *testing.T, p harness.Project, identity string, times int, token harness.Token) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var entering sync.WaitGroup
	entering.Go(func() {
		if entered, err := harness.TryJoin(ctx, token.ServerURL, token.ParticipantToken); err == nil {
			<-ctx.Done()
			entered.Leave()
		}
	})
	defer entering.Wait()
	defer cancel()
	harness.Eventually(t, 10*time.Second, "the eviction of "+identity, func() error {
		all, err := i.sessions(t, p)
		if err != nil {
			return err
		}
		evicted := 0
		for _, s := range all {
			if s.ParticipantIdentity != identity {
				continue
			}
			if s.LeftAt == nil {
				return fmt.Errorf("%s is still in the room", s.ID)
			}
			if *s.EndReason != "participant_removed" {
				continue
			}
			// LiveKit reports ends in whole seconds: half a second is the precision.
			if evicted++; evicted == 1 && s.DurationSeconds > 1.5 { // latest first
				return fmt.Errorf("%s was in the room for %v s", s.ID, s.DurationSeconds)
			}
		}
		if evicted != times {
			return fmt.Errorf("evicted %d times", evicted)
		}
		return nil
	})
}
