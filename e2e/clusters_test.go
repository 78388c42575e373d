package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pulse-control-plane/e2e/harness"
)

// failedOver bounds how long tokens may be minted for a cluster that is down.
const failedOver = 15 * time.Second

// twoClusters is a Pulse with two clusters in one region, "default" and "two". Each has a LiveKit without Redis, and its
// webhooks pass a relay.
type twoClusters struct {
	*installation
	clusters map[string]*harness.LiveKit
	relays   map[string]*harness.WebhookRelay
}

const adminToken = "operator-of-the-clusters-in-the-tests"

func startTwoClusters(t *testing.T) *twoClusters {
	t.Helper()
	c := &twoClusters{clusters: map[string]*harness.LiveKit{}, relays: map[string]*harness.WebhookRelay{}}
	for _, name := range []string{"default", "two"} {
		c.relays[name] = harness.StartWebhookRelay(t)
		c.clusters[name] = harness.StartLiveKit(t, liveKitBinary, harness.LiveKitOptions{APIKey: "API" + name, WebhookURLs: []string{c.relays[name].URL}})
	}
	two := c.clusters["two"]
	file := filepath.Join(t.TempDir(), "clusters.yaml")
	text := fmt.Sprintf("clusters:\n  - {name: two, region: eu, url: %q, keys: [{key: %s, secret: %s}]}\n", two.URL, two.APIKey, two.APISecret)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	pulse := harness.StartPulse(t, harness.PulseOptions{Binary: pulseBinary, LiveKit: c.clusters["default"], Env: map[string]string{
		"LIVEKIT_CLUSTERS_FILE": file, "LIVEKIT_REGION": "eu", "RECONCILE_INTERVAL": "1s", "RATE_LIMIT_PROJECT_PER_MINUTE": "0",
		"PULSE_ADMIN_TOKEN": adminToken}})
	for _, relay := range c.relays {
		relay.ForwardTo(pulse.URL + "/v1/webhooks/livekit")
	}
	c.installation = &installation{LiveKit: c.clusters["default"], Pulse: pulse, API: pulse.API()}
	return c
}

// of names the cluster with a URL.
func (c *twoClusters) of(t *testing.T, url string) string {
	t.Helper()
	for name, l := range c.clusters {
		if l.URL == url {
			return name
		}
	}
	t.Fatalf("no cluster has the URL %s", url)
	return ""
}

// fill opens a room on each cluster, with two people who hear each other, and returns the rooms and people by cluster.
func (c *twoClusters) fill(t *testing.T, p harness.Project) (rooms map[string]string, people map[string][2]*harness.Participant) {
	t.Helper()
	rooms, people = map[string]string{}, map[string][2]*harness.Participant{}
	n := 0
	// New rooms go to the emptier cluster as soon as a probe has counted the people of the other one.
	harness.Eventually(t, failedOver, "rooms open on both clusters", func() error {
		n++
		room := fmt.Sprintf("room-%d", n)
		token := c.token(t, p, room, "alice")
		cluster := c.of(t, token.ServerURL)
		if rooms[cluster] == "" {
			rooms[cluster] = room
			alice, bob := harness.Join(t, token.ServerURL, token.ParticipantToken), c.join(t, p, room, "bob")
			if _, err := alice.PublishAudio("microphone", frame); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, soon, "bob hears alice", func() error { return bob.HeardFrom("alice", frame) })
			people[cluster] = [2]*harness.Participant{alice, bob}
		}
		if len(rooms) < 2 {
			wait(t.Context(), 200*time.Millisecond)
			return fmt.Errorf("all of %d rooms are on one cluster", n)
		}
		return nil
	})
	return rooms, people
}

// minted is a token as somebody got it.
type minted struct {
	asked, at     time.Time
	room, cluster string
}

// mintUntil mints for rooms and for new ones, by both grades, until ctx ends. A token that is refused fails the test.
func (c *twoClusters) mintUntil(ctx context.Context, t *testing.T, p harness.Project, rooms map[string]string) []minted {
	var mu sync.Mutex
	var all []minted
	var minting sync.WaitGroup
	for who, header := range map[string]http.Header{"client": harness.AsClient(p), "server": harness.AsServer(p)} {
		minting.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				for _, room := range []string{rooms["default"], rooms["two"], fmt.Sprintf("new-%s-%d", who, n)} {
					asked := time.Now()
					token, err := c.API.CreateToken(t.Context(), header, harness.TokenRequest{RoomName: room, ParticipantIdentity: "minting-" + who})
					if err != nil {
						t.Errorf("a token for %s: %v", room, err)
						return
					}
					mu.Lock()
					all = append(all, minted{asked, time.Now(), room, token.ServerURL})
					mu.Unlock()
				}
				wait(ctx, 100*time.Millisecond)
			}
		})
	}
	minting.Wait()
	return all
}

// open lists the rooms and the identities of the open usage sessions of a project.
func (c *twoClusters) open(t *testing.T, p harness.Project) map[string]bool {
	t.Helper()
	var list struct {
		Items []struct {
			Room     string `json:"room_name"`
			Identity string `json:"participant_identity"`
		} `json:"items"`
	}
	if err := c.API.Do(t.Context(), http.MethodGet, "/v1/usage/sessions?open=true&limit=100", harness.AsServer(p), nil, &list); err != nil {
		t.Fatal(err)
	}
	open := map[string]bool{}
	for _, s := range list.Items {
		open[s.Room+"/"+s.Identity] = true
	}
	return open
}

func TestNoTokenIsMintedForADeadClusterAndRoomsOnTheLivingOneGoOn(t *testing.T) {
	for dead, living := range map[string]string{"default": "two", "two": "default"} {
		t.Run(dead, func(t *testing.T) {
			t.Parallel()
			c := startTwoClusters(t)
			project := c.project(t, "acme")
			rooms, people := c.fill(t, project)
			harness.Eventually(t, soon, "four people are metered", func() error {
				if open := c.open(t, project); len(open) != 4 {
					return fmt.Errorf("open: %v", open)
				}
				return nil
			})
			minting, stop := context.WithCancel(t.Context())
			result := make(chan []minted, 1)
			go func() { result <- c.mintUntil(minting, t, project, rooms) }()
			wait(t.Context(), time.Second)
			killed := time.Now()
			if err := c.clusters[dead].Kill(); err != nil {
				t.Fatal(err)
			}
			wait(t.Context(), failedOver+3*time.Second)
			stop()
			tokens := <-result

			deadURL, livingURL := c.clusters[dead].URL, c.clusters[living].URL
			var last time.Duration
			before, after := 0, 0
			for _, m := range tokens {
				switch {
				case m.at.Before(killed):
					before++
					if want := c.clusters[dead].URL; m.room == rooms[dead] && m.cluster != want {
						t.Errorf("a token for the room %s, which is open on %s, carries %s", m.room, want, m.cluster)
					}
				case m.cluster == deadURL:
					last = max(last, m.asked.Sub(killed))
				case m.asked.Sub(killed) > failedOver:
					after++
				}
				if m.room == rooms[living] && m.cluster != livingURL {
					t.Errorf("a token for the room %s of the living cluster carries %s", m.room, m.cluster)
				}
			}
			t.Logf("%d tokens; the last one for the dead cluster was asked for %s after it was killed", len(tokens), last.Round(time.Millisecond))
			if before == 0 || after == 0 || last > failedOver {
				t.Errorf("%d tokens before and %d after; the last one for the dead cluster %s after it was killed, want within %s", before, after, last, failedOver)
			}
			for i, who := range people[living] {
				if err := who.Undisturbed(); err != nil {
					t.Errorf("participant %d of the living cluster: %v", i, err)
				}
			}
			again := []byte("still here")
			if _, err := people[living][1].PublishAudio("microphone", again); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, soon, "alice hears bob, who published after the other cluster had died", func() error {
				return people[living][0].HeardFrom("bob", again)
			})
			c.meteredWhileOneIsDead(t, project, rooms, people, dead, living)

			// The dead cluster's room goes on: its people join it on the other one.
			moved := c.join(t, project, rooms[dead], "alice")
			if err := moved.SendData("chat", "back"); err != nil {
				t.Error(err)
			}
			c.shows(t, dead)
		})
	}
}

// meteredWhileOneIsDead lets somebody leave the living cluster without an event: reconciliation ends that usage session and
// none of the dead cluster's.
func (c *twoClusters) meteredWhileOneIsDead(t *testing.T, p harness.Project, rooms map[string]string, people map[string][2]*harness.Participant, dead, living string) {
	t.Helper()
	c.relays[living].Cut(true)
	people[living][0].Leave()
	harness.Eventually(t, soon, "the lost event is corrected", func() error {
		if open := c.open(t, p); open[rooms[living]+"/alice"] {
			return fmt.Errorf("open: %v", open)
		}
		return nil
	})
	c.relays[living].Cut(false)
	open := c.open(t, p)
	if !open[rooms[dead]+"/alice"] || !open[rooms[dead]+"/bob"] || !open[rooms[living]+"/bob"] {
		t.Errorf("open: %v, want bob on the living cluster and both on the dead one", open)
	}
}

// shows checks that the operator sees which cluster is down.
func (c *twoClusters) shows(t *testing.T, dead string) {
	t.Helper()
	var list struct {
		Items []struct{ Name, Status string } `json:"items"`
	}
	if err := c.API.Do(t.Context(), http.MethodGet, "/v1/clusters", http.Header{"Authorization": {"Bearer " + adminToken}}, nil, &list); err != nil {
		t.Fatal(err)
	}
	for _, cluster := range list.Items {
		if want := map[bool]string{true: "down", false: "operational"}[cluster.Name == dead]; cluster.Status != want {
			t.Errorf("%s is %s, want %s", cluster.Name, cluster.Status, want)
		}
	}
	var status struct {
		Status     string
		Components []struct{ Name, Status string }
	}
	if err := c.API.Do(t.Context(), http.MethodGet, "/v1/status", nil, nil, &status); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 2 || status.Status != "degraded" {
		t.Errorf("%d clusters, status %s with %v", len(list.Items), status.Status, status.Components)
	}
}

func TestManyTokensMintedAtOnceForANewRoomAgreeOnItsCluster(t *testing.T) {
	t.Parallel()
	c := startTwoClusters(t)
	project := c.project(t, "acme")
	c.fill(t, project)
	const rooms, atOnce = 20, 8
	for n := range rooms {
		urls := make([]string, atOnce)
		var all sync.WaitGroup
		for i := range atOnce {
			all.Go(func() {
				token, err := c.API.CreateToken(t.Context(), harness.AsServer(project), harness.TokenRequest{RoomName: fmt.Sprintf("fresh-%d", n), ParticipantIdentity: fmt.Sprint(i)})
				if err != nil {
					t.Error(err)
				}
				urls[i] = token.ServerURL
			})
		}
		all.Wait()
		for _, url := range urls {
			if url != urls[0] {
				t.Fatalf("tokens for one room carry %s", strings.Join(urls, " "))
			}
		}
	}
}

func TestTheStatusSaysThatNoEventHasComeThoughLiveKitListsPeople(t *testing.T) {
	t.Parallel()
	for name, webhook := range map[string]bool{"with a webhook": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := harness.StartWebhookRelay(t)
			var o harness.LiveKitOptions
			if webhook {
				o.WebhookURLs = []string{relay.URL}
			}
			liveKit := harness.StartLiveKit(t, liveKitBinary, o)
			pulse := harness.StartPulse(t, harness.PulseOptions{Binary: pulseBinary, LiveKit: liveKit, Env: map[string]string{"RECONCILE_INTERVAL": "1s"}})
			relay.ForwardTo(pulse.URL + "/v1/webhooks/livekit")
			in := &installation{LiveKit: liveKit, Pulse: pulse, API: pulse.API()}
			events := func() (string, string) {
				var status struct {
					Components []struct{ Name, Status, Detail string }
				}
				if err := in.API.Do(t.Context(), http.MethodGet, "/v1/status", nil, nil, &status); err != nil {
					t.Fatal(err)
				}
				for _, c := range status.Components {
					if c.Name == "events" {
						return c.Status, c.Detail
					}
				}
				return "", ""
			}
			project := in.project(t, "acme")
			in.join(t, project, "standup", "alice")
			if webhook {
				for range 5 { // more comparisons than silence needs to show
					wait(t.Context(), 2*time.Second)
					if state, detail := events(); state != "operational" || detail != "" {
						t.Fatalf("events are %s: %s", state, detail)
					}
				}
				return
			}
			harness.Eventually(t, 2*soon, "the status shows it", func() error {
				if state, detail := events(); state != "degraded" || !strings.Contains(detail, "webhook.urls") {
					return fmt.Errorf("events are %s: %s", state, detail)
				}
				return nil
			})
		})
	}
}
