package testkit

import (
	"sync"
	"testing"
	"time"
	"unsafe"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

// Project is the project of tests that need only one.
const Project = models.ProjectID("prj_01936d6e-1111-7abc-8def-0123456789ab")

// Must returns v, or ends the test if err is not nil.
func Must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// WantCode ends the test unless err is a *models.Error with that code.
func WantCode(t testing.TB, err error, code string) {
	t.Helper()
	if !models.HasCode(err, code) {
		t.Fatalf("got %v, want %s", err, code)
	}
}

// Clock stands still until it is advanced.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at the current time, truncated to the databases' millisecond.
func NewClock() *Clock { return &Clock{now: time.Now().UTC().Truncate(time.Millisecond)} }

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock by d.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Stepped is what time.Now gives instead of now after the wall clock was set by whole
// seconds: its monotonic reading is the same.
func Stepped(now time.Time, by time.Duration) time.Time {
	if now.Round(0) == now {
		return now.Add(by)
	}
	// No function of package time parts the two. The first word of a Time with a
	// monotonic reading is a flag, 33 bits of seconds and 30 of nanoseconds.
	*(*uint64)(unsafe.Pointer(&now)) += uint64(by/time.Second) << 30 //nolint:gosec // only tests use it
	return now
}

// Silence is an audit.Telling that informs no tenant of changes.
type Silence struct{}

func (Silence) Heard(string) bool       { return false }
func (Silence) Made(*models.AuditEntry) {}

// Sealed is a declared sealed field under keys, by default one of the tests.
func Sealed(t testing.TB, collection, field string, keys ...string) *database.SealedField {
	t.Helper()
	if len(keys) == 0 {
		keys = []string{"data key of the tests"}
	}
	masters := make([]secret.Value, len(keys))
	for i, key := range keys {
		masters[i] = secret.New(key)
	}
	ring := Must[*secret.Ring](t)(secret.NewRing(masters...))
	return Must[*database.SealedField](t)(database.SealedUnder(ring).Of(collection, field))
}
