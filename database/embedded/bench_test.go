package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

// benchProject has the shape and size of a stored project.
type benchProject struct {
	ID        string    `bson:"_id"`
	OrgID     string    `bson:"org_id"`
	Key       string    `bson:"pulse_api_key"`
	Name      string    `bson:"name"`
	NameKey   string    `bson:"name_key"`
	Secret    string    `bson:"secret_hash"`
	Region    string    `bson:"region"`
	Grants    bson.D    `bson:"grants"`
	IsDeleted bool      `bson:"is_deleted"`
	CreatedAt time.Time `bson:"created_at"`
	UpdatedAt time.Time `bson:"updated_at"`
}

func newBenchProject(n int) benchProject {
	// Keys are random, as real ones: their index has no order to profit from.
	random := rand.New(rand.NewPCG(1, uint64(n)))
	now := time.UnixMilli(1_767_225_600_000 + int64(n))
	return benchProject{
		ID: fmt.Sprintf("prj_%032d", n), OrgID: fmt.Sprintf("org_%032d", n/10),
		Key:  fmt.Sprintf("pulse_key_%016x%016x", random.Uint64(), random.Uint64()),
		Name: fmt.Sprintf("Project %d", n), NameKey: fmt.Sprintf("project %d", n),
		Secret: "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", Region: "eu-central",
		Grants:    bson.D{{Key: "roomJoin", Value: true}, {Key: "canPublish", Value: true}, {Key: "canSubscribe", Value: true}},
		CreatedAt: now, UpdatedAt: now,
	}
}

// benchProjects declares the fields and indexes that projects have.
func benchProjects() engine.Collection {
	return engine.Collection{
		Name: "projects",
		Fields: []engine.Field{
			{Name: "org_id", Kind: engine.String}, {Name: "pulse_api_key", Kind: engine.String},
			{Name: "name", Kind: engine.String}, {Name: "name_key", Kind: engine.String}, {Name: "is_deleted", Kind: engine.Bool},
		},
		Indexes: []engine.Index{
			{Keys: []string{"pulse_api_key"}, Unique: true},
			{Keys: []string{"org_id"}},
			{Keys: []string{"is_deleted"}},
			{Keys: []string{"org_id", "name"}},
			{Keys: []string{"name_key"}},
		},
	}
}

func openFilled(b *testing.B, documents int) *Engine {
	b.Helper()
	ctx := context.Background()
	e, err := Open(ctx, filepath.Join(b.TempDir(), "bench.db"), []engine.Collection{benchProjects()}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	for n := 0; n < documents; {
		batch := make([]any, 0, engine.MaxBatch)
		for len(batch) < engine.MaxBatch && n < documents {
			batch = append(batch, newBenchProject(n))
			n++
		}
		if _, err := e.InsertMany(ctx, "projects", batch); err != nil {
			b.Fatal(err)
		}
	}
	return e
}

// atSizes runs a benchmark at both numbers of documents every figure is
// measured at. The larger takes a while to fill and is left out with -short.
func atSizes(b *testing.B, run func(b *testing.B, e *Engine, documents int)) {
	for _, documents := range []int{10_000, 1_000_000} {
		name := fmt.Sprintf("%d_documents", documents)
		if documents > 10_000 && testing.Short() {
			b.Run(name, func(b *testing.B) { b.Skip("filling a million documents takes minutes; not with -short") })
			continue
		}
		e := openFilled(b, documents)
		b.Run(name, func(b *testing.B) { run(b, e, documents) })
	}
}

// BenchmarkPointRead reads whole projects by their public key on one
// goroutine, decoded. The goal is 20,000 a second (50 µs each).
func BenchmarkPointRead(b *testing.B) {
	atSizes(b, func(b *testing.B, e *Engine, documents int) {
		keys := make([]string, 10_000)
		for i := range keys {
			keys[i] = newBenchProject(rand.IntN(documents)).Key
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		i := 0
		for b.Loop() {
			var out benchProject
			if err := e.FindOne(ctx, "projects", engine.Query{Filter: bson.D{{Key: "pulse_api_key", Value: keys[i%len(keys)]}}}, &out); err != nil {
				b.Fatal(err)
			}
			i++
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
	})
}

// BenchmarkDurableInsert32Writers inserts projects from 32 goroutines, each
// waiting until its document is on disk. The goal is 5,000 a second.
func BenchmarkDurableInsert32Writers(b *testing.B) {
	var next atomic.Int64
	atSizes(b, func(b *testing.B, e *Engine, _ int) {
		next.CompareAndSwap(0, 10_000_000)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var left atomic.Int64
		left.Store(int64(b.N))
		var writers sync.WaitGroup
		for range 32 {
			writers.Go(func() {
				for left.Add(-1) >= 0 {
					if err := e.Insert(ctx, "projects", newBenchProject(int(next.Add(1)))); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		writers.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "inserts/s")
	})
}
