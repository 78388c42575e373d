package conformance

import (
	"context"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

func lifecycle() map[string]func(*testing.T, Open) {
	return map[string]func(*testing.T, Open){
		"AnEndedContextIsUnavailableAndChangesNothing": endedContext,
		"AClosedEngineReturnsUnavailable":              closedEngine,
		"AnOpenEngineAnswersPing":                      ping,
		"ExpiredDocumentsAreDeletedAndOthersKept":      expiry,
		"RunEndsWithItsContext":                        runEnds,
	}
}

// everyCall calls every method of an engine with a context.
func everyCall(ctx context.Context, e engine.Engine) map[string]error {
	var out thing
	calls := map[string]error{
		"Insert":           e.Insert(ctx, things, thing{ID: "new"}),
		"FindOne":          e.FindOne(ctx, things, engine.Query{Filter: byID("a")}, &out),
		"FindOne by name":  e.FindOne(ctx, things, engine.Query{Filter: single("name", "x")}, &out),
		"Find":             e.Find(ctx, things, engine.Query{Limit: 5}, func(bson.Raw) error { return nil }),
		"FindOneAndUpdate": e.FindOneAndUpdate(ctx, things, byID("a"), set("name", "y"), engine.FindAndUpdateOptions{}, &out),
		"Ping":             e.Ping(ctx),
	}
	_, calls["InsertMany"] = e.InsertMany(ctx, things, []any{thing{ID: "new"}})
	_, calls["Update"] = e.Update(ctx, things, byID("a"), set("name", "y"), engine.UpdateOptions{})
	_, calls["Update of many"] = e.Update(ctx, things, byID("a"), set("name", "y"), engine.UpdateOptions{Many: true})
	_, calls["Delete"] = e.Delete(ctx, things, byID("a"), 0)
	_, calls["Count"] = e.Count(ctx, things, bson.D{}, 0)
	_, calls["Sum"] = e.Sum(ctx, things, bson.D{}, "number", "name")
	_, calls["EnsureSchema"] = e.EnsureSchema(ctx)
	return calls
}

func endedContext(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Name: "x"})
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancelLate()
	for _, ctx := range []context.Context{canceled, late} {
		for call, err := range everyCall(ctx, e) {
			if !models.IsKind(err, models.KindUnavailable) {
				t.Errorf("%s with an ended context answers %v; want unavailable", call, err)
			}
		}
	}
	equal(t, "stored", len(ids(t, e, engine.Query{})), 1)
	equal(t, "name", load(t, e, "a")["name"], any("x"))
}

func closedEngine(t *testing.T, open Open) {
	e := open(t, thingsSchema())
	must(t, e.Insert(t.Context(), things, thing{ID: "a", Name: "x"}))
	must(t, e.Close(t.Context()))
	for call, err := range everyCall(t.Context(), e) {
		if !models.IsKind(err, models.KindUnavailable) {
			t.Errorf("%s of a closed engine answers %v; want unavailable", call, err)
		}
	}
	must(t, e.Close(t.Context()))
	// After reopening the documents are still there.
	again := opened(t, open, thingsSchema())
	equal(t, "name", load(t, again, "a")["name"], any("x"))
	equal(t, "stored", len(ids(t, again, engine.Query{})), 1)
}

func ping(t *testing.T, open Open) {
	e := openThings(t, open)
	for range 3 {
		must(t, e.Ping(t.Context()))
	}
}

func expiry(t *testing.T, open Open) {
	at, hour := time.Duration(0), time.Hour
	e := opened(t, open, []engine.Collection{{
		Name:   things,
		Fields: []engine.Field{{Name: "until", Kind: engine.Time}, {Name: "made", Kind: engine.Time}},
		Indexes: []engine.Index{
			{Keys: []string{"until"}, ExpireAfter: &at},
			{Keys: []string{"made"}, ExpireAfter: &hour},
		},
	}})
	now := time.Now()
	for id, doc := range map[string]bson.D{
		"gone by its end":     {{Key: "until", Value: now.Add(-time.Second)}},
		"gone by its age":     {{Key: "made", Value: now.Add(-hour - time.Minute)}},
		"kept by its end":     {{Key: "until", Value: now.Add(hour)}},
		"kept by its age":     {{Key: "made", Value: now.Add(-hour / 2)}},
		"kept without a time": {},
	} {
		must(t, e.Insert(t.Context(), things, append(byID(id), doc...)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	eventually(t, "the expired are gone", func() bool {
		return len(ids(t, e, engine.Query{Filter: single("_id", single("$in", []string{"gone by its end", "gone by its age"}))})) == 0
	})
	equal(t, "kept", len(ids(t, e, engine.Query{})), 3)
	cancel()
	must(t, <-ended)
}

func runEnds(t *testing.T, open Open) {
	e := openThings(t, open)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	cancel()
	select {
	case err := <-ended:
		must(t, err)
	case <-time.After(patience):
		t.Fatalf("Run goes on %s after its context ended", patience)
	}
}
