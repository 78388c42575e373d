package composition_test

import (
	"fmt"
	"testing"
	"time"
)

func TestAnUnknownAddressIsThrottledLikeAKnownOne(t *testing.T) {
	p := newPeople(t)
	p.found()
	for i := range freeAccountFailures + 3 {
		ip := fmt.Sprint("192.0.2.", i)
		_, known := p.login(ownersEmail, "wrong password", ip)
		_, unknown := p.login("nobody@example.com", "wrong password", "x"+ip)
		if known == nil || unknown == nil || known.Error() != unknown.Error() {
			t.Fatalf("attempt %d: %v and %v", i, known, unknown)
		}
	}
	_, err := p.login(ownersEmail, ownersPassword, "192.0.2.99")
	wantCode(t, err, "too_many_attempts")
	p.clock.Advance(longestDelay)
	if _, err := p.login(ownersEmail, ownersPassword, "192.0.2.99"); err != nil {
		t.Errorf("locked out: %v", err)
	}
}

func TestAnUnknownAddressTakesAsLongAsAWrongPassword(t *testing.T) {
	p := newPeople(t)
	// Slow enough for bcrypt to outweigh everything else.
	p.bcryptCost = 9
	p.build(nil, "jwt secret of the tests")
	p.found()
	least := func(email string) time.Duration {
		best := time.Hour
		for i := range freeAccountFailures {
			start := time.Now()
			_, err := p.login(email, "wrong password", fmt.Sprint(email, i))
			best = min(best, time.Since(start))
			wantCode(t, err, "invalid_credentials")
		}
		return best
	}
	known, unknown := least(ownersEmail), least("nobody@example.com")
	if ratio := float64(unknown) / float64(known); ratio < 0.3 || ratio > 3 {
		t.Errorf("%s for an unknown address, %s for a wrong password", unknown, known)
	}
}

func TestARestartForgetsNoAddressThatAnAccountIsLoggedInFrom(t *testing.T) {
	p := newPeople(t)
	p.found()
	if _, err := p.login(ownersEmail, ownersPassword, "198.51.100.7"); err != nil {
		t.Fatal(err)
	}
	p.build(nil, "jwt secret of the tests")
	for i := range 3 * freeAccountFailures {
		_, _ = p.login(ownersEmail, "wrong password", fmt.Sprint("192.0.2.", i))
	}
	_, err := p.login(ownersEmail, ownersPassword, "192.0.2.99")
	wantCode(t, err, "too_many_attempts")
	if _, err := p.login(ownersEmail, ownersPassword, "198.51.100.7"); err != nil {
		t.Errorf("the owner is kept out: %v", err)
	}
}
