package auth

import (
	"context"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/crypto/bcrypt"

	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/ratelimit"
	"pulse-control-plane/utils/secret"
)

// ending is a context that ends after it was asked about a number of turns.
type ending struct {
	context.Context
	turns int
}

func (e *ending) Done() <-chan struct{} {
	if e.turns--; e.turns >= 0 {
		return nil
	}
	ended := make(chan struct{})
	close(ended)
	return ended
}

func (e *ending) Err() error { return context.Canceled }

// twoPeppers checks the secret of a key whose hash does not name its pepper, the
// second of two.
func twoPeppers(t *testing.T) (a *Keys, k *models.APIKey, right secret.Value) {
	t.Helper()
	old := testkit.Must[*hashing.Hasher](t)(hashing.NewHasher(secret.New("old"), bcrypt.MinCost))
	right = secret.New("pulse_secret_right")
	hash := testkit.Must[hashing.Peppered](t)(old.Hash(t.Context(), right))
	clock := testkit.NewClock()
	return &Keys{
		hasher:   testkit.Must[*hashing.Hasher](t)(hashing.NewHasher(secret.New("new"), bcrypt.MinCost, secret.New("old"))),
		verified: testkit.Must[*hashing.Verified](t)(hashing.NewVerified(10, clock.Now)),
		guesses:  ratelimit.Local{Limiter: ratelimit.New(10, clock.Now)},
		refused:  testkit.Must[*lru.Cache[string, time.Time]](t)(lru.New[string, time.Time](10)), now: clock.Now,
	}, &models.APIKey{ID: "key_1", SecretHash: hash.Hash}, right
}

func TestAGuessThatWasComparedUnderOnePepperStaysCountedWhateverCameOfTheOthers(t *testing.T) {
	a, k, _ := twoPeppers(t)
	for n := range secretChecksPerMinute {
		// The turn for the second pepper comes, or the context ends, at random.
		err := a.check(&ending{t.Context(), 1}, k, secret.New("pulse_secret_wrong"), "203.0.113.1")
		if err == nil || models.HasCode(err, "too_many_attempts") {
			t.Fatalf("guess %d: %v", n, err)
		}
	}
	if err := a.check(t.Context(), k, secret.New("pulse_secret_wrong"), "203.0.113.1"); !models.HasCode(err, "too_many_attempts") {
		t.Errorf("one guess more: %v", err)
	}
}

func TestAnAttemptThatWasNotComparedIsNoGuess(t *testing.T) {
	a, k, right := twoPeppers(t)
	k.SecretHash = "damaged"
	for n := range 3 * secretChecksPerMinute {
		if err := a.check(&ending{t.Context(), 0}, k, right, "203.0.113.1"); err == nil || models.HasCode(err, "too_many_attempts") {
			t.Fatalf("attempt %d: %v", n, err)
		}
	}
}
