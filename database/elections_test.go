package database

import (
	"path/filepath"
	"testing"
	"time"

	"pulse-control-plane/database/embedded"
	"pulse-control-plane/models"
)

// voter is one process's view of the leases, on a clock of its own.
type voter struct {
	*Elections
	clock time.Duration
}

func newVoter(e Engine) *voter {
	v := &voter{Elections: NewElections(e)}
	v.since = func() time.Duration { return v.clock }
	return v
}

func (v *voter) asks(t *testing.T, owner string, want bool) {
	t.Helper()
	got, err := v.Acquire(t.Context(), "job", owner, 10*time.Second)
	if err != nil || got != want {
		t.Fatalf("%s gets the lease: %v, %v; want %v", owner, got, err, want)
	}
}

func openForElections(t *testing.T) Engine {
	t.Helper()
	e, err := embedded.Open(t.Context(), filepath.Join(t.TempDir(), "pulse.db"), Schema(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(t.Context()) })
	return e
}

func TestALeaseIsTakenOverOnlyAfterItStoodStillForItsTimeToLive(t *testing.T) {
	e := openForElections(t)
	a, b := newVoter(e), newVoter(e)
	a.asks(t, "a", true)
	b.asks(t, "b", false)
	b.clock += 9 * time.Second
	b.asks(t, "b", false)
	if ok, err := a.Renew(t.Context(), "job", "a", 10*time.Second); err != nil || !ok {
		t.Fatal(ok, err)
	}
	b.clock += 2 * time.Second
	b.asks(t, "b", false) // renewed: the count begins anew
	b.clock += 10 * time.Second
	b.asks(t, "b", true)
	if ok, err := a.Renew(t.Context(), "job", "a", 10*time.Second); err != nil || ok {
		t.Fatalf("the first holder still renews: %v, %v", ok, err)
	}
	a.asks(t, "a", false)
}

func TestAClockThatIsAheadStealsNoLease(t *testing.T) {
	e := openForElections(t)
	a, ahead := newVoter(e), newVoter(e)
	a.asks(t, "a", true)
	ahead.clock = 24 * time.Hour
	for range 3 {
		ahead.asks(t, "b", false)
	}
}

func TestAReleasedLeaseIsFreeAtOnce(t *testing.T) {
	e := openForElections(t)
	a, b := newVoter(e), newVoter(e)
	a.asks(t, "a", true)
	b.asks(t, "b", false)
	if err := a.Release(t.Context(), "job", "a"); err != nil {
		t.Fatal(err)
	}
	b.asks(t, "b", true)
}

func TestALeaseOfAnOlderBinaryIsTakenOverOnce(t *testing.T) {
	e := openForElections(t)
	if err := e.Insert(t.Context(), leases, &models.Lease{ID: "job", Holder: "old", ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	a, b := newVoter(e), newVoter(e)
	a.asks(t, "a", false)
	b.asks(t, "b", false)
	a.clock, b.clock = 11*time.Second, 11*time.Second
	a.asks(t, "a", true)
	b.asks(t, "b", false)
}
