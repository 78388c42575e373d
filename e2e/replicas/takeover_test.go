package replicas_test

import (
	"fmt"
	"testing"
	"time"

	"pulse-control-plane/e2e/harness"
)

// harnessStatus is an unexpected HTTP status as an error.
type harnessStatus int

func (s harnessStatus) Error() string { return fmt.Sprintf("answered %d", int(s)) }

// takenOverWithin is how soon the work of a process that was killed goes on elsewhere.
const takenOverWithin = 5 * time.Second

func TestTheInboxOfAKilledReplicaIsTakenOverWithinFiveSeconds(t *testing.T) {
	f := startFleet(t, 0, 0)
	account := f.account(t, "acme")
	project := f.project(t, account, "acme")
	key, hour := harness.AsServer(project), hourOfEvents()
	send := func(r *replica, kind string, from, to int) {
		t.Helper()
		for person := from; person < to; person++ {
			if err := r.deliver(t.Context(), event(project.ID(), hour, kind, person)); err != nil {
				t.Fatal(err)
			}
		}
	}
	known := func(want int, limit time.Duration) {
		t.Helper()
		harness.Eventually(t, limit, "every session", func() error {
			u, err := f.replicas[0].usage(t, key, hour)
			if err == nil && u.sessions < want {
				err = fmt.Errorf("%d of %d are known", u.sessions, want)
			}
			return err
		})
	}
	// Its rooms are in every shard: both replicas have work.
	send(f.replicas[1], "participant_joined", 0, 40)
	known(40, time.Minute)
	time.Sleep(3 * time.Second) // shards are shared by now
	if err := f.replicas[1].Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	send(f.replicas[0], "participant_joined", 40, 80)
	known(80, within(takenOverWithin))
	t.Logf("taken over after %s", time.Since(killed).Round(time.Millisecond))
	if took := time.Since(killed); took > within(takenOverWithin) {
		t.Errorf("taken over after %s", took)
	}
}
