package mongo

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

func TestADifferentExpiryIsChangedWithoutRebuildingTheIndex(t *testing.T) {
	for name, index := range map[string]bson.D{
		"other expiry": listedIndex("when_seen", foundKeys("seen"), bson.E{Key: "expireAfterSeconds", Value: int32(60)}),
		"no expiry":    listedIndex("seen_1", foundKeys("seen")),
	} {
		found := asDeclared()
		found[3] = index
		s := indexServer(t, nil, found...)
		differences, err := openWire(t, s, "").EnsureSchema(t.Context())
		if err != nil || len(differences) > 0 {
			t.Errorf("%s: differences %v: %v", name, differences, err)
		}
		changes := s.commands("collMod")
		if len(changes) != 1 || commandField(changes[0], "index", "name") != strconv.Quote(index[2].Value.(string)) ||
			commandField(changes[0], "index", "expireAfterSeconds") != `{"$numberInt":"86400"}` {
			t.Errorf("%s: sent %s", name, changes)
		}
		if made := s.commands("createIndexes"); len(made) > 0 {
			t.Errorf("%s: created %s", name, made)
		}
	}
}

func TestAnExpiryTheServerRefusesToChangeIsReported(t *testing.T) {
	found := asDeclared()
	found[3] = listedIndex("seen_1", foundKeys("seen"), bson.E{Key: "expireAfterSeconds", Value: int32(60)})
	s := newWireServer(t, func(command bson.Raw) any {
		switch commandName(command) {
		case "listIndexes":
			return wireCursor(0, found...)
		case "collMod":
			return wireFailure(115, "collMod is not supported")
		}
		return nil
	})
	differences, err := openWire(t, s, "").EnsureSchema(t.Context())
	if err != nil || len(differences) != 1 || !strings.Contains(differences[0].Found, "not supported") {
		t.Errorf("differences %v: %v", differences, err)
	}
}

func TestTemporaryFailuresOfIndexBuildsAreUnavailable(t *testing.T) {
	for name, answer := range map[string]bson.D{
		"stepped down":         wireFailure(189, "PrimarySteppedDown"),
		"another build":        wireFailure(117, "ConflictingOperationInProgress"),
		"busy namespace":       wireFailure(12587, "cannot perform operation: an index build is currently running"),
		"aborted":              wireFailure(276, "index build aborted"),
		"deadlock, DocumentDB": wireFailure(1, "deadlock detected"),
	} {
		s := indexServer(t, func(bson.Raw) any { return answer })
		if _, err := openWire(t, s, "timeoutMS=300").EnsureSchema(t.Context()); !models.IsKind(err, models.KindUnavailable) {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
	}
}

// largeServer has many documents and no indexes.
func largeServer(t *testing.T, create func(index bson.Raw) any) *wireServer {
	return newWireServer(t, func(command bson.Raw) any {
		switch commandName(command) {
		case "listIndexes":
			return wireCursor(0, listedIndex("_id_", foundKeys("_id")))
		case "count":
			return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: int64(largeCollection + 1)}}
		case "createIndexes":
			return create(command.Lookup("indexes", "0").Document())
		}
		return nil
	})
}

func indexNames(s *wireServer) (names []string) {
	for _, command := range s.commands("createIndexes") {
		names = append(names, command.Lookup("indexes", "0", "name").StringValue())
	}
	return names
}

func TestOnALargeCollectionOnlyUniqueIndexesDelayTheStart(t *testing.T) {
	var failures atomic.Int64
	built := make(chan struct{}, 1)
	s := largeServer(t, func(index bson.Raw) any {
		switch name := index.Lookup("name").StringValue(); {
		case name == "org_id_1_born_-1" && failures.Add(1) == 1:
			return wireFailure(117, "another build is active")
		case name == "seen_1":
			built <- struct{}{}
		}
		return nil
	})
	m := openWire(t, s, "")
	m.options.FirstWait, m.options.LongestWait = time.Millisecond, time.Millisecond
	differences, err := m.EnsureSchema(t.Context())
	if err != nil || len(differences) > 0 {
		t.Fatalf("differences %v: %v", differences, err)
	}
	if names := strings.Join(indexNames(s), " "); names != "email_1 nick_1" {
		t.Errorf("EnsureSchema built %s, want the unique ones", names)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-built:
	case <-time.After(10 * time.Second):
		t.Error("the last index was not built")
	}
	cancel()
	running.Wait()
	if names := strings.Join(indexNames(s), " "); names != "email_1 nick_1 org_id_1_born_-1 org_id_1_born_-1 seen_1" {
		t.Errorf("built %s, want the others afterwards, the failed one twice", names)
	}
}

func TestAllIndexesAreBuiltAtOnceOnRequest(t *testing.T) {
	s := largeServer(t, func(bson.Raw) any { return nil })
	m := openWire(t, s, "")
	m.options.AllIndexes = true
	if _, err := m.EnsureSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	if names := indexNames(s); len(names) != 4 {
		t.Errorf("built %s, want all four", names)
	}
}

func TestDroppingAMissingIndexIsNoErrorAndADeclaredOneIsRefused(t *testing.T) {
	for code, want := range map[int32]models.Kind{26: "", 27: "", 189: models.KindUnavailable, 13: models.KindInternal} {
		s := newWireServer(t, func(bson.Raw) any { return wireFailure(code, "failed") })
		m := openWire(t, s, "timeoutMS=300")
		if err := m.DropIndex(t.Context(), "people", []string{"age"}); want == "" && err != nil || want != "" && !models.IsKind(err, want) {
			t.Errorf("code %d: %v, want %q", code, err, want)
		}
		if err := m.DropIndex(t.Context(), "people", []string{"org_id", "-born"}); !models.IsKind(err, models.KindInternal) {
			t.Errorf("a declared index: %v, want internal", err)
		}
		dropped := s.commands("dropIndexes")
		if len(dropped) == 0 || commandField(dropped[0], "index") != `"age_1"` {
			t.Errorf("sent %s", dropped)
		}
	}
}

func TestLookingForDifferencesOfTheSchemaChangesNothing(t *testing.T) {
	short := asDeclared()
	short[3] = listedIndex("seen_1", foundKeys("seen"), bson.E{Key: "expireAfterSeconds", Value: int32(60)})
	for name, c := range map[string]struct {
		found []bson.D
		want  map[string]string
	}{
		"as declared":  {asDeclared(), nil},
		"other expiry": {short, map[string]string{"seen_1": "expireAfterSeconds=60"}},
		"one missing":  {asDeclared()[1:], map[string]string{"email_1": "missing"}},
		"none":         {nil, map[string]string{"email_1": "missing", "nick_1": "missing", "org_id_1_born_-1": "missing", "seen_1": "missing"}},
	} {
		s := indexServer(t, nil, c.found...)
		differences, err := openWire(t, s, "").SchemaDifferences(t.Context())
		if err != nil || len(differences) != len(c.want) {
			t.Errorf("%s: %v, %v", name, differences, err)
		}
		for _, d := range differences {
			if want := c.want[d.Index]; want == "" || !strings.Contains(d.Found, want) {
				t.Errorf("%s: %+v", name, d)
			}
		}
		if n := len(s.commands("createIndexes")) + len(s.commands("collMod")); n > 0 {
			t.Errorf("%s: %d changes", name, n)
		}
	}
}
