package ratelimit

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	redisserver "github.com/alicebob/miniredis/v2/server"
	"github.com/prometheus/client_golang/prometheus"
)

func shared(t *testing.T, url string) *Shared {
	t.Helper()
	s := NewShared(url, New(10, time.Now))
	t.Cleanup(func() { _ = s.Close(t.Context()) })
	return s
}

func TestReplicasShareOneLimit(t *testing.T) {
	url := "redis://" + miniredis.RunT(t).Addr()
	replicas := []*Shared{shared(t, url), shared(t, url)}
	allowed := 0
	for i := range 20 {
		d := replicas[i%2].Allow(t.Context(), "prj", 10)
		if d.Allowed {
			allowed++
		} else if d.RetryAfter <= 0 {
			t.Errorf("refused without a time to come back: %+v", d)
		}
		if d.Limit != 10 {
			t.Errorf("the limit is said to be %d", d.Limit)
		}
	}
	if allowed != 10 {
		t.Errorf("%d of 20 were let through a limit of 10", allowed)
	}
}

func TestWithoutRedisEachReplicaCountsItsOwnRequests(t *testing.T) {
	server := miniredis.RunT(t)
	s := shared(t, "redis://"+server.Addr())
	server.Close()
	allowed := 0
	for range 20 {
		if s.Allow(t.Context(), "prj", 10).Allowed {
			allowed++
		}
	}
	if allowed != 10 {
		t.Errorf("%d of 20 were let through a limit of 10", allowed)
	}
	if s.Ping(t.Context()) == nil {
		t.Error("it says that Redis is there")
	}
}

func TestARedisThatTakesNoWritesIsNotTakenToWork(t *testing.T) {
	for _, refusal := range []string{
		"OOM command not allowed when used memory > 'maxmemory'.",
		"READONLY You can't write against a read only replica.",
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
	} {
		server := miniredis.RunT(t)
		s := shared(t, "redis://"+server.Addr())
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		server.Server().SetPreHook(func(c *redisserver.Peer, command string, _ ...string) bool {
			if command == "PING" {
				return false
			}
			c.WriteError(refusal)
			return true
		})
		if err := s.Ping(t.Context()); err == nil {
			t.Errorf("%s: it says that Redis counts", refusal)
		}
		if d := s.Allow(t.Context(), "prj", 10); !d.Allowed || !d.Fallback {
			t.Errorf("%s: got %+v, want this process's count", refusal, d)
		}
	}
}

func TestRequestsAreAllowedAgainAfterTheirInterval(t *testing.T) {
	server := miniredis.RunT(t)
	now := time.Unix(1_700_000_000, 0)
	server.SetTime(now)
	s := shared(t, "redis://"+server.Addr())
	for want := 2; want >= 0; want-- {
		if d := s.Peek(t.Context(), "prj", 3); !d.Allowed || d.Remaining != want+1 {
			t.Fatalf("peeked %+v, want %d remaining", d, want+1)
		}
		if d := s.Allow(t.Context(), "prj", 3); !d.Allowed || d.Remaining != want {
			t.Fatalf("%+v, want %d remaining", d, want)
		}
	}
	d := s.Allow(t.Context(), "prj", 3)
	if d.Allowed || d.RetryAfter != 20*time.Second || d.ResetAfter != time.Minute {
		t.Fatalf("%+v", d)
	}
	if peeked := s.Peek(t.Context(), "prj", 3); peeked != d {
		t.Fatalf("peeked %+v, then %+v", peeked, d)
	}
	server.SetTime(now.Add(d.RetryAfter))
	if d := s.Allow(t.Context(), "prj", 3); !d.Allowed {
		t.Errorf("%+v after the time it was told", d)
	}
	if d := s.Allow(t.Context(), "other", 3); !d.Allowed || d.Remaining != 2 {
		t.Errorf("another key was counted with it: %+v", d)
	}
}

func TestWithoutALimitRedisIsNotCalled(t *testing.T) {
	if d := shared(t, "redis://127.0.0.1:1").Allow(t.Context(), "prj", 0); !d.Allowed || d.Limit != 0 {
		t.Errorf("%+v", d)
	}
}

var policy = Backoff{First: time.Second, Longest: 5 * time.Minute, Forget: time.Hour}

func TestReplicasShareOneCountOfFailures(t *testing.T) {
	server := miniredis.RunT(t)
	at := time.Unix(1_700_000_000, 0)
	server.SetTime(at)
	var replicas []*SharedFailures
	for range 2 {
		replicas = append(replicas, shared(t, "redis://"+server.Addr()).Failures(NewLocalFailures(policy, 10, time.Now)))
	}
	count := func(i int) time.Duration {
		wait, err := replicas[i%2].Count(t.Context(), []Count{{"account", 5}, {"address", 20}})
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	for i := range 6 {
		if wait := count(i); wait != 0 {
			t.Fatalf("failure %d waits %s", i, wait)
		}
	}
	for i, want := 0, time.Second; i < 10; i, want = i+1, min(2*want, 5*time.Minute) {
		if a, b := count(0), count(1); a != want || b != want {
			t.Fatalf("wait %d is %s and %s, want %s", i, a, b, want)
		}
		at = at.Add(want)
		server.SetTime(at)
		if wait := count(i); wait != 0 {
			t.Fatalf("after waiting, %s more", wait)
		}
	}
	replicas[0].Clear(t.Context(), "account")
	if wait := count(1); wait != 0 {
		t.Errorf("cleared, and waits %s", wait)
	}
	replicas[0].Forgive(t.Context(), []string{"account", "address"})
	if ttl := server.TTL(failuresPrefix + "account"); ttl <= 0 || ttl > time.Hour {
		t.Errorf("a count is kept for %s", ttl)
	}
}

// TestWhileRedisIsSilentNoRequestWaitsMoreThanOnceASecond connects to a server that
// accepts and never answers.
func TestWhileRedisIsSilentNoRequestWaitsMoreThanOnceASecond(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s := shared(t, "redis://"+listener.Addr().String())
	failures := s.Failures(NewLocalFailures(policy, 10, time.Now))
	start, asked := time.Now(), 0
	for ; time.Since(start) < 2500*time.Millisecond; asked++ {
		if asked%2 == 0 {
			s.Allow(t.Context(), "prj", 10)
		} else if _, err := failures.Count(t.Context(), []Count{{"a", 5}}); err != nil {
			t.Fatal(err)
		}
	}
	most := float64(time.Since(start)/time.Second) + 1 // one in each second begun
	registry := prometheus.NewRegistry()
	s.Breaker.Register("redis", registry)
	found, err := registry.Gather()
	if err != nil || len(found) != 2 {
		t.Fatal(found, err)
	}
	for _, f := range found {
		n := f.GetMetric()[0].GetCounter().GetValue()
		if n == 0 {
			t.Errorf("%s counts nothing", f.GetName())
		}
		if strings.HasSuffix(f.GetName(), "_failures_total") && (n < 2 || n > most) {
			t.Errorf("%v of %d requests waited", n, asked)
		}
	}
}

func TestWhenRedisIsBackItIsAskedWithinASecond(t *testing.T) {
	b := NewBreaker()
	b.Done(errAway)
	b.openUntil.Add(-int64(breakerRest)) // a second later
	if !b.Try() || b.Try() {
		t.Error("not exactly one request asks again")
	}
	b.Done(nil)
	for range 2 {
		if !b.Try() {
			t.Error("it answers and is not asked")
		}
	}
}
