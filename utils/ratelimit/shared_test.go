package ratelimit

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
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
