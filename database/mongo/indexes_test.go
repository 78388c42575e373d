package mongo

import (
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

func foundKeys(keys ...string) bson.D {
	var d bson.D
	for _, k := range keys {
		field, direction := engine.IndexKey(k)
		d = append(d, bson.E{Key: field, Value: float64(direction)})
	}
	return d
}

func listedIndex(name string, key bson.D, options ...bson.E) bson.D {
	return append(bson.D{{Key: "v", Value: int32(2)}, {Key: "key", Value: key}, {Key: "name", Value: name}}, options...)
}

// indexServer lists some indexes and answers createIndexes.
func indexServer(t *testing.T, create func(index bson.Raw) any, found ...bson.D) *wireServer {
	return newWireServer(t, func(command bson.Raw) any {
		switch commandName(command) {
		case "listIndexes":
			if found == nil {
				return wireFailure(26, "ns does not exist: pulse_test.people")
			}
			return wireCursor(0, append([]bson.D{listedIndex("_id_", foundKeys("_id"))}, found...)...)
		case "createIndexes":
			if create != nil {
				return create(command.Lookup("indexes", "0").Document())
			}
		}
		return nil
	})
}

func TestMissingIndexesAreCreatedAsDeclaredOneAtATime(t *testing.T) {
	s := indexServer(t, nil)
	differences, err := openWire(t, s, "").EnsureSchema(t.Context())
	if err != nil || len(differences) > 0 {
		t.Fatalf("differences %v: %v", differences, err)
	}
	want := []string{
		`{"key": {"email": {"$numberInt":"1"}},"name": "email_1","unique": true}`,
		`{"key": {"nick": {"$numberInt":"1"}},"name": "nick_1","partialFilterExpression": {"nick": {"$exists": true}},"unique": true}`,
		`{"key": {"org_id": {"$numberInt":"1"},"born": {"$numberInt":"-1"}},"name": "org_id_1_born_-1"}`,
		`{"key": {"seen": {"$numberInt":"1"}},"expireAfterSeconds": {"$numberInt":"86400"},"name": "seen_1"}`,
	}
	made := s.commands("createIndexes")
	if len(made) != len(want) {
		t.Fatalf("%d commands, want %d: one an index", len(made), len(want))
	}
	for i, command := range made {
		values, err := command.Lookup("indexes").Array().Values()
		if err != nil || len(values) != 1 {
			t.Fatalf("%d indexes in one command: %v", len(values), err)
		}
		var got, wanted bson.M
		if err := bson.Unmarshal(values[0].Document(), &got); err != nil {
			t.Fatal(err)
		}
		if err := bson.UnmarshalExtJSON([]byte(want[i]), true, &wanted); err != nil {
			t.Fatal(err)
		}
		if a, b := sortedJSON(t, got), sortedJSON(t, wanted); a != b {
			t.Errorf("index %d was made as %s, want %s", i, a, b)
		}
	}
}

// sortedJSON encodes a document with sorted keys; key patterns (bson.D) keep
// their order.
func sortedJSON(t *testing.T, m bson.M) string {
	t.Helper()
	parts := make([]string, 0, len(m))
	for _, name := range []string{"key", "name", "unique", "partialFilterExpression", "expireAfterSeconds"} {
		v, ok := m[name]
		if !ok {
			continue
		}
		raw, err := bson.MarshalExtJSON(bson.D{{Key: name, Value: v}}, true, false)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, string(raw))
		delete(m, name)
	}
	if len(m) > 0 {
		t.Errorf("unexpected options %v", m)
	}
	return strings.Join(parts, " ")
}

// asDeclared are the indexes of testSchema as a server lists them, one with a
// custom name, with the numbers of a shell.
func asDeclared() []bson.D {
	return []bson.D{
		listedIndex("mail", foundKeys("email"), bson.E{Key: "unique", Value: true}),
		listedIndex("nick_1", foundKeys("nick"), bson.E{Key: "unique", Value: true},
			bson.E{Key: "partialFilterExpression", Value: bson.D{{Key: "nick", Value: bson.D{{Key: "$exists", Value: true}}}}}),
		listedIndex("org_id_1_born_-1", foundKeys("org_id", "-born"), bson.E{Key: "unique", Value: false}),
		listedIndex("seen_1", foundKeys("seen"), bson.E{Key: "expireAfterSeconds", Value: 86400.0}),
		listedIndex("somebody_s", bson.D{{Key: "bio", Value: "text"}}),
	}
}

func TestIndexesThatWorkAsDeclaredAreNotTouched(t *testing.T) {
	s := indexServer(t, nil, asDeclared()...)
	differences, err := openWire(t, s, "").EnsureSchema(t.Context())
	if err != nil || len(differences) > 0 || len(s.commands("createIndexes")) > 0 {
		t.Errorf("differences %v, %d made: %v", differences, len(s.commands("createIndexes")), err)
	}
}

func TestADifferentIndexIsReportedAndNotTouched(t *testing.T) {
	for name, c := range map[string]struct {
		at    int
		index bson.D
		want  engine.IndexDifference
	}{
		"not unique": {0, listedIndex("email_1", foundKeys("email")),
			engine.IndexDifference{Collection: "people", Index: "email_1", Declared: "email unique", Found: "email"}},
		"not partial": {1, listedIndex("nick_1", foundKeys("nick"), bson.E{Key: "unique", Value: true}),
			engine.IndexDifference{Collection: "people", Index: "nick_1", Declared: `nick unique partialFilterExpression={"nick": {"$exists": true}}`, Found: "nick unique"}},
		"other direction under its name": {2, listedIndex("org_id_1_born_-1", foundKeys("org_id", "born")),
			engine.IndexDifference{Collection: "people", Index: "org_id_1_born_-1", Declared: "org_id -born", Found: "org_id born"}},
		"unique where it should not be": {2, listedIndex("mine", foundKeys("org_id", "-born"), bson.E{Key: "unique", Value: true}),
			engine.IndexDifference{Collection: "people", Index: "mine", Declared: "org_id -born", Found: "org_id -born unique"}},
		"hidden": {2, listedIndex("org_id_1_born_-1", foundKeys("org_id", "-born"), bson.E{Key: "hidden", Value: true}),
			engine.IndexDifference{Collection: "people", Index: "org_id_1_born_-1", Declared: "org_id -born", Found: "org_id -born hidden"}},
		"sparse": {0, listedIndex("email_1", foundKeys("email"), bson.E{Key: "unique", Value: true}, bson.E{Key: "sparse", Value: true}),
			engine.IndexDifference{Collection: "people", Index: "email_1", Declared: "email unique", Found: "email unique sparse"}},
		"collation": {0, listedIndex("email_1", foundKeys("email"), bson.E{Key: "unique", Value: true}, bson.E{Key: "collation", Value: bson.D{{Key: "locale", Value: "en"}}}),
			engine.IndexDifference{Collection: "people", Index: "email_1", Declared: "email unique", Found: `email unique collation={"locale": "en"}`}},
	} {
		found := asDeclared()
		found[c.at] = c.index
		s := indexServer(t, nil, found...)
		differences, err := openWire(t, s, "").EnsureSchema(t.Context())
		if err != nil || len(differences) != 1 || differences[0] != c.want {
			t.Errorf("%s: %+v: %v, want %+v", name, differences, err, c.want)
		}
		for _, changing := range []string{"createIndexes", "dropIndexes", "collMod"} {
			if len(s.commands(changing)) > 0 {
				t.Errorf("%s: %s was sent", name, changing)
			}
		}
	}
}

func TestARefusedIndexIsReportedUnlessItIsUnique(t *testing.T) {
	refuse := func(option string) func(bson.Raw) any {
		return func(index bson.Raw) any {
			if index.Lookup(option).Type != 0 {
				return wireFailure(238, "Index option "+option+" is not implemented yet")
			}
			return nil
		}
	}
	s := indexServer(t, refuse("expireAfterSeconds"))
	differences, err := openWire(t, s, "").EnsureSchema(t.Context())
	if err != nil || len(differences) != 1 || differences[0].Index != "seen_1" || !strings.Contains(differences[0].Found, "not implemented") {
		t.Errorf("TTL: differences %v: %v", differences, err)
	}
	s = indexServer(t, refuse("partialFilterExpression"))
	if _, err = openWire(t, s, "").EnsureSchema(t.Context()); !models.IsKind(err, models.KindMisconfigured) || !strings.Contains(err.Error(), "nick_1") {
		t.Errorf("unique: %v, want misconfigured that names nick_1", err)
	}
}

func TestTheErrorOfAUniqueIndexOverDuplicatesDoesNotContainTheValue(t *testing.T) {
	s := indexServer(t, func(bson.Raw) any { return wireFailure(11000, mongoDuplicateEmail) })
	_, err := openWire(t, s, "").EnsureSchema(t.Context())
	if !models.IsKind(err, models.KindMisconfigured) || !strings.Contains(err.Error(), "email_1") || strings.Contains(err.Error(), "ada@") {
		t.Errorf("%v, want misconfigured that names the index only", err)
	}
}

func TestALostDatabaseDuringIndexBuildsIsUnavailable(t *testing.T) {
	s := indexServer(t, func(bson.Raw) any { return wireFailure(189, "stepped down") })
	if _, err := openWire(t, s, "timeoutMS=300").EnsureSchema(t.Context()); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("%v, want unavailable", err)
	}
}
