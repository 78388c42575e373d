package harness

import (
	"testing"
	"time"
)

// pollInterval is how often [Eventually] repeats its check.
const pollInterval = 10 * time.Millisecond

// Eventually repeats check until it returns nil, and fails the test with what and the last error after the given time.
// check runs on the test's goroutine, so it may use t.
func Eventually(t testing.TB, within time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s did not happen within %s: %v", what, within, err)
		case <-tick.C:
		}
	}
}
