package replicas_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pulse-control-plane/e2e/harness"
)

const (
	// sentTo are the endpoints, whose shards both replicas have some of; sentOf are the events.
	sentTo, sentOf = 16, 40
	// refusedOnce is the share of deliveries whose first attempt is refused: one of so many.
	refusedOnce = 10
)

// receiver takes deliveries slowly, so that many are under way, and refuses the first attempt at some.
type receiver struct {
	*httptest.Server
	mu sync.Mutex
	// came counts the attempts at each delivery, by path and event; refused are those of which the first was refused.
	came    map[string]int
	refused map[string]bool
}

func startReceiver(t *testing.T) *receiver {
	r := &receiver{came: map[string]int{}, refused: map[string]bool{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// ServeHTTP takes an attempt.
func (r *receiver) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	if _, err := io.Copy(io.Discard, in.Body); err != nil {
		return
	}
	time.Sleep(20 * time.Millisecond)
	id := in.URL.Path + " " + in.Header.Get("webhook-id")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.came[id]++
	if r.came[id] == 1 && len(r.came)%refusedOnce == 0 {
		r.refused[id] = true
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// arrived counts the deliveries that were taken, and the attempts that came again though their answer was not to be
// followed by another.
func (r *receiver) arrived() (taken, doubled int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, n := range r.came {
		due := 1
		if r.refused[id] {
			due = 2
		}
		if n >= due {
			taken++
		}
		doubled += max(0, n-due)
	}
	return taken, doubled
}

// delivered is how many attempts of a replica succeeded.
func (r *replica) delivered(ctx context.Context) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+metricsToken)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, `pulse_delivery_attempts_total{result="delivered"} `); found {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("no metric of attempts, %s", answer.Status)
}

// holders are the replicas that have the shards of deliveries.
func (f *fleet) holders(ctx context.Context) (map[string]string, error) {
	var report struct {
		Leases []struct{ Name, Holder string }
	}
	out := map[string]string{}
	err := f.replicas[0].api.Do(ctx, http.MethodGet, "/v1/operations", operator(), nil, &report)
	for _, l := range report.Leases {
		if strings.HasPrefix(l.Name, "deliveries|") && !strings.Contains(l.Name, "member") {
			out[l.Name] = l.Holder
		}
	}
	return out, err
}

// shared waits until both replicas have shards of deliveries, as many as there are.
func (f *fleet) shared(t *testing.T) map[string]string {
	t.Helper()
	var found map[string]string
	harness.Eventually(t, time.Minute, "shards are shared", func() (err error) {
		if found, err = f.holders(t.Context()); err != nil {
			return err
		}
		by := map[string]int{}
		for _, holder := range found {
			by[holder]++
		}
		if len(found) != 16 || len(by) != 2 {
			return fmt.Errorf("%d shards, held by %v", len(found), by)
		}
		for holder, n := range by {
			if n != 8 {
				return fmt.Errorf("%s has %d", holder, n)
			}
		}
		return nil
	})
	return found
}

func TestTwoReplicasShareTheDeliveriesAndSendNoAttemptTwice(t *testing.T) {
	f := startFleet(t, 0, 0)
	m := startReceiver(t)
	account := f.account(t, "acme")
	project := f.project(t, account, "acme")
	for n := range sentTo {
		err := f.replicas[0].api.Do(t.Context(), http.MethodPost, "/v1/webhooks/endpoints", harness.AsServer(project),
			map[string]any{"url": fmt.Sprintf("%s/%d", m.URL, n), "events": []string{"participant.joined"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	before := f.shared(t)
	for person := range sentOf {
		if err := f.replicas[person%2].deliver(t.Context(), event(project.ID(), hourOfEvents(), "participant_joined", person)); err != nil {
			t.Fatal(err)
		}
	}
	harness.Eventually(t, 2*time.Minute, "every delivery", func() error {
		if taken, _ := m.arrived(); taken < sentTo*sentOf {
			return fmt.Errorf("%d of %d were taken", taken, sentTo*sentOf)
		}
		return nil
	})
	harness.Eventually(t, time.Minute, "outcomes are stored", func() error {
		var list struct{ Items []any }
		err := f.replicas[1].api.Do(t.Context(), http.MethodGet, "/v1/webhooks/deliveries?status=pending", harness.AsServer(project), nil, &list)
		if err == nil && len(list.Items) > 0 {
			err = errors.New("deliveries are pending")
		}
		return err
	})
	taken, doubled := m.arrived()
	after, err := f.holders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if doubled > 0 {
		if maps.Equal(before, after) { // a process that this machine held up may have lost its leases
			t.Errorf("%d attempts were sent twice, and no lease changed hands", doubled)
		}
		t.Logf("%d attempts were sent twice: leases %v became %v", doubled, before, after)
	}
	var by []int
	for _, r := range f.replicas {
		n, err := r.delivered(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n < sentTo*sentOf/10 {
			t.Errorf("a replica sent %d of %d deliveries: they do not share them", n, taken)
		}
		by = append(by, n)
	}
	t.Logf("%d deliveries, sent by the replicas %v; %d were refused once", taken, by, len(m.refused))
}
