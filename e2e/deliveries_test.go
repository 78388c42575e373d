package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"pulse-control-plane/e2e/harness"
)

const (
	// toldRooms and toldEach are the rooms of the test and the events of each when it
	// soaks; otherwise toldSome of each.
	toldRooms, toldEach, toldSome = 40, 500, 60
	kills                         = 5
)

// eventsOfRoom is how many events each room has.
func eventsOfRoom() int {
	if soaking() {
		return toldEach
	}
	return toldSome
}

// moody is a receiver of two endpoints, /any and /ordered, that fails at random:
// each event of each endpoint once at most, so that the second attempt, after
// 5 s, is the last one that is needed.
type moody struct {
	*httptest.Server
	t *testing.T
	// secrets are the endpoints', by path.
	secrets map[string]string

	mu     sync.Mutex
	random *rand.Rand
	failed map[string]bool
	// came counts requests by path and event; last is the latest event of each
	// room on /ordered.
	came     map[string]int
	last     map[string]int
	failures map[string]int
}

func newMoody(t *testing.T) *moody {
	m := &moody{t: t, secrets: map[string]string{}, random: rand.New(rand.NewPCG(11, 20_000)), failed: map[string]bool{}, came: map[string]int{},
		last: map[string]int{}, failures: map[string]int{}}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

// ServeHTTP takes a delivery, or fails.
func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // pulse was killed
	}
	switch m.mood(r, body) {
	case "timeout":
		<-r.Context().Done()
	case "reset":
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	case "500":
		w.WriteHeader(http.StatusInternalServerError)
	case "429":
		w.Header().Set("Retry-After", "6")
		w.WriteHeader(http.StatusTooManyRequests)
	case "slow body":
		for range 5 {
			_, _ = io.WriteString(w, ".")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// mood notes a delivery and says how to answer it.
func (m *moody) mood(r *http.Request, body []byte) string {
	var event struct {
		Data struct {
			RoomName            string `json:"room_name"`
			ParticipantIdentity string `json:"participant_identity"`
		} `json:"data"`
	}
	var number int
	if err := json.Unmarshal(body, &event); err != nil {
		m.t.Errorf("%v: %s", err, body)
	}
	if _, err := fmt.Sscanf(event.Data.ParticipantIdentity, "event-%d", &number); err != nil {
		m.t.Errorf("%v: %s", err, body)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	library, err := standardwebhooks.NewWebhook(m.secrets[r.URL.Path])
	if err == nil {
		err = library.Verify(body, r.Header)
	}
	if err != nil {
		m.t.Errorf("%s: %v", r.URL.Path, err)
	}
	id := r.URL.Path + " " + r.Header.Get("webhook-id")
	if !m.failed[id] && m.random.Float64() < 0.01 {
		m.failed[id] = true
		moods := []string{"reset", "500", "429", "reset", "500", "429", "timeout"}
		mood := moods[m.random.IntN(len(moods))]
		if mood == "timeout" && m.failures[mood] >= 8 {
			mood = "500" // each takes 15 s
		}
		m.failures[mood]++
		return mood
	}
	m.came[id]++
	if r.URL.Path == "/ordered" {
		// The one before was answered: what comes is the next, or the same again
		// because pulse was killed before it had noted the answer.
		if last, known := m.last[event.Data.RoomName]; number != last+1 && (!known || number != last) {
			m.t.Errorf("event %d of %s came after %d", number, event.Data.RoomName, last)
		}
		m.last[event.Data.RoomName] = max(number, m.last[event.Data.RoomName])
	}
	if m.random.Float64() < 0.01 {
		m.failures["slow body"]++
		return "slow body"
	}
	return ""
}

// arrived counts the events that came to both endpoints, and the requests.
func (m *moody) arrived() (events, requests int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.came {
		requests += n
	}
	return len(m.came), requests
}

// cluster tells Pulse of LiveKit's events as LiveKit does: those of a room one
// after the other, each again until it is answered with 200.
type cluster struct {
	liveKit *harness.LiveKit
	pulse   string
	client  *http.Client
}

func (c *cluster) tell(ctx context.Context, body []byte) error {
	sum := sha256.Sum256(body)
	token, err := auth.NewAccessToken(c.liveKit.APIKey, c.liveKit.APISecret).SetValidFor(5 * time.Minute).SetSha256(base64.StdEncoding.EncodeToString(sum[:])).ToJWT()
	if err != nil {
		return err
	}
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.pulse+"/v1/webhooks/livekit", bytes.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", token)
		r.Header.Set("Content-Type", "application/webhook+json")
		answer, err := c.client.Do(r)
		if err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			if answer.StatusCode < 500 {
				return fmt.Errorf("an event was answered with %d", answer.StatusCode)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond): // it was killed
		}
	}
}

// joined is a participant_joined, the numbered event of a room.
func joined(project string, room, number int) []byte {
	now := time.Now()
	return fmt.Appendf(nil, `{"event":"participant_joined","id":"EV_r%dn%d","createdAt":"%d","room":{"sid":"RM_%d","name":"%s_room-%d","creationTime":"%d"},`+
		`"participant":{"sid":"PA_r%dn%d","identity":"event-%d","state":"ACTIVE","joinedAt":"%d","joinedAtMs":"%d"}}`,
		room, number, now.Unix(), room, project, room, now.Unix(), room, number, number, now.Unix(), now.UnixMilli())
}

// TestEachEventArrivesAtAReceiverThatFailsWhilePulseIsKilled sends 20,000 events,
// or fewer if it does not soak, to two endpoints, one of them ordered, whose receiver fails at random, and kills
// pulse five times meanwhile.
func TestEachEventArrivesAtAReceiverThatFailsWhilePulseIsKilled(t *testing.T) {
	m := newMoody(t)
	liveKit := &harness.LiveKit{URL: "ws://127.0.0.1:9", HTTPURL: "http://127.0.0.1:9", APIKey: "devkey", APISecret: strings.Repeat("secret", 6)}
	pulse := harness.StartPulse(t, harness.PulseOptions{Binary: pulseBinary, LiveKit: liveKit, Env: map[string]string{
		"WEBHOOK_ALLOW_PRIVATE": "true", "RECONCILE_INTERVAL": "10m", "RATE_LIMIT_PROJECT_PER_MINUTE": "0"}})
	in := &installation{LiveKit: liveKit, Pulse: pulse, API: pulse.API()}
	project := in.project(t, "acme")
	since := time.Now().UTC()
	ids := map[string]string{}
	for _, path := range []string{"/any", "/ordered"} {
		var made struct {
			Endpoint struct{ ID string }
			Secret   string
		}
		err := in.API.Do(t.Context(), http.MethodPost, "/v1/webhooks/endpoints", harness.AsServer(project),
			map[string]any{"url": m.URL + path, "events": []string{"participant.joined"}, "ordered": path == "/ordered"}, &made)
		if err != nil {
			t.Fatal(err)
		}
		m.mu.Lock()
		m.secrets[path], ids[path] = made.Secret, made.Endpoint.ID
		m.mu.Unlock()
	}

	each := eventsOfRoom()
	began := time.Now()
	c := &cluster{liveKit, pulse.URL, &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: toldRooms}}}
	var telling sync.WaitGroup
	for room := range toldRooms {
		telling.Go(func() {
			for number := range each {
				if err := c.tell(t.Context(), joined(project.ID(), room, number+1)); err != nil {
					t.Errorf("room %d: %v", room, err)
					return
				}
			}
		})
	}
	all := 2 * toldRooms * each
	for n := range kills {
		harness.Eventually(t, 5*time.Minute, "events between two kills", func() error {
			if got, _ := m.arrived(); got < all*(n+1)/(kills+2) {
				return fmt.Errorf("%d of %d events arrived", got, all)
			}
			return nil
		})
		if err := pulse.Kill(); err != nil {
			t.Fatal(err)
		}
		pulse.Restart(t)
	}
	telling.Wait()
	told := time.Since(began)
	recovered := time.Now()
	harness.Eventually(t, 5*time.Minute, "every event", func() error {
		// An attempt that a kill cut off counts as none; but one that failed, was cut
		// off and failed would wait for five minutes. A tenant asks for those so.
		if time.Since(recovered) > 30*time.Second {
			recovered = time.Now()
			for _, id := range ids {
				err := in.API.Do(t.Context(), http.MethodPost, "/v1/webhooks/endpoints/"+id+"/recover", harness.AsServer(project), map[string]any{"since": since}, nil)
				if err != nil {
					return err
				}
			}
		}
		got, _ := m.arrived()
		if got < all {
			return fmt.Errorf("%d of %d events arrived", got, all)
		}
		return nil
	})
	took := time.Since(began)
	events, requests := m.arrived()
	if events != all {
		t.Errorf("%d events arrived, %d were told", events, all)
	}
	harness.Eventually(t, time.Minute, "outcomes are stored", func() error {
		var list struct{ Items []any }
		err := in.API.Do(t.Context(), http.MethodGet, "/v1/webhooks/deliveries?status=pending", harness.AsServer(project), nil, &list)
		if err == nil && len(list.Items) > 0 {
			err = errors.New("deliveries are pending")
		}
		return err
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	t.Logf("%d deliveries of %d events while pulse was killed %d times: taken in within %v, delivered within %v; %d came twice (%.2f %%); failures: %v",
		events, toldRooms*each, kills, told.Round(time.Second), took.Round(time.Second), requests-events, 100*float64(requests-events)/float64(events), m.failures)
}
