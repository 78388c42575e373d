package auth

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/ratelimit"
	"pulse-control-plane/utils/secret"
)

const anIP = "203.0.113.7"

func newThrottle(t *testing.T) (*loginThrottle, *testkit.Clock) {
	clock := testkit.NewClock()
	return testkit.Must[*loginThrottle](t)(newLoginThrottle(ratelimit.NewLocalFailures(LoginBackoff(), 100, clock.Now), 100)), clock
}

// wait counts an attempt and returns its delay.
func wait(t *testing.T, throttle *loginThrottle, email, ip string) time.Duration {
	t.Helper()
	_, err := throttle.begin(t.Context(), email, ip, "")
	if err == nil {
		return 0
	}
	testkit.WantCode(t, err, "too_many_attempts")
	var limited *models.Error
	errors.As(err, &limited)
	return limited.RetryAfter
}

func TestEachFurtherFailureWaitsTwiceAsLongUpToFiveMinutes(t *testing.T) {
	throttle, clock := newThrottle(t)
	for i := range freeAccountFailures + 1 {
		if got := wait(t, throttle, "a", fmt.Sprint("192.0.2.", i)); got != 0 {
			t.Fatalf("failure %d waits %s", i, got)
		}
	}
	for i, want := 0, time.Second; i < 12; i, want = i+1, min(2*want, longestDelay) {
		ip := fmt.Sprint("198.51.100.", i)
		if got := wait(t, throttle, "a", ip); got != want {
			t.Fatalf("wait %d is %s, want %s", i, got, want)
		}
		clock.Advance(want)
		if got := wait(t, throttle, "a", ip); got != 0 {
			t.Fatalf("after waiting, %s more: locked out", got)
		}
	}
	clock.Advance(forgetFailuresAfter)
	for range freeAccountFailures + 1 {
		if got := wait(t, throttle, "a", anIP); got != 0 {
			t.Fatalf("old failures still wait %s", got)
		}
	}
}

func TestARefusedAttemptExtendsNoDelay(t *testing.T) {
	throttle, _ := newThrottle(t)
	for range freeAccountFailures + 1 {
		wait(t, throttle, "a", anIP)
	}
	for range 100 {
		if got := wait(t, throttle, "a", anIP); got != firstDelay {
			t.Fatalf("waits %s", got)
		}
	}
}

func TestConcurrentGuessesGainNothing(t *testing.T) {
	throttle, _ := newThrottle(t)
	var all sync.WaitGroup
	through := make(chan struct{}, 200)
	for i := range 200 {
		all.Go(func() {
			if _, err := throttle.begin(t.Context(), "a", fmt.Sprint("192.0.2.", i), ""); err == nil {
				through <- struct{}{}
			}
		})
	}
	all.Wait()
	if got := len(through); got != freeAccountFailures+1 {
		t.Errorf("%d attempts passed", got)
	}
}

func TestAnAddressThatGuessesManyAccountsIsDelayed(t *testing.T) {
	throttle, _ := newThrottle(t)
	for i := range freeIPFailures + 1 {
		if got := wait(t, throttle, fmt.Sprint("user", i), anIP); got != 0 {
			t.Fatalf("attempt %d waits %s", i, got)
		}
	}
	if got := wait(t, throttle, "somebody else", anIP); got != firstDelay {
		t.Errorf("waits %s", got)
	}
	if got := wait(t, throttle, "somebody else", "192.0.2.1"); got != 0 {
		t.Errorf("another address waits %s", got)
	}
}

func TestOtherAddressesCannotLockOutAFamiliarAddress(t *testing.T) {
	throttle, _ := newThrottle(t)
	attempt, err := throttle.begin(t.Context(), "a", anIP, "")
	if err != nil {
		t.Fatal(err)
	}
	attempt.succeed(t.Context())
	for i := range 50 {
		wait(t, throttle, "a", fmt.Sprint("192.0.2.", i))
	}
	if got := wait(t, throttle, "a", "192.0.2.99"); got == 0 {
		t.Error("an unknown address passed")
	}
	if got := wait(t, throttle, "a", anIP); got != 0 {
		t.Errorf("the owner waits %s", got)
	}
	for range 50 { // a familiar address can't guess without end either
		wait(t, throttle, "a", anIP)
	}
	if got := wait(t, throttle, "a", anIP); got == 0 {
		t.Error("a familiar address guesses without end")
	}
}

func TestASuccessfulLoginDoesNotClearTheFailuresOfItsAddress(t *testing.T) {
	throttle, _ := newThrottle(t)
	for i := range freeIPFailures + 1 {
		wait(t, throttle, fmt.Sprint("user", i), anIP)
		if attempt, err := throttle.begin(t.Context(), "mine", anIP, ""); err == nil {
			attempt.succeed(t.Context())
		}
	}
	if got := wait(t, throttle, "victim", anIP); got == 0 {
		t.Error("logging in to one account pays for guessing others")
	}
}

func TestTheThrottleIsBoundedInMemory(t *testing.T) {
	throttle, _ := newThrottle(t)
	for i := range 1000 {
		wait(t, throttle, fmt.Sprint("user", i), fmt.Sprint("ip", i))
	}
	if counted := throttle.failures.(*ratelimit.LocalFailures).Len(); counted > 100 || throttle.familiar.Len() > 100 {
		t.Errorf("%d names, %d familiar addresses", counted, throttle.familiar.Len())
	}
}

func TestAddressesOfOneIPv6NetworkAreCountedTogether(t *testing.T) {
	throttle, _ := newThrottle(t)
	for i := range freeIPFailures + 1 {
		if got := wait(t, throttle, fmt.Sprint("user", i), fmt.Sprintf("2001:db8:1:2::%x", i)); got != 0 {
			t.Fatalf("attempt %d waits %s", i, got)
		}
	}
	if got := wait(t, throttle, "other", "2001:db8:1:2:ffff::1"); got == 0 {
		t.Error("another address of the /64 was let through")
	}
	if got := wait(t, throttle, "other", "2001:db8:1:3::1"); got != 0 {
		t.Errorf("another /64 waits %s", got)
	}
	through := 0
	for i := range 1000 {
		if wait(t, throttle, fmt.Sprint("many", i), fmt.Sprintf("2001:db8:1:%x::1", 0x100+i)) == 0 {
			through++
		}
	}
	if through > 16*freeIPFailures {
		t.Errorf("%d of 1000 networks of a /48 were let through", through)
	}
}

func TestOtherAddressesCannotLockOutAKnownDevice(t *testing.T) {
	throttle, _ := newThrottle(t)
	for i := range 50 {
		wait(t, throttle, "a", fmt.Sprint("192.0.2.", i))
	}
	if got := wait(t, throttle, "a", "198.51.100.1"); got == 0 {
		t.Error("a stranger was let through")
	}
	for i := range freeAccountFailures + 1 {
		attempt, err := throttle.begin(t.Context(), "a", fmt.Sprint("198.51.100.", i), "device")
		if err != nil {
			t.Fatalf("the device: %v", err)
		}
		_ = attempt
	}
	if _, err := throttle.begin(t.Context(), "a", "198.51.100.99", "device"); err == nil {
		t.Error("a device guesses without end")
	}
}

func TestADevicesTokenIsForItsAccountAloneAndOutlivesItsKeysRotation(t *testing.T) {
	old := newDevices([]secret.Value{secret.New("one")})
	token := old.issue("ada@example.com")
	rotated := newDevices([]secret.Value{secret.New("two"), secret.New("one")})
	if id := rotated.read("ada@example.com", token); id == "" || id != old.read("ada@example.com", token) {
		t.Error("the token is not read")
	}
	id, mac, _ := strings.Cut(token, ".")
	for name, got := range map[string]string{
		"another account": old.read("eve@example.com", token), "another key": newDevices([]secret.Value{secret.New("two")}).read("ada@example.com", token),
		"another id": old.read("ada@example.com", "x"+id+"."+mac), "no MAC": old.read("ada@example.com", id+"."), "only an id": old.read("ada@example.com", id),
		"nothing": old.read("ada@example.com", ""), "a dot": old.read("ada@example.com", "."),
	} {
		if got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if one, two := old.issue("a"), old.issue("a"); one == two {
		t.Error("two devices are one")
	}
}
