package harness_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"pulse-control-plane/e2e/harness"
)

func TestTheRelayForwardsWebhooksUnchangedAndRepeatsThem(t *testing.T) {
	var mu sync.Mutex
	var got []string
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Header.Get("Authorization")+" "+string(body))
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(target.Close)
	relay := harness.StartWebhookRelay(t)

	if status := post(t, relay.URL); status != http.StatusOK || len(got) != 0 {
		t.Errorf("without a target the answer is %d and the target has %q", status, got)
	}
	relay.ForwardTo(target.URL)
	relay.Repeat(2)
	if status := post(t, relay.URL); status != http.StatusAccepted {
		t.Errorf("the answer is %d, want the target's", status)
	}
	if want := "signature body"; len(got) != 2 || got[0] != want || got[1] != want {
		t.Errorf("the target has %q, want %q twice", got, want)
	}
	target.Close()
	if status := post(t, relay.URL); status != http.StatusBadGateway {
		t.Errorf("without a target that answers, the answer is %d", status)
	}
	if seen, lost := len(relay.Seen()), len(relay.Lost()); seen != 3 || lost != 0 {
		t.Errorf("the relay has seen %d and lost %d, want 3 and 0", seen, lost)
	}
}

func TestACutRelayAnswersNothing(t *testing.T) {
	relay := harness.StartWebhookRelay(t)
	relay.Cut(true)
	if status := post(t, relay.URL); status != 0 {
		t.Errorf("the answer is %d, want a broken connection", status)
	}
	relay.Cut(false)
	if status := post(t, relay.URL); status != http.StatusOK {
		t.Errorf("after the cut the answer is %d", status)
	}
	if seen, lost := len(relay.Seen()), len(relay.Lost()); seen != 1 || lost != 1 {
		t.Errorf("the relay has seen %d and lost %d, want 1 each", seen, lost)
	}
}

// post sends a webhook and returns the status of the answer, 0 without one.
func post(t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "signature")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}
