package webhooks

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

func idFilter(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }

// TestACrashAnywhereLosesNoEventAndMakesNoDeliveryTwice kills the process at each
// of its writes in turn and starts it again.
func TestACrashAnywhereLosesNoEventAndMakesNoDeliveryTwice(t *testing.T) {
	const events, endpoints = 6, 3
	for fatal := int64(1); ; fatal++ {
		engine, clock := testkit.NewEngine(t), testkit.NewClock()
		r := rigOn(t, engine, clock, rigOptions{})
		r.worker.storeFor = time.Millisecond
		var servers []*receiver
		var list []models.Endpoint
		for range endpoints {
			server := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, before int) {
				if before == 0 {
					w.WriteHeader(http.StatusInternalServerError)
				}
			})
			e, _ := r.endpoint(server.URL)
			servers, list = append(servers, server), append(list, e)
		}
		for n := range events {
			r.event(n, "room.started", "lobby")
		}
		engine.Fatal = engine.Writes.Load() + fatal
		for range 3 {
			_, err := r.fanout.Pass(t.Context())
			_ = r.worker.Work(t.Context())
			if err == nil {
				clock.Advance(10 * time.Second)
			}
		}
		survived := engine.Writes.Load() < engine.Fatal
		engine.Fatal = 0
		r = rigOn(t, engine, clock, rigOptions{})
		r.work()
		r.later(time.Minute)
		r.later(time.Hour)
		for i, server := range servers {
			if got := server.each(); len(got) != events {
				t.Fatalf("killed at write %d: %d of %d events arrived", fatal, len(got), events)
			}
			if made := r.in(list[i], ""); len(made) != events {
				t.Fatalf("killed at write %d: %d deliveries of %d events", fatal, len(made), events)
			}
			if waiting := r.in(list[i], models.DeliveryPending); len(waiting) > 0 {
				t.Fatalf("killed at write %d: %d still wait", fatal, len(waiting))
			}
		}
		if survived {
			return
		}
	}
}

func TestAnOrderedEndpointGetsARoomsEventsOneAfterTheOther(t *testing.T) {
	const rooms, events = 5, 30
	failing := map[int]bool{3: true, 17: true, 18: true, 60: true}
	server := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, before int) {
		if failing[before] {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	r := newRig(t)
	e, _ := r.endpoint(server.URL, ordered)
	for n := range rooms * events {
		r.event(n, "participant.joined", fmt.Sprint("room", n%rooms))
	}
	r.work()
	for range 10 {
		r.later(10 * time.Minute)
	}
	if waiting := r.in(e, models.DeliveryPending); len(waiting) > 0 {
		t.Fatalf("%d wait", len(waiting))
	}
	last := map[int]int{}
	for _, id := range server.ids() {
		var n int
		if _, err := fmt.Sscanf(id, "evt_%06d", &n); err != nil {
			t.Fatal(err)
		}
		if before, ok := last[n%rooms]; ok && n != before && n != before+rooms {
			t.Fatalf("event %d of a room came after %d", n, before)
		}
		last[n%rooms] = n
	}
	if got := server.each(); len(got) != rooms*events {
		t.Errorf("%d events", len(got))
	}
}

// TestOneRoomThatFailsDelaysNoOtherOfAnOrderedEndpoint has more deliveries wait
// behind a failed one than are read at a time.
func TestOneRoomThatFailsDelaysNoOtherOfAnOrderedEndpoint(t *testing.T) {
	server := newReceiver(t, nil)
	r := newRig(t)
	r.endpoint(server.URL, ordered)
	blocked := eventID(0)
	server.set(func(w http.ResponseWriter, q *http.Request, _ int) {
		if q.Header.Get("Webhook-Id") == blocked {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	for n := range 700 {
		r.event(n, "participant.joined", "blocked")
	}
	r.event(700, "participant.joined", "free")
	r.work()
	r.worker.Wake()
	r.work()
	if got := server.each(); !slices.Equal(got, []string{blocked, eventID(700)}) {
		t.Fatalf("%d came, the last of them %s", len(got), got[len(got)-1])
	}
	server.set(nil)
	r.later(10 * time.Second)
	if got := server.each(); len(got) != 701 {
		t.Errorf("%d came when the room works again", len(got))
	}
}

func TestAtMostFourRequestsToAnEndpointAreUnderWay(t *testing.T) {
	hold := make(chan struct{})
	server := newReceiver(t, func(_ http.ResponseWriter, _ *http.Request, before int) {
		if before > 0 {
			<-hold
		}
	})
	r := newRig(t)
	r.endpoint(server.URL)
	for n := range 20 {
		r.event(n, "room.started", "lobby")
	}
	done := make(chan struct{})
	go func() { defer close(done); r.work() }()
	for server.mostOpen() < concurrency {
		select {
		case <-done:
			t.Fatal("the work ended")
		case <-time.After(time.Millisecond):
		}
	}
	close(hold)
	<-done
	if got := server.mostOpen(); got != concurrency || len(server.each()) != 20 {
		t.Errorf("%d at a time, %d in all", got, len(server.each()))
	}
}

func (s *receiver) mostOpen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// TestADeadEndpointDelaysNoOther has an endpoint with very many due deliveries
// that answers no request, and measures how long another one's take.
func TestADeadEndpointWithVeryManyDueDeliveriesDelaysNoOther(t *testing.T) {
	many := 100_000
	if testing.Short() {
		many = 5_000
	}
	hang := make(chan struct{})
	dead, alive := newReceiver(t, func(http.ResponseWriter, *http.Request, int) { <-hang }), newReceiver(t, nil)
	defer close(hang)
	r := rigOn(t, testkit.NewEngine(t), testkit.NewClock(), rigOptions{now: time.Now})
	e, _ := r.endpoint(dead.URL, patterns("room.started"))
	r.endpoint(alive.URL, patterns("room.finished"))
	event := r.event(0, "room.started", "lobby")
	event.Seq = 1
	for from := 0; from < many; from += 1000 {
		list := make([]models.Delivery, 1000)
		for i := range list {
			list[i] = deliveryOf(&event, &e, r.clock.Now())
			list[i].ID = models.DeliveryID(fmt.Sprintf("dlv_%06d", from+i))
		}
		if err := r.deliveries.InsertMany(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.worker.Run(ctx) })
	defer running.Wait()
	defer stop()
	for dead.mostOpen() == 0 {
		<-time.After(time.Millisecond)
	}
	var worst time.Duration
	for n := range 20 {
		began := time.Now()
		r.event(n+1, "room.finished", "lobby")
		r.fan()
		for len(alive.ids()) <= n {
			if time.Since(began) > 5*time.Second {
				t.Fatal("an event was not delivered")
			}
			<-time.After(time.Millisecond)
		}
		worst = max(worst, time.Since(began))
	}
	t.Logf("beside %d due deliveries of a dead endpoint, the slowest of 20 took %v", many, worst)
	if worst > time.Second {
		t.Errorf("a delivery took %v", worst)
	}
}
