package metering

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"pulse-control-plane/models"
)

// batches counts the batches and events it is shown; the first fail.
type batches struct{ fail, batches, events, largest int }

func (b *batches) Consume(_ context.Context, batch *Batch) error {
	if b.fail--; b.fail >= 0 {
		return models.Unavailable(fmt.Errorf("the database is away"))
	}
	b.batches++
	b.events += len(batch.Events)
	b.largest = max(b.largest, len(batch.Events))
	return nil
}

// inManyRooms are events of rooms in all shards.
func inManyRooms(rooms, from, to int) (events []models.LiveKitEvent) {
	for n := range rooms {
		events = append(events, numbered(fmt.Sprint("room", n), from, to)...)
	}
	return events
}

func TestOneProcessWorksOnEventsOfSeveralShardsTogether(t *testing.T) {
	r := newRig(t)
	r.keep(inManyRooms(64, 0, 1))
	counted := &batches{}
	if n, err := r.worker("one", counted).Work(t.Context()); n != 64 || err != nil {
		t.Fatalf("worked on %d, %v", n, err)
	}
	if most := min(parallelShards, runtime.GOMAXPROCS(0)); counted.batches > most || counted.events != 64 {
		t.Errorf("%d events in %d batches; want at most %d", counted.events, counted.batches, most)
	}
}

func TestABatchOfSeveralShardsIsBounded(t *testing.T) {
	r := newRig(t)
	for n := range 2 { // as many as one call stores
		r.keep(inManyRooms(32, n*25, n*25+25))
	}
	counted := &batches{}
	w := r.worker("one", counted)
	if err := r.drain(w); err != nil {
		t.Fatal(err)
	}
	if counted.events != 1600 || counted.largest > inboxBatch || counted.largest < inboxBatch/2 {
		t.Errorf("worked on %d events, %d at most together; want all 1,600, %d at most", counted.events, counted.largest, inboxBatch)
	}
}

func TestAFailedBatchOfALaneIsTakenUpAgainWithoutBeingWoken(t *testing.T) {
	r := newRig(t)
	r.keep(inManyRooms(16, 0, 1))
	counted := &batches{fail: 1}
	w := r.worker("one", counted)
	if err := w.share(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := w.lanes[0]
	for n := int64(0); n < inboxShards; n += int64(len(w.lanes)) {
		l.due(n)
	}
	if _, err := w.workOn(t.Context(), l); !models.IsKind(err, models.KindUnavailable) {
		t.Fatalf("answers %v; want the consumer's error", err)
	}
	if n, err := w.workOn(t.Context(), l); n == 0 || err != nil {
		t.Errorf("the next batch worked on %d, %v; want what the first could not", n, err)
	}
}

func TestBatchesOfALaneStartAPauseApart(t *testing.T) {
	l := newLane(nil, 40*time.Millisecond)
	began := time.Now()
	for range 3 {
		if err := l.rest(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 80*time.Millisecond {
		t.Errorf("three batches started within %v; want a pause of 40 ms between two", took)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.rest(ended); err == nil {
		t.Error("waits on after its context ended")
	}
}
