package embedded

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
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

func TestAChangedExpiryAppliesFromTheNextStart(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "pulse.db")
	for _, c := range []struct {
		expire time.Duration
		left   int64
	}{{72 * time.Hour, 3}, {36 * time.Hour, 2}, {72 * time.Hour, 2}, {time.Hour, 1}} {
		schema := []engine.Collection{{
			Name: "listed", Fields: []engine.Field{{Name: "at", Kind: engine.Time}},
			Indexes: []engine.Index{{Keys: []string{"at"}, ExpireAfter: &c.expire}},
		}}
		e, err := Open(t.Context(), path, schema, Options{Clock: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		if c.left == 3 { // the first start
			for id, age := range map[string]time.Duration{"two days": 48 * time.Hour, "a day": 24 * time.Hour, "new": 0} {
				if err := e.Insert(t.Context(), "listed", bson.D{{Key: "_id", Value: id}, {Key: "at", Value: now.Add(-age)}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := e.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if differences, err := e.EnsureSchema(t.Context()); err != nil || len(differences) > 0 {
			t.Errorf("%s: differences %v, %v", c.expire, differences, err)
		}
		if count, err := e.Count(t.Context(), "listed", nil, 0); err != nil || count != c.left {
			t.Errorf("%s: %d are left, %v; want %d", c.expire, count, err, c.left)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
