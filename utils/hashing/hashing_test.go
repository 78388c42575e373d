package hashing

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/bcrypt"

	"pulse-control-plane/utils/secret"
)

func hasher(t testing.TB, pepper string) *Hasher {
	t.Helper()
	h, err := NewHasher(secret.New(pepper), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestASecretBelongsToItsHashOnly(t *testing.T) {
	h := hasher(t, "pepper")
	hash, err := h.Hash(t.Context(), secret.New("pulse_secret_a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Compare(t.Context(), hash, secret.New("pulse_secret_a")); err != nil {
		t.Errorf("its own secret: %v", err)
	}
	if _, err := h.Compare(t.Context(), hash, secret.New("pulse_secret_b")); !errors.Is(err, ErrMismatch) {
		t.Errorf("another secret: %v", err)
	}
	if _, err := hasher(t, "other").Compare(t.Context(), hash, secret.New("pulse_secret_a")); !errors.Is(err, ErrMismatch) {
		t.Errorf("under another pepper: %v", err)
	}
	again, _ := h.Hash(t.Context(), secret.New("pulse_secret_a"))
	if again == hash {
		t.Error("hashes are not salted")
	}
}

func TestEveryPepperChecksAndTheFirstHashes(t *testing.T) {
	s := secret.New("pulse_secret_a")
	old := hasher(t, "old")
	both, err := NewHasher(secret.New("new"), bcrypt.MinCost, secret.New("old"))
	if err != nil {
		t.Fatal(err)
	}
	before, _ := old.Hash(t.Context(), s)
	after, _ := both.Hash(t.Context(), s)
	if before.Pepper == after.Pepper || after.Pepper != both.Pepper() || after.Pepper != hasher(t, "new").Pepper() {
		t.Fatalf("peppers %q and %q", before.Pepper, after.Pepper)
	}
	for name, row := range map[string]struct {
		h      *Hasher
		stored Peppered
		want   error
	}{
		"the second pepper":                 {both, before, nil},
		"the first":                         {both, after, nil},
		"a hash without the pepper's id":    {both, Peppered{Hash: before.Hash}, nil},
		"a pepper that is no longer listed": {hasher(t, "new"), before, ErrMismatch},
		"a hash that names another pepper":  {both, Peppered{before.Hash, after.Pepper}, ErrMismatch},
	} {
		if _, err := row.h.Compare(t.Context(), row.stored, s); !errors.Is(err, row.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := row.h.Compare(t.Context(), row.stored, secret.New("pulse_secret_b")); !errors.Is(err, ErrMismatch) {
			t.Errorf("%s, another secret: %v", name, err)
		}
	}
	if _, err := NewHasher(secret.New("new"), bcrypt.MinCost, secret.Value{}); err == nil {
		t.Error("an empty older pepper")
	}
}

func TestNoPasswordIsCutOff(t *testing.T) {
	h := hasher(t, "pepper")
	long := strings.Repeat("a", 200)
	for name, pair := range map[string][2]string{
		"beyond 72 bytes": {long, long[:199] + "b"},
		"shorter":         {long, long[:72]},
		"after a NUL":     {"abc\x00def", "abc\x00deg"},
		"multi-byte":      {strings.Repeat("é", 64), strings.Repeat("é", 63) + "e"},
	} {
		hash, err := h.HashPassword(t.Context(), secret.New(pair[0]))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := h.ComparePassword(t.Context(), hash, secret.New(pair[0])); err != nil {
			t.Errorf("%s: its own password: %v", name, err)
		}
		if err := h.ComparePassword(t.Context(), hash, secret.New(pair[1])); !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: another password: %v", name, err)
		}
	}
}

func TestPasswordsOutliveAChangeOfThePepper(t *testing.T) {
	hash, err := hasher(t, "before").HashPassword(t.Context(), secret.New("a password"))
	if err != nil {
		t.Fatal(err)
	}
	if err := hasher(t, "after").ComparePassword(t.Context(), hash, secret.New("a password")); err != nil {
		t.Fatal(err)
	}
}

func TestTheDummyComparisonDoesTheSameWorkAndNeverSucceeds(t *testing.T) {
	h := hasher(t, "pepper")
	real, _ := h.HashPassword(t.Context(), secret.New("a password"))
	dummyCost, err := bcrypt.Cost([]byte(h.dummy))
	if err != nil || dummyCost != bcrypt.MinCost || len(h.dummy) != len(real) {
		t.Fatalf("the dummy %q is no hash of the configured cost: %v", h.dummy, err)
	}
	if err := h.CompareDummy(t.Context(), secret.New("a password")); !errors.Is(err, ErrMismatch) {
		t.Fatalf("got %v", err)
	}
}

// occupy takes every slot for shares of this name, and leaves them all.
func occupy(t *testing.T, h *Hasher, share string) (leave func()) {
	t.Helper()
	var all []func()
	for n := range runtime.GOMAXPROCS(0) {
		leave, err := h.enter(WithShare(t.Context(), fmt.Sprint(share, n)))
		if err != nil {
			t.Fatal("there are fewer turns than processors")
		}
		all = append(all, leave)
	}
	return func() {
		for _, leave := range all {
			leave()
		}
	}
}

func TestAShareThatAsksWithoutEndDoesNotHoldUpAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hasher(t, "pepper")
		leave := occupy(t, h, "others")
		var honest atomic.Bool
		ctx, stop := context.WithCancel(t.Context())
		wait := func(share string) {
			go func() {
				leave, err := h.enter(WithShare(ctx, share))
				if err != nil {
					return
				}
				honest.CompareAndSwap(false, share == "honest")
				<-ctx.Done()
				leave()
			}()
			synctest.Wait()
		}
		for range 50 {
			wait("hostile")
		}
		wait("honest")
		leave()
		synctest.Wait()
		if !honest.Load() {
			t.Error("the honest turn was not among the first")
		}
		stop()
	})
}

func TestAtMostGOMAXPROCSComputationsRunAndTheRestWaitNoLongerThanTheirContext(t *testing.T) {
	h := hasher(t, "pepper")
	leave := occupy(t, h, "others")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func(context.Context) error{
		"Compare": func(ctx context.Context) error {
			_, err := h.Compare(ctx, Peppered{Hash: h.dummy}, secret.New("s"))
			return err
		},
		"ComparePassword": func(ctx context.Context) error { return h.ComparePassword(ctx, h.dummy, secret.New("s")) },
		"CompareDummy":    func(ctx context.Context) error { return h.CompareDummy(ctx, secret.New("s")) },
		"Hash":            func(ctx context.Context) error { _, err := h.Hash(ctx, secret.New("s")); return err },
		"HashPassword":    func(ctx context.Context) error { _, err := h.HashPassword(ctx, secret.New("s")); return err },
	} {
		if err := call(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	leave()
	if err := h.CompareDummy(t.Context(), secret.New("s")); !errors.Is(err, ErrMismatch) {
		t.Errorf("after the others: %v", err)
	}
}

func TestAWaitForATurnIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hasher(t, "pepper")
		occupy(t, h, "others")
		if err := h.CompareDummy(t.Context(), secret.New("s")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestAMismatchIsReportedAlsoWhereNoTurnCameForTheNextPepper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := NewHasher(secret.New("new"), bcrypt.MinCost, secret.New("old"))
		if err != nil {
			t.Fatal(err)
		}
		wrong := make(chan [2]any, 1)
		compare := func(share string) {
			mismatched, err := h.Compare(WithShare(t.Context(), share), Peppered{Hash: h.dummy}, secret.New("s"))
			wrong <- [2]any{mismatched, errors.Is(err, context.DeadlineExceeded)}
		}
		leave := occupy(t, h, "others")
		go compare("earlier")
		if got := <-wrong; got != [2]any{false, true} {
			t.Fatalf("without a turn: %v", got)
		}
		end := make(chan struct{})
		for n := range runtime.GOMAXPROCS(0) { // they have all turns after the caller's first
			go func() {
				leave, err := h.enter(WithShare(t.Context(), fmt.Sprint("later", n)))
				if err != nil {
					t.Error(err)
					return
				}
				<-end
				leave()
			}()
		}
		synctest.Wait()
		go compare("caller") // the last to arrive is first
		synctest.Wait()
		leave()
		if got := <-wrong; got != [2]any{true, true} {
			t.Errorf("with a turn for one of two peppers: %v", got)
		}
		close(end)
	})
}

func TestATurnIsGivenBackAfterEveryOutcome(t *testing.T) {
	h := hasher(t, "pepper")
	for range runtime.GOMAXPROCS(0) + 1 {
		if _, err := h.Compare(t.Context(), Peppered{Hash: "damaged"}, secret.New("s")); err == nil || errors.Is(err, ErrMismatch) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestAHashOfAnotherCostIsStale(t *testing.T) {
	h := hasher(t, "pepper")
	now, _ := h.HashPassword(t.Context(), secret.New("p"))
	dearer, _ := bcrypt.GenerateFromPassword([]byte("p"), bcrypt.MinCost+1)
	if h.Stale(now) || !h.Stale(string(dearer)) || !h.Stale("damaged") {
		t.Fatal("Stale is wrong")
	}
}

func TestAHasherNeedsAPepperAndACostBcryptKnows(t *testing.T) {
	if _, err := NewHasher(secret.Value{}, bcrypt.DefaultCost); err == nil {
		t.Error("no pepper")
	}
	for _, cost := range []int{-1, 3, 32} {
		if _, err := NewHasher(secret.New("p"), cost); err == nil {
			t.Errorf("cost %d", cost)
		}
	}
}

func BenchmarkCompareAtCost10(b *testing.B) {
	h, _ := NewHasher(secret.New("pepper"), 10)
	for b.Loop() {
		_ = h.CompareDummy(b.Context(), secret.New("s"))
	}
}
