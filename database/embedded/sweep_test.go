package embedded

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestExpiryFollowsTheInjectedClock(t *testing.T) {
	var now atomic.Int64
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now.Store(start.UnixMilli())
	e := openListed(t, Options{Clock: func() time.Time { return time.UnixMilli(now.Load()) }})
	var batch []any
	for n := range 900 {
		batch = append(batch, bson.D{{Key: "_id", Value: fmt.Sprintf("%03d", n)}, {Key: "at", Value: start.Add(time.Duration(n) * time.Millisecond)}})
	}
	batch = append(batch, bson.D{{Key: "_id", Value: "timeless"}})
	if _, err := e.InsertMany(t.Context(), "listed", batch); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		left  int64
	}{{24*time.Hour - time.Millisecond, 901}, {24 * time.Hour, 900}, {24*time.Hour + 799*time.Millisecond, 101}, {1000 * time.Hour, 1}} {
		now.Store(start.Add(c.after).UnixMilli())
		if err := e.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if count, err := e.Count(t.Context(), "listed", nil, 0); err != nil || count != c.left {
			t.Errorf("after %s %d are left, %v; want %d", c.after, count, err, c.left)
		}
	}
}
