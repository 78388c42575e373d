package metering

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

// heldEngine holds writes until it is released, and answers as refuse says.
type heldEngine struct {
	database.Engine
	release chan struct{}
	calls   atomic.Int64
	refuse  func(docs []any) error
}

func (e *heldEngine) FindOneAndUpdate(ctx context.Context, c string, filter, update bson.D, o database.FindAndUpdateOptions, out any) error {
	e.calls.Add(1)
	select {
	case <-e.release:
	case <-ctx.Done():
		return models.Unavailable(ctx.Err())
	}
	return e.Engine.FindOneAndUpdate(ctx, c, filter, update, o, out)
}

func (e *heldEngine) InsertMany(ctx context.Context, c string, docs []any) ([]int, error) {
	e.calls.Add(1)
	if e.refuse != nil {
		if err := e.refuse(docs); err != nil {
			return nil, err
		}
	}
	return e.Engine.InsertMany(ctx, c, docs)
}

// sharedInbox is the inbox of one of several processes.
func sharedInbox(t *testing.T, e database.Engine) *Inbox {
	t.Helper()
	return testkit.Must[*Inbox](t)(NewInbox(InboxConfig{Events: database.NewLiveKitEvents(e), Sequences: database.NewSequences(e), Clusters: testClusters(t), Now: time.Now}))
}

// arrive keeps events of one room at the same time, of which some have the same id, and
// returns how many were fresh and the errors.
func arrive(ctx context.Context, in *Inbox, ids []string) (fresh int64, failures []error) {
	var n atomic.Int64
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			is, err := in.Keep(ctx, &models.LiveKitEvent{ID: id, RoomKey: "room", Event: models.EventParticipantJoined})
			if is {
				n.Add(1)
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, err)
			}
		})
	}
	all.Wait()
	return n.Load(), failures
}

func eventNames(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("EV_%04d", i)
	}
	return out
}

func TestEventsThatArriveTogetherAreStoredTogetherEachOnceWithItsOwnNumber(t *testing.T) {
	e := &heldEngine{Engine: testkit.NewEngine(t), release: make(chan struct{})}
	close(e.release)
	in := sharedInbox(t, e)
	ids := eventNames(100)
	held := in.intakes[shardOf("room")]
	held.calls = intakeCalls // as if all of them hung
	go func() {
		waiting := func() int {
			held.mu.Lock()
			defer held.mu.Unlock()
			return len(held.waiting)
		}
		for waiting() < 2*len(ids) {
			time.Sleep(time.Millisecond)
		}
		for range intakeCalls {
			go held.run()
		}
	}()
	fresh, failures := arrive(t.Context(), in, append(ids, ids...))
	if fresh != int64(len(ids)) || len(failures) > 0 {
		t.Errorf("%d of %d events are fresh: %v", fresh, len(ids), failures)
	}
	if n := e.calls.Load(); n > 4*intakeCalls {
		t.Errorf("%d commands for %d events that arrived together", n, 2*len(ids))
	}
	numbers := map[int64]bool{}
	due, err := database.NewLiveKitEvents(e).Due(t.Context(), shardOf("room"), time.Now(), 1000)
	for i := range due {
		numbers[due[i].Seq] = true
	}
	if err != nil || len(due) != len(ids) || len(numbers) != len(ids) {
		t.Errorf("%d events are stored under %d numbers: %v", len(due), len(numbers), err)
	}
}

func TestAnEventThatTheDatabaseRefusesFailsAlone(t *testing.T) {
	refused := errors.New("refused")
	e := &heldEngine{Engine: testkit.NewEngine(t), release: make(chan struct{}), refuse: func(docs []any) error {
		for _, doc := range docs {
			if doc.(*models.LiveKitEvent).ID == "EV_0007" {
				return models.Internal(refused)
			}
		}
		return nil
	}}
	close(e.release)
	fresh, failures := arrive(t.Context(), sharedInbox(t, e), eventNames(50))
	if fresh != 49 || len(failures) != 1 || !errors.Is(failures[0], refused) {
		t.Errorf("%d events are stored; failures %v", fresh, failures)
	}
}

func TestACallThatHangsHoldsUpNoSenderBeyondTheirDeadline(t *testing.T) {
	e := &heldEngine{Engine: testkit.NewEngine(t), release: make(chan struct{})}
	in := sharedInbox(t, e)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if fresh, failures := arrive(ctx, in, eventNames(20)); fresh != 0 || len(failures) != 20 {
		t.Errorf("%d events are stored by a database that hangs; failures %v", fresh, failures)
	}
	if took := time.Since(began); took > intakeTimeout/2 {
		t.Errorf("senders waited %s", took)
	}
	close(e.release) // what was taken in may be stored after all, and is then not fresh
	if _, failures := arrive(t.Context(), in, eventNames(20)); len(failures) > 0 {
		t.Error(failures)
	}
}

func TestLargeEventsAreStoredInCallsOfBoundedSize(t *testing.T) {
	in := &intake{}
	for range 5 {
		in.waiting = append(in.waiting, &arrival{ctx: t.Context(), event: &models.LiveKitEvent{Body: string(make([]byte, intakeBytes*2/3))}})
	}
	for n := range 5 {
		if batch := in.next(); len(batch) != 1 {
			t.Errorf("call %d has %d events", n, len(batch))
		}
	}
	if in.waiting != nil {
		t.Error("more waits")
	}
	for range 2*intakeEvents + 1 {
		in.waiting = append(in.waiting, &arrival{ctx: t.Context(), event: &models.LiveKitEvent{}})
	}
	if a, b, c := len(in.next()), len(in.next()), len(in.next()); a != intakeEvents || b != intakeEvents || c != 1 {
		t.Errorf("calls of %d, %d and %d events", a, b, c)
	}
}

func TestEventsWhoseSendersAreGoneTakeNoMemoryWhileTheDatabaseIsAway(t *testing.T) {
	e := &heldEngine{Engine: testkit.NewEngine(t), release: make(chan struct{})}
	close(e.release)
	in := sharedInbox(t, e)
	held := in.intakes[shardOf("room")]
	held.calls = intakeCalls // as if all of them hung
	gone, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	names := eventNames(2*intakeEvents + 1)
	if _, failures := arrive(gone, in, names[1:]); len(failures) != len(names)-1 {
		t.Fatalf("%d senders of %d are gone", len(failures), len(names)-1)
	}
	stays := &arrival{ctx: t.Context(), event: &models.LiveKitEvent{ID: names[0]}}
	held.waiting = append(held.waiting, stays)
	if batch := held.next(); len(batch) != 1 || batch[0] != stays || held.waiting != nil {
		t.Errorf("a call has %d events, and %d wait", len(batch), len(held.waiting))
	}
}
