package webhooks

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/safedial"
)

// mortal is the engine and the network of a process that can be killed: from then on
// it writes nothing, reads nothing and sends nothing.
type mortal struct {
	database.Engine
	network http.RoundTripper
	// name is sent along, so that the receiver knows who sent.
	name string
	dead atomic.Bool
	kill context.CancelFunc
	life context.Context
}

var errDead = models.Unavailable(errors.New("killed by the test"))

func newMortal(t testing.TB, engine database.Engine, name string) *mortal {
	m := &mortal{Engine: engine, name: name, network: safedial.NewClient(ClientOptions(safedial.Options{AllowPrivate: true, AllowHTTP: true})).Transport}
	m.life, m.kill = context.WithCancel(t.Context())
	t.Cleanup(m.kill)
	return m
}

func (m *mortal) die() { m.dead.Store(true); m.kill() }

// rig is the process.
func (m *mortal) rig(t testing.TB, clock *testkit.Clock, o rigOptions) *rig {
	o.client = &http.Client{Transport: m, Timeout: attemptTimeout}
	return rigOn(t, &testkit.Engine{Engine: m}, clock, o)
}

func (m *mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	ctx, cancel := context.WithCancel(r.Context())
	context.AfterFunc(m.life, cancel) // a process that is killed resets its connections
	r = r.Clone(ctx)
	r.Header.Set("X-Replica", m.name)
	return m.network.RoundTrip(r)
}

func (m *mortal) Insert(ctx context.Context, c string, doc any) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Engine.Insert(ctx, c, doc)
}

func (m *mortal) InsertMany(ctx context.Context, c string, docs []any) ([]int, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.Engine.InsertMany(ctx, c, docs)
}

func (m *mortal) Find(ctx context.Context, c string, q database.Query, each func(bson.Raw) error) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Engine.Find(ctx, c, q, each)
}

func (m *mortal) FindOne(ctx context.Context, c string, q database.Query, out any) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Engine.FindOne(ctx, c, q, out)
}

func (m *mortal) Update(ctx context.Context, c string, filter, update bson.D, o database.UpdateOptions) (int64, error) {
	if m.dead.Load() {
		return 0, errDead
	}
	return m.Engine.Update(ctx, c, filter, update, o)
}

func (m *mortal) FindOneAndUpdate(ctx context.Context, c string, filter, update bson.D, o database.FindAndUpdateOptions, out any) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Engine.FindOneAndUpdate(ctx, c, filter, update, o, out)
}

func (m *mortal) Delete(ctx context.Context, c string, filter bson.D, limit int64) (int64, error) {
	if m.dead.Load() {
		return 0, errDead
	}
	return m.Engine.Delete(ctx, c, filter, limit)
}

// TestAReplicaThatStopsUnderLoadLosesNothing has two processes share 2,000 due
// deliveries, of which one stops on the way: by order, which sends nothing twice, or
// killed, which sends again only what it was sending.
func TestAReplicaThatStopsUnderLoadLosesNothing(t *testing.T) {
	for _, killed := range []bool{false, true} {
		name := "in order"
		if killed {
			name = "killed"
		}
		t.Run(name, func(t *testing.T) { stopUnderLoad(t, killed) })
	}
}

func stopUnderLoad(t *testing.T, killed bool) {
	const each = 100
	engine, clock := testkit.NewEngine(t), testkit.NewClock()
	dying := newMortal(t, engine, "one")
	one := dying.rig(t, clock, rigOptions{holder: "one", now: time.Now})
	two := newMortal(t, engine, "two").rig(t, clock, rigOptions{holder: "two", now: time.Now})
	var mu sync.Mutex
	came, total := map[string][]string{}, 0
	server := newReceiver(t, func(_ http.ResponseWriter, r *http.Request, _ int) {
		mu.Lock()
		id := r.URL.Path + " " + r.Header.Get("Webhook-Id")
		came[id] = append(came[id], r.Header.Get("X-Replica"))
		total = len(came)
		mu.Unlock()
		time.Sleep(time.Millisecond) // the work of a receiver
	})
	for i := range models.MaxEndpoints {
		one.endpoint(server.URL + "/" + string(rune('a'+i)))
	}
	until := func(what string, within time.Duration, done func() bool) {
		t.Helper()
		for began := time.Now(); !done(); <-time.After(time.Millisecond) {
			if time.Since(began) > within {
				mu.Lock()
				defer mu.Unlock()
				t.Fatalf("%s: %d of %d came", what, total, each*models.MaxEndpoints)
			}
		}
	}
	run := func(r *rig) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = r.worker.Run(ctx) })
		return func() { cancel(); running.Wait() }
	}
	stopOne, stopTwo := run(one), run(two)
	defer stopTwo()
	until("each has its half", time.Minute, func() bool {
		return len(one.worker.shares.Own()) == models.EndpointShards/2 && len(two.worker.shares.Own()) == models.EndpointShards/2
	})
	for n := range each {
		one.event(n, "room.started", "lobby")
	}
	one.fan()
	until("both work", time.Minute, func() bool {
		one.worker.passes[1].Wake()
		two.worker.passes[1].Wake()
		mu.Lock()
		defer mu.Unlock()
		return total >= each*models.MaxEndpoints/4
	})
	if killed {
		dying.die()
	}
	ended := time.Now()
	if !killed {
		stopOne()
	}
	mu.Lock()
	before := total
	mu.Unlock()
	if before == each*models.MaxEndpoints {
		t.Fatal("nothing was left to take over")
	}
	until("the shards are taken over", 20*time.Second, func() bool { return len(two.worker.shares.Own()) == models.EndpointShards })
	taken := time.Since(ended)
	until("the other does the rest", 2*time.Minute, func() bool {
		two.worker.passes[1].Wake()
		mu.Lock()
		defer mu.Unlock()
		return total == each*models.MaxEndpoints
	})
	stopOne()
	twice := 0
	mu.Lock()
	defer mu.Unlock()
	for id, by := range came {
		if len(by) == 1 {
			continue
		}
		twice++
		if !killed || len(by) > 2 || by[0] != "one" || by[1] != "two" {
			t.Errorf("%s was sent by %v", id, by)
		}
	}
	if most := models.MaxEndpoints / 2 * (concurrency + maxOpen); twice > 2*most {
		t.Errorf("%d were sent twice", twice)
	}
	t.Logf("%d of %d had come; taken over after %v; %d were sent twice", before, each*models.MaxEndpoints, taken.Round(time.Millisecond), twice)
}

// TestDeliveriesOfAKilledProcessAreSentAtItsRestart has a process die while requests
// are under way. Without replicas the next one does not wait for leases.
func TestDeliveriesOfAKilledProcessAreSentAtItsRestart(t *testing.T) {
	engine, clock := testkit.NewEngine(t), testkit.NewClock()
	dying := newMortal(t, engine, "first")
	first := dying.rig(t, clock, rigOptions{})
	first.worker.storeFor = 50 * time.Millisecond
	release := make(chan struct{})
	server := newReceiver(t, func(_ http.ResponseWriter, r *http.Request, _ int) {
		if r.Header.Get("X-Replica") == "first" {
			dying.die() // with its request under way
			<-release
		}
	})
	defer close(release)
	e, _ := first.endpoint(server.URL)
	const events = 10
	for n := range events {
		first.event(n, "room.started", "lobby")
	}
	first.fan()
	_ = first.worker.Work(t.Context())
	if left := len(first.stillPending(engine, e)); left != events {
		t.Fatalf("%d deliveries are pending", left)
	}
	next := newMortal(t, engine, "next").rig(t, clock, rigOptions{})
	next.work()
	if got := next.in(e, models.DeliveryDelivered); len(got) != events {
		t.Errorf("%d were delivered at the restart, without time passing", len(got))
	}
}

// stillPending gives the pending deliveries of an endpoint of a process that is dead.
func (r *rig) stillPending(engine database.Engine, e models.Endpoint) []models.Delivery {
	r.t.Helper()
	list, err := database.NewDeliveries(engine).List(r.t.Context(), database.DeliveryScope{Owner: e.Owner, Endpoint: e.ID, State: models.DeliveryPending}, database.Page{Limit: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}
