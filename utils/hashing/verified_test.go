package hashing

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"pulse-control-plane/utils/secret"
)

func verified(t testing.TB, capacity int) (*Verified, *time.Time) {
	t.Helper()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	v, err := NewVerified(capacity, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return v, &now
}

func TestOnlyTheVeryPairThatWasVerifiedIsRemembered(t *testing.T) {
	v, _ := verified(t, 10)
	v.Remember("key_1", secret.New("s"), "hash")
	if !v.Check("key_1", secret.New("s"), "hash") {
		t.Fatal("the pair is not remembered")
	}
	for _, other := range [][3]string{
		{"key_2", "s", "hash"}, {"key_1", "t", "hash"}, {"key_1", "s", "another hash"},
		{"key_1", "", "hash"}, {"key_1", "s\x00hash", ""}, {"key_1", "s\x00", "hash"},
	} {
		if v.Check(other[0], secret.New(other[1]), other[2]) {
			t.Errorf("%q passes too", other)
		}
	}
}

func TestAPairIsForgottenAfterAMinute(t *testing.T) {
	v, now := verified(t, 10)
	v.Remember("key_1", secret.New("s"), "hash")
	*now = now.Add(VerifiedFor - verifiedSpread)
	if !v.Check("key_1", secret.New("s"), "hash") {
		t.Fatal("forgotten early")
	}
	*now = now.Add(verifiedSpread)
	if v.Check("key_1", secret.New("s"), "hash") {
		t.Fatal("remembered longer than a minute")
	}
}

func TestAPairIsRecalledUntilItsKeyIsForgotten(t *testing.T) {
	v, now := verified(t, 10)
	if v.Recalls("key_1", secret.New("s"), "hash") {
		t.Error("recalled before it was verified")
	}
	v.Remember("key_1", secret.New("s"), "hash")
	*now = now.Add(24 * time.Hour)
	if v.Check("key_1", secret.New("s"), "hash") || !v.Recalls("key_1", secret.New("s"), "hash") {
		t.Error("not recalled after a day, or not to be verified again")
	}
	if v.Recalls("key_1", secret.New("t"), "hash") || v.Recalls("key_1", secret.New("s"), "another hash") {
		t.Error("another pair is recalled")
	}
	v.Forget("key_1")
	if v.Recalls("key_1", secret.New("s"), "hash") {
		t.Error("recalled after it was forgotten")
	}
}

func TestReplicasDoNotForgetAPairAllAtOnce(t *testing.T) {
	remembered := 0
	for range 100 {
		v, now := verified(t, 10)
		v.Remember("key_1", secret.New("s"), "hash")
		*now = now.Add(VerifiedFor - verifiedSpread/2)
		if v.Check("key_1", secret.New("s"), "hash") {
			remembered++
		}
	}
	if remembered < 20 || remembered > 80 {
		t.Errorf("in the middle of the time in which pairs are forgotten, %d of 100 replicas remember one", remembered)
	}
}

func TestUseDoesNotKeepAPairRememberedLonger(t *testing.T) {
	v, now := verified(t, 10)
	v.Remember("key_1", secret.New("s"), "hash")
	for range 59 {
		*now = now.Add(time.Second)
		v.Check("key_1", secret.New("s"), "hash")
	}
	*now = now.Add(time.Second)
	if v.Check("key_1", secret.New("s"), "hash") {
		t.Fatal("use renewed it")
	}
}

func TestAForgottenKeyIsVerifiedAnew(t *testing.T) {
	v, _ := verified(t, 10)
	v.Remember("key_1", secret.New("s"), "hash")
	v.Remember("key_2", secret.New("s"), "hash")
	v.Forget("key_1")
	if v.Check("key_1", secret.New("s"), "hash") || !v.Check("key_2", secret.New("s"), "hash") {
		t.Fatal("Forget is wrong")
	}
}

func TestVerifiedPairsAreBounded(t *testing.T) {
	v, _ := verified(t, 10)
	for i := range 1000 {
		v.Remember(strconv.Itoa(i), secret.New("s"), "hash")
	}
	if v.entries.Len() != 10 || v.Check("989", secret.New("s"), "hash") || !v.Check("990", secret.New("s"), "hash") {
		t.Fatalf("%d are remembered", v.entries.Len())
	}
	if _, err := NewVerified(0, time.Now); err == nil {
		t.Fatal("a memory without room was made")
	}
}

func TestChecksFromManyGoroutinesDoNotMixUp(t *testing.T) {
	v, _ := verified(t, 100)
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			id, own := "key_"+strconv.Itoa(i), secret.New("s"+strconv.Itoa(i))
			for range 200 {
				v.Remember(id, own, "hash")
				if !v.Check(id, own, "hash") || v.Check(id, secret.New("other"), "hash") {
					t.Error("mixed up")
				}
			}
		})
	}
	wait.Wait()
}

func BenchmarkCheck(b *testing.B) {
	v, _ := verified(b, 10)
	s := secret.New("pulse_secret_0000000000000000000000000000000000000000000000000")
	hash := "$2a$10$PulsePulsePulsePulsePu000000000000000000000000000000O"
	v.Remember("key_01981e8a-7b2c-7def-8abc-0123456789ab", s, hash)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			v.Check("key_01981e8a-7b2c-7def-8abc-0123456789ab", s, hash)
		}
	})
}
