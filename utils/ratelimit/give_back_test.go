package ratelimit

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// giver is a store of counts, and how its clock is moved.
type giver struct {
	allow    func(string, PerMinute) Decision
	giveBack func(string, Decision)
	advance  func(time.Duration)
}

func givers(t *testing.T) map[string]giver {
	here, clock := limiter(10)
	local := Local{here}
	server, at := miniredis.RunT(t), time.Unix(1_700_000_000, 0)
	server.SetTime(at)
	redis := shared(t, "redis://"+server.Addr())
	redis.timeout = time.Minute
	return map[string]giver{
		"in this process": {
			func(k string, l PerMinute) Decision { return local.Allow(t.Context(), k, l) },
			func(k string, d Decision) { local.GiveBack(t.Context(), k, d) }, clock.advance,
		},
		"Redis": {
			func(k string, l PerMinute) Decision { return redis.Allow(t.Context(), k, l) },
			func(k string, d Decision) { redis.GiveBack(t.Context(), k, d) },
			func(d time.Duration) { at = at.Add(d); server.SetTime(at); server.FastForward(d) },
		},
	}
}

func TestARequestThatIsGivenBackWasNotCounted(t *testing.T) {
	for name, g := range givers(t) {
		t.Run(name, func(t *testing.T) {
			for i := range 50 {
				d := g.allow("k", 10)
				if !d.Allowed || d.Remaining != 9 {
					t.Fatalf("request %d: %+v", i, d)
				}
				g.giveBack("k", d)
			}
			for range 10 {
				g.allow("k", 10)
			}
			refused := g.allow("k", 10)
			if refused.Allowed {
				t.Fatal("more than the limit")
			}
			g.giveBack("k", refused)
			g.giveBack("k", Decision{Allowed: true}) // without a limit
			if g.allow("k", 10).Allowed {
				t.Error("a refused request was given back")
			}
			g.giveBack("nobody", Decision{Allowed: true, Limit: 10})
			for i := range 11 {
				if d := g.allow("nobody", 10); d.Allowed != (i < 10) {
					t.Fatalf("a full allowance was made larger: request %d: %+v", i, d)
				}
			}
		})
	}
}

func TestWhatIsNotGivenBackStaysWithinTheLimitInAnyOrder(t *testing.T) {
	const limit, most = 20, 20 + 10 // a burst, and what half a minute allows again
	for name, g := range givers(t) {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(4) {
				random, key := rand.New(rand.NewPCG(seed, 1)), string(rune('a'+seed))
				var pending []Decision
				kept := 0
				for range 300 { // tenths of a second
					g.advance(100 * time.Millisecond)
					for range random.IntN(6) {
						switch d := g.allow(key, limit); {
						case !d.Allowed:
						case random.IntN(2) == 0:
							pending = append(pending, d)
						default:
							kept++
						}
					}
					for len(pending) > 0 && random.IntN(3) > 0 {
						g.giveBack(key, pending[0])
						pending = pending[1:]
					}
				}
				if kept > most || kept < most-len(pending)-2 {
					t.Errorf("seed %d: %d requests stayed counted, of at most %d; %d still to give back", seed, kept, most, len(pending))
				}
				g.advance(time.Hour)
			}
		})
	}
}

func TestARequestIsGivenBackWhereItWasCounted(t *testing.T) {
	server := miniredis.RunT(t)
	s := shared(t, "redis://"+server.Addr())
	inRedis := s.Allow(t.Context(), "k", 2)
	server.SetError("LOADING")
	here := s.Allow(t.Context(), "k", 2)
	s.Breaker.Done(nil)
	server.SetError("")
	if inRedis.Fallback || !here.Fallback {
		t.Fatalf("counted: %+v, %+v", inRedis, here)
	}
	s.GiveBack(t.Context(), "k", here)
	if d := s.local.Peek("k", 2); d.Remaining != 2 {
		t.Errorf("here it is still counted: %+v", d)
	}
	if d := s.Peek(t.Context(), "k", 2); d.Fallback || d.Remaining != 1 {
		t.Errorf("in Redis another one was given back: %+v", d)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	s.GiveBack(gone, "k", inRedis)
	if d := s.Peek(t.Context(), "k", 2); d.Remaining != 2 {
		t.Errorf("in Redis it is still counted: %+v", d)
	}
}

func TestWhatIsGivenBackLateAllowsNoMoreThanTheLimit(t *testing.T) {
	const limit = 20 // one in three seconds
	for name, g := range givers(t) {
		t.Run(name, func(t *testing.T) {
			if allowed := func() (n int) {
				var old []Decision
				for range 2 {
					old = append(old, g.allow("refilled", limit))
				}
				g.advance(7 * time.Second) // time has given both back
				for range limit {
					if g.allow("refilled", limit).Allowed {
						n++
					}
				}
				for _, d := range old {
					g.giveBack("refilled", d)
				}
				for g.allow("refilled", limit).Allowed {
					n++
				}
				return n
			}(); allowed != limit {
				t.Errorf("after a refill %d at once", allowed)
			}
			g.advance(time.Hour)
			var all []Decision
			for range 5 {
				all = append(all, g.allow("idle", limit))
			}
			for _, d := range all[:4] {
				g.giveBack("idle", d)
			}
			g.advance(3100 * time.Millisecond) // the key has its full limit again
			idle := 0
			for range 2 {
				g.allow("idle", limit)
				idle++
			}
			g.giveBack("idle", all[4])
			for g.allow("idle", limit).Allowed {
				idle++
			}
			if idle != limit {
				t.Errorf("%d at once after all was given back", idle)
			}
			g.advance(time.Hour)
			a, b := g.allow("partly", limit), g.allow("partly", limit)
			g.giveBack("partly", a)
			g.advance(2900 * time.Millisecond)
			kept := 0
			for g.allow("partly", limit).Allowed {
				kept++
				if kept == 1 {
					g.giveBack("partly", b) // a thirtieth of it is left
				}
			}
			if kept != limit {
				t.Errorf("%d at once while others are given back", kept)
			}
			g.advance(time.Hour)
		})
	}
}

// TestNoOrderOfGivingBackAllowsMoreThanWithoutTheRequestsGivenBack compares each count
// with one of the requests alone that are never given back.
func TestNoOrderOfGivingBackAllowsMoreThanWithoutTheRequestsGivenBack(t *testing.T) {
	const limit = 6 // one in ten seconds
	for name, g := range givers(t) {
		t.Run(name, func(t *testing.T) {
			seeds := uint64(500)
			if name == "Redis" {
				seeds = 5
			}
			for seed := range seeds {
				random, key := rand.New(rand.NewPCG(seed, 2)), "k"+string(rune('a'+seed))
				alone, clock := limiter(10)
				var pending []Decision
				for step := range 200 {
					wait := time.Duration(random.IntN(4)) * time.Second
					g.advance(wait)
					clock.advance(wait)
					for range random.IntN(3) {
						d := g.allow(key, limit)
						if !d.Allowed {
							break
						}
						if random.IntN(3) > 0 {
							pending = append(pending, d)
						} else if !alone.Allow(key, limit).Allowed {
							t.Fatalf("seed %d, step %d: more than the limit", seed, step)
						}
					}
					for len(pending) > 0 && random.IntN(4) == 0 {
						at := random.IntN(len(pending))
						g.giveBack(key, pending[at])
						pending = append(pending[:at], pending[at+1:]...)
					}
				}
				g.advance(time.Hour)
			}
		})
	}
}
