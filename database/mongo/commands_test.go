package mongo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// commandField returns a value of a command as extended JSON, "" if absent.
func commandField(command bson.Raw, path ...string) string {
	v := command.Lookup(path...)
	if v.Type == 0 {
		return ""
	}
	return v.String()
}

func TestWritesRequireAJournalledMajorityAndAreRetryable(t *testing.T) {
	s := newWireServer(t, func(command bson.Raw) any {
		if commandName(command) == "findAndModify" {
			return bson.D{{Key: "ok", Value: 1}, {Key: "value", Value: bson.D{{Key: "_id", Value: "x"}}}}
		}
		return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}}
	})
	m := openWire(t, s, "")
	id := bson.D{{Key: "_id", Value: "x"}}
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "age", Value: 1}}}}
	if err := m.Insert(t.Context(), "people", id); err != nil {
		t.Fatal(err)
	}
	if n, err := m.Update(t.Context(), "people", id, set, engine.UpdateOptions{}); err != nil || n != 1 {
		t.Fatalf("update matched %d: %v", n, err)
	}
	var out bson.M
	if err := m.FindOneAndUpdate(t.Context(), "people", id, set, engine.FindAndUpdateOptions{Sort: bson.D{{Key: "born", Value: -1}}}, &out); err != nil || out["_id"] != "x" {
		t.Fatalf("find and update: %v %v", out, err)
	}
	if n, err := m.Delete(t.Context(), "people", id, 1); err != nil || n != 1 {
		t.Fatalf("deleted %d: %v", n, err)
	}
	for _, name := range []string{"insert", "update", "findAndModify", "delete"} {
		commands := s.commands(name)
		if len(commands) != 1 {
			t.Errorf("%s was sent %d times", name, len(commands))
			continue
		}
		c := commands[0]
		if commandField(c, "writeConcern", "w") != `"majority"` || commandField(c, "writeConcern", "j") != "true" || commandField(c, "txnNumber") == "" {
			t.Errorf("%s was sent as %s", name, c)
		}
	}
	if c := s.commands("findAndModify")[0]; commandField(c, "new") != "true" || commandField(c, "sort") == "" {
		t.Errorf("findAndModify was sent as %s, want the document afterwards, in order", c)
	}
}

func TestReadsUseThePrimaryWithReadConcernMajority(t *testing.T) {
	s := newWireServer(t, func(bson.Raw) any {
		return wireCursor(0, bson.D{{Key: "_id", Value: "x"}, {Key: "n", Value: int64(1)}})
	})
	m := openWire(t, s, "")
	var out bson.M
	if err := m.FindOne(t.Context(), "people", engine.Query{}, &out); err != nil || out["_id"] != "x" {
		t.Fatalf("found %v: %v", out, err)
	}
	if n, err := m.Count(t.Context(), "people", nil, 3); err != nil || n != 1 {
		t.Fatalf("counted %d: %v", n, err)
	}
	for _, c := range append(s.commands("find"), s.commands("aggregate")...) {
		preference := commandField(c, "$readPreference", "mode") // absent means primary
		if commandField(c, "readConcern", "level") != `"majority"` || preference != "" && preference != `"primary"` {
			t.Errorf("sent %s", c)
		}
	}
	if count := s.commands("aggregate"); len(count) != 1 || !strings.Contains(count[0].String(), `{"$limit": {"$numberLong":"3"}}`) {
		t.Errorf("count was sent as %s, want it to stop at 3", count)
	}
}

func TestAnUpsertThatLosesARaceUpdatesTheDocument(t *testing.T) {
	const duplicateID = `E11000 duplicate key error collection: pulse_test.people index: _id_ dup key: { _id: "x" }`
	for _, name := range []string{"update", "findAndModify"} {
		tries := 0
		s := newWireServer(t, func(command bson.Raw) any {
			tries++
			switch {
			case tries == 1 && name == "update":
				return wireDuplicate(0, duplicateID)
			case tries == 1:
				return wireFailure(11000, duplicateID)
			}
			return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}, {Key: "value", Value: bson.D{{Key: "_id", Value: "x"}}}}
		})
		m := openWire(t, s, "")
		id := bson.D{{Key: "_id", Value: "x"}}
		inc := bson.D{{Key: "$inc", Value: bson.D{{Key: "age", Value: 1}}}}
		var err error
		if name == "update" {
			_, err = m.Update(t.Context(), "people", id, inc, engine.UpdateOptions{Upsert: true})
		} else {
			err = m.FindOneAndUpdate(t.Context(), "people", id, inc, engine.FindAndUpdateOptions{Upsert: true}, &bson.M{})
		}
		if err != nil || len(s.commands(name)) != 2 {
			t.Errorf("%s: %v after %d tries, want success at the second", name, err, len(s.commands(name)))
		}
	}
}

func TestADuplicateThatARetryCannotFixIsAConflict(t *testing.T) {
	for _, c := range []struct {
		index, code string
		upsert      bool
		tries       int
	}{
		{"email_1", "email_taken", true, 1},
		{"_id_", "already_exists", true, upsertTries}, // it exists but the rest of the filter does not match
		{"email_1", "email_taken", false, 1},
	} {
		s := newWireServer(t, func(bson.Raw) any {
			return wireDuplicate(0, "E11000 duplicate key error collection: pulse_test.people index: "+c.index+` dup key: { : "x" }`)
		})
		m := openWire(t, s, "")
		_, err := m.Update(t.Context(), "people", bson.D{{Key: "_id", Value: "x"}, {Key: "org_id", Value: "o"}},
			bson.D{{Key: "$set", Value: bson.D{{Key: "email", Value: "e"}}}}, engine.UpdateOptions{Upsert: c.upsert})
		if !models.HasCode(err, c.code) || len(s.commands("update")) != c.tries {
			t.Errorf("%+v: %v after %d tries", c, err, len(s.commands("update")))
		}
	}
}

func TestInsertManyIsUnorderedAndReportsDuplicates(t *testing.T) {
	s := newWireServer(t, func(bson.Raw) any { return wireDuplicate(1, mongoDuplicateEmail) })
	m := openWire(t, s, "")
	dups, err := m.InsertMany(t.Context(), "people", []any{bson.D{{Key: "_id", Value: "a"}}, bson.D{{Key: "_id", Value: "b"}}})
	if err != nil || fmt.Sprint(dups) != "[1]" {
		t.Errorf("duplicates %v: %v", dups, err)
	}
	if c := s.commands("insert"); len(c) != 1 || commandField(c[0], "ordered") != "false" {
		t.Errorf("sent %s", c)
	}
	if dups, err := m.InsertMany(t.Context(), "people", nil); err != nil || dups != nil || len(s.commands("insert")) != 1 {
		t.Errorf("an empty batch: %v %v, %d commands", dups, err, len(s.commands("insert")))
	}
}

func TestUndeclaredQueriesAreRefusedBeforeMongoDBIsAsked(t *testing.T) {
	s := newWireServer(t, nil)
	m := openWire(t, s, "")
	id := bson.D{{Key: "_id", Value: "x"}}
	undeclared := bson.D{{Key: "shoe_size", Value: 43}}
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "age", Value: 1}}}}
	many := make([]any, engine.MaxBatch+1)
	for i := range many {
		many[i] = bson.D{{Key: "_id", Value: fmt.Sprint(i)}}
	}
	none := func(bson.Raw) error { return nil }
	for name, do := range map[string]func(context.Context) error{
		"collection": func(ctx context.Context) error { return m.FindOne(ctx, "pets", engine.Query{}, &bson.M{}) },
		"filter": func(ctx context.Context) error {
			return m.FindOne(ctx, "people", engine.Query{Filter: undeclared}, &bson.M{})
		},
		"null": func(ctx context.Context) error {
			return m.FindOne(ctx, "people", engine.Query{Filter: bson.D{{Key: "email", Value: nil}}}, &bson.M{})
		},
		"sort": func(ctx context.Context) error {
			return m.Find(ctx, "people", engine.Query{Sort: bson.D{{Key: "shoe_size", Value: 1}}, Limit: 1}, none)
		},
		"no limit":       func(ctx context.Context) error { return m.Find(ctx, "people", engine.Query{}, none) },
		"no string _id":  func(ctx context.Context) error { return m.Insert(ctx, "people", bson.D{{Key: "_id", Value: 1}}) },
		"no _id":         func(ctx context.Context) error { return m.Insert(ctx, "people", bson.D{}) },
		"not a document": func(ctx context.Context) error { return m.Insert(ctx, "people", 1) },
		"batch no _id": func(ctx context.Context) error {
			_, err := m.InsertMany(ctx, "people", []any{id, bson.D{}})
			return err
		},
		"batch too large": func(ctx context.Context) error { _, err := m.InsertMany(ctx, "people", many); return err },
		"update operator": func(ctx context.Context) error {
			_, err := m.Update(ctx, "people", id, bson.D{{Key: "$push", Value: undeclared}}, engine.UpdateOptions{})
			return err
		},
		"update filter": func(ctx context.Context) error {
			_, err := m.Update(ctx, "people", undeclared, set, engine.UpdateOptions{})
			return err
		},
		"upsert no _id": func(ctx context.Context) error {
			_, err := m.Update(ctx, "people", bson.D{{Key: "email", Value: "e"}}, set, engine.UpdateOptions{Upsert: true})
			return err
		},
		"find and update": func(ctx context.Context) error {
			return m.FindOneAndUpdate(ctx, "people", undeclared, set, engine.FindAndUpdateOptions{}, &bson.M{})
		},
		"its sort": func(ctx context.Context) error {
			return m.FindOneAndUpdate(ctx, "people", id, set, engine.FindAndUpdateOptions{Sort: bson.D{{Key: "shoe_size", Value: 1}}}, &bson.M{})
		},
		"delete filter":   func(ctx context.Context) error { _, err := m.Delete(ctx, "people", undeclared, 0); return err },
		"delete nil":      func(ctx context.Context) error { _, err := m.Delete(ctx, "people", nil, 0); return err },
		"delete two":      func(ctx context.Context) error { _, err := m.Delete(ctx, "people", id, 2); return err },
		"count":           func(ctx context.Context) error { _, err := m.Count(ctx, "people", undeclared, 0); return err },
		"sum filter":      func(ctx context.Context) error { _, err := m.Sum(ctx, "people", undeclared, "age"); return err },
		"sum of a string": func(ctx context.Context) error { _, err := m.Sum(ctx, "people", nil, "email"); return err },
		"sum group":       func(ctx context.Context) error { _, err := m.Sum(ctx, "people", nil, "age", "shoe_size"); return err },
	} {
		if err := do(t.Context()); !models.IsKind(err, models.KindInternal) {
			t.Errorf("%s: %v, want internal", name, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) > 0 {
		t.Errorf("MongoDB was asked %s", s.asked)
	}
}

func TestASumReturnsAbsentGroupKeysAsNil(t *testing.T) {
	row := func(id bson.D, sum any, count int32) bson.D {
		return bson.D{{Key: "_id", Value: id}, {Key: "sum", Value: sum}, {Key: "count", Value: count}}
	}
	s := newWireServer(t, func(bson.Raw) any {
		return wireCursor(0,
			row(bson.D{}, int32(1), 1),
			row(bson.D{{Key: "k0", Value: nil}}, int64(2), 1),
			row(bson.D{{Key: "k1", Value: "Oslo"}}, 0.5, 2),
			row(bson.D{{Key: "k0", Value: int32(7)}, {Key: "k1", Value: "Oslo"}}, int32(4), 3))
	})
	groups, err := openWire(t, s, "").Sum(t.Context(), "people", nil, "age", "age", "address.city")
	want := []engine.Group{
		{Keys: []any{nil, nil}, Sum: 3, Count: 2},
		{Keys: []any{nil, "Oslo"}, Sum: 0.5, Count: 2},
		{Keys: []any{int64(7), "Oslo"}, Sum: 4, Count: 3},
	}
	if err != nil || fmt.Sprint(groups) != fmt.Sprint(want) {
		t.Errorf("groups %v: %v, want %v", groups, err, want)
	}
	pipeline := commandField(s.commands("aggregate")[0], "pipeline")
	for _, part := range []string{`{"k0": "$age","k1": "$address.city"}`, `{"$sum": "$age"}`, `"_id.k0"`, `"_id.k1"`, `{"$match": {}}`} {
		if !strings.Contains(pipeline, part) {
			t.Errorf("pipeline %s lacks %s", pipeline, part)
		}
	}
}

func TestFindClosesItsCursorWhenItsCallerStops(t *testing.T) {
	endless := func(command bson.Raw) any {
		switch commandName(command) {
		case "find":
			return wireCursor(42, bson.D{{Key: "_id", Value: "a"}}, bson.D{{Key: "_id", Value: "b"}})
		case "getMore":
			return wireFailure(43, "cursor id 42 not found")
		}
		return nil
	}
	enough := errors.New("enough")
	for name, c := range map[string]struct {
		each  func(cancel context.CancelFunc, seen int) error
		seen  int
		want  func(error) bool
		close bool
	}{
		"by an error": {func(context.CancelFunc, int) error { return enough }, 1, func(err error) bool { return err == enough }, true},
		"by its context": {func(cancel context.CancelFunc, _ int) error { cancel(); return nil }, 1,
			func(err error) bool {
				return models.IsKind(err, models.KindUnavailable) && errors.Is(err, context.Canceled)
			}, true},
		"not at all, and the cursor is lost": {func(context.CancelFunc, int) error { return nil }, 2,
			func(err error) bool { return models.IsKind(err, models.KindUnavailable) }, false},
	} {
		s := newWireServer(t, endless)
		m := openWire(t, s, "")
		ctx, cancel := context.WithCancel(t.Context())
		seen := 0
		err := m.Find(ctx, "people", engine.Query{Limit: 10, Sort: bson.D{{Key: "_id", Value: 1}}}, func(bson.Raw) error {
			seen++
			return c.each(cancel, seen)
		})
		cancel()
		if seen != c.seen || !c.want(err) {
			t.Errorf("%s: %d seen, %v", name, seen, err)
		}
		if closed := len(s.commands("killCursors")) == 1; c.close && !closed {
			t.Errorf("%s: the cursor stays open at the server", name)
		}
		if find := s.commands("find")[0]; commandField(find, "limit") != `{"$numberLong":"10"}` || commandField(find, "batchSize") != `{"$numberInt":"11"}` {
			t.Errorf("%s: sent %s", name, find)
		}
	}
}
