package conformance

import (
	"fmt"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

func concurrency() map[string]func(*testing.T, Open) {
	return map[string]func(*testing.T, Open){
		"EightHundredIncrementsBy32WritersEndAs800": incrementsAddUp,
		"AHundredJobsAreClaimedOnceEachBy16Workers": jobsAreClaimedOnce,
		"SimultaneousUpsertsMakeOneDocument":        upsertsMakeOne,
		"AcknowledgedWritesAreReadByEveryGoroutine": readYourWrites,
	}
}

// together runs n calls concurrently and returns their results.
func together(n int, call func(n int) error) []error {
	outcomes := make([]error, n)
	begin := make(chan struct{})
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			<-begin
			outcomes[i] = call(i)
		})
	}
	close(begin)
	running.Wait()
	return outcomes
}

func incrementsAddUp(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "counter", Number: to(int64(0))})
	seen := sync.Map{}
	for _, err := range together(32, func(int) error {
		for range 25 {
			var after thing
			err := e.FindOneAndUpdate(t.Context(), things, byID("counter"),
				single("$inc", single("number", int64(1))), engine.FindAndUpdateOptions{}, &after)
			if err != nil {
				return err
			}
			if _, twice := seen.LoadOrStore(*after.Number, true); twice {
				return fmt.Errorf("two increments both answered %d", *after.Number)
			}
		}
		return nil
	}) {
		must(t, err)
	}
	equal(t, "counter", load(t, e, "counter")["number"], any(int64(800)))
}

func jobsAreClaimedOnce(t *testing.T, open Open) {
	e := openThings(t, open)
	for n := range 100 {
		must(t, e.Insert(t.Context(), things, thing{ID: fmt.Sprintf("job %03d", n), Done: to(false), Number: to(int64(n))}))
	}
	claims := make([][]string, 16)
	for _, err := range together(16, func(worker int) error {
		for {
			var job thing
			err := e.FindOneAndUpdate(t.Context(), things, single("done", false),
				bson.D{{Key: "$set", Value: bson.D{{Key: "done", Value: true}, {Key: "owner.id", Value: fmt.Sprint(worker)}}}},
				engine.FindAndUpdateOptions{Sort: single("number", 1)}, &job)
			if models.IsKind(err, models.KindNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			if job.Owner == nil || job.Owner.ID != fmt.Sprint(worker) {
				return fmt.Errorf("worker %d claimed %s and was told it is %v's", worker, job.ID, job.Owner)
			}
			claims[worker] = append(claims[worker], job.ID)
		}
	}) {
		must(t, err)
	}
	claimed := map[string]bool{}
	for _, jobs := range claims {
		for _, id := range jobs {
			if claimed[id] {
				t.Errorf("%s was claimed twice", id)
			}
			claimed[id] = true
		}
	}
	equal(t, "claimed jobs", len(claimed), 100)
}

func upsertsMakeOne(t *testing.T, open Open) {
	e := openThings(t, open)
	for _, err := range together(32, func(int) error {
		_, err := e.Update(t.Context(), things, byID("one"), single("$inc", single("number", int64(1))), engine.UpdateOptions{Upsert: true})
		return err
	}) {
		must(t, err)
	}
	equal(t, "documents", len(ids(t, e, engine.Query{})), 1)
	equal(t, "number", load(t, e, "one")["number"], any(int64(32)))
}

func readYourWrites(t *testing.T, open Open) {
	e := openThings(t, open)
	for _, err := range together(8, func(worker int) error {
		for n := range 20 {
			id := fmt.Sprintf("%d.%d", worker, n)
			if err := e.Insert(t.Context(), things, thing{ID: id}); err != nil {
				return err
			}
			var out thing
			if err := e.FindOne(t.Context(), things, engine.Query{Filter: byID(id)}, &out); err != nil {
				return fmt.Errorf("reading %s, which was acknowledged: %w", id, err)
			}
		}
		return nil
	}) {
		must(t, err)
	}
}
