package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/embedded"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

// rekeyUnder is a rekey with a list of keys.
func rekeyUnder(t *testing.T, e database.Engine, keys ...string) *Rekey {
	t.Helper()
	var all []secret.Value
	for _, k := range keys {
		all = append(all, secret.New(k))
	}
	r := testkit.Must[*Rekey](t)(NewRekey(RekeyConfig{Engine: e, DataKeys: all, Peppers: []secret.Value{secret.New("p1"), secret.New("p2")}, Progress: io.Discard, Now: time.Now}))
	r.wait = 0
	return r
}

// sealSome stores documents with a value in every sealed field under the first
// of some keys, and tells how many values these are.
func sealSome(t *testing.T, e database.Engine, from, to int, keys ...string) (values int64) {
	t.Helper()
	set := func(doc bson.D, path, value string) bson.D {
		if parent, child, nested := strings.Cut(path, "."); nested {
			return append(doc, bson.E{Key: parent, Value: bson.D{{Key: "kind", Value: "s3"}, {Key: child, Value: value}}})
		}
		return append(doc, bson.E{Key: path, Value: value})
	}
	for _, c := range database.Schema() {
		for i := from; i < to && len(c.Sealed) > 0; i++ {
			id := fmt.Sprintf("%s_%05d", c.Name, i)
			doc := bson.D{{Key: "_id", Value: id}, {Key: "pulse_api_key", Value: id}, {Key: "lock", Value: "lock"}}
			for _, s := range c.Sealed {
				doc = set(doc, s.Field, testkit.Must[string](t)(testkit.Sealed(t, c.Name, s.Field, keys...).Seal([]byte(id+s.Field), id)))
				values++
			}
			if err := e.Insert(t.Context(), c.Name, doc); err != nil {
				t.Fatal(err)
			}
		}
	}
	return values
}

var sealedText = regexp.MustCompile(`v[0-9]+\.([0-9a-f]{12}\.)?[A-Za-z0-9_-]{38,}`)

// sealedWith counts, by key, every text that looks sealed in the whole database,
// whatever is declared.
func sealedWith(t *testing.T, e database.Engine) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	for _, c := range database.Schema() {
		if err := e.Find(t.Context(), c.Name, database.Query{Limit: 1 << 30}, func(raw bson.Raw) error {
			for _, text := range sealedText.FindAllString(raw.String(), -1) {
				key, ok := secret.SealedWith(text)
				if !ok {
					t.Errorf("%s", text)
				}
				found[key]++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// opens checks every value that sealSome stored.
func opens(t *testing.T, e database.Engine, keys ...string) {
	t.Helper()
	for _, c := range database.Schema() {
		for _, s := range c.Sealed {
			field := testkit.Sealed(t, c.Name, s.Field, keys...)
			if err := e.Find(t.Context(), c.Name, database.Query{Limit: 1 << 30}, func(raw bson.Raw) error {
				id := raw.Lookup("_id").StringValue()
				plain, err := field.Open(raw.Lookup(strings.Split(s.Field, ".")...).StringValue(), id)
				if err != nil || string(plain) != id+s.Field {
					t.Errorf("%s %s.%s: %q, %v", c.Name, id, s.Field, plain, err)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func id(key string) string { return secret.KeyID(secret.New(key)) }

func TestAfterRekeyNothingIsSealedWithAnotherKey(t *testing.T) {
	e := testkit.NewEngine(t)
	values := sealSome(t, e, 0, 30, "old")
	values += sealSome(t, e, 30, 60, "older", "old")
	before := testkit.Must[KeyReport](t)(rekeyUnder(t, e, "new", "old", "older").Look(t.Context()))
	if before.Sealed.Left() != values || before.Sealed.Others[id("old")] != values/2 {
		t.Fatalf("before: %+v of %d values", before.Sealed, values)
	}
	r := rekeyUnder(t, e, "new", "old", "older")
	report := testkit.Must[KeyReport](t)(r.Run(t.Context()))
	if report.Resealed != values || report.Sealed.Current != values || report.Sealed.Left() != 0 {
		t.Errorf("report %+v of %d values", report, values)
	}
	if found := sealedWith(t, e); len(found) != 1 || found[id("new")] != values {
		t.Errorf("sealed afterwards by key: %v", found)
	}
	opens(t, e, "new")
	if text := report.String(); !strings.Contains(text, "nothing is sealed with another key") || !strings.Contains(text, id("new")) {
		t.Errorf("report %s", text)
	}
	if again := testkit.Must[KeyReport](t)(r.Run(t.Context())); again.Resealed != 0 {
		t.Errorf("a second run sealed %d values", again.Resealed)
	}
}

func TestRekeySaysWhichKeyIsMissingAndWhere(t *testing.T) {
	e := testkit.NewEngine(t)
	sealSome(t, e, 0, 2, "lost")
	values := sealSome(t, e, 2, 4, "old")
	report, err := rekeyUnder(t, e, "new", "old").Run(t.Context())
	testkit.WantCode(t, err, "data_key_missing")
	if !strings.Contains(err.Error(), id("lost")) || strings.Contains(err.Error(), id("old")) || !strings.Contains(err.Error(), "field") {
		t.Errorf("%v", err)
	}
	if report.Resealed != values {
		t.Errorf("%d of %d values that can be opened were sealed again", report.Resealed, values)
	}
}

func TestARekeyThatIsKilledAtAnyWriteFinishesWhenItRunsAgain(t *testing.T) {
	for fatal := int64(1); ; fatal += 3 {
		e := testkit.NewEngine(t)
		values := sealSome(t, e, 0, 8, "old")
		e.Writes.Store(0)
		e.Fatal = fatal
		_, killed := rekeyUnder(t, e, "new", "old").Run(t.Context())
		e.Fatal = 0
		opens(t, e, "new", "old")
		if _, err := rekeyUnder(t, e, "new", "old").Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if found := sealedWith(t, e); len(found) != 1 || found[id("new")] != values {
			t.Errorf("killed at write %d: %v", fatal, found)
		}
		if killed == nil {
			return
		}
	}
}

// racingEngine lets another writer change a document before each swap.
type racingEngine struct {
	database.Engine
	before func(collection, id string)
}

func (e *racingEngine) Swap(ctx context.Context, collection, id string, before, after bson.D) (bool, error) {
	e.before(collection, id)
	return e.Engine.Swap(ctx, collection, id, before, after)
}

// TestRekeyRunsBesideAServerThatChangesWhatItSeals runs both engines on one file.
func TestRekeyRunsBesideAServerThatChangesWhatItSeals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	open := func(options embedded.Options) *embedded.Engine {
		e := testkit.Must[*embedded.Engine](t)(embedded.Open(t.Context(), path, database.Schema(), options))
		t.Cleanup(func() {
			if err := e.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return e
	}
	server := open(embedded.Options{})
	sealSome(t, server, 0, 100, "old")
	beside := open(embedded.Options{Beside: true})
	if beside.Exclusive() {
		t.Error("an engine beside another says that it is alone")
	}
	field := testkit.Sealed(t, "webhook_endpoints", "secret", "new", "old")
	wrote := map[string]string{}
	var mu sync.Mutex
	// The server changes every third document after it was read.
	racing := &racingEngine{Engine: beside, before: func(collection, doc string) {
		mu.Lock()
		defer mu.Unlock()
		if _, again := wrote[doc]; again || collection != "webhook_endpoints" || !strings.HasSuffix(doc, "3") {
			return
		}
		wrote[doc] = "the server's " + doc
		sealed := testkit.Must[string](t)(field.Seal([]byte(wrote[doc]), doc))
		if _, err := server.Update(t.Context(), collection, bson.D{{Key: "_id", Value: doc}}, bson.D{{Key: "$set", Value: bson.D{{Key: "secret", Value: sealed}}}}, database.UpdateOptions{}); err != nil {
			t.Error(err)
		}
	}}
	if _, err := rekeyUnder(t, racing, "new", "old").Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(wrote) != 10 {
		t.Fatalf("the server changed %d documents", len(wrote))
	}
	if found := sealedWith(t, server); len(found) != 1 {
		t.Errorf("sealed by key: %v", found)
	}
	for doc, want := range wrote {
		var e models.Endpoint
		if err := server.FindOne(t.Context(), "webhook_endpoints", database.Query{Filter: bson.D{{Key: "_id", Value: doc}}}, &e); err != nil {
			t.Fatal(err)
		}
		if plain, err := field.Open(e.Secret, doc); err != nil || string(plain) != want {
			t.Errorf("%s: %q, %v; the server's last write was %q", doc, plain, err, want)
		}
	}
}

func TestRekeyCountsTheAPIKeysThatNeedEachPepper(t *testing.T) {
	e := testkit.NewEngine(t)
	for i, pepper := range []string{"p1", "p1", "p2", "", "lost"} {
		k := models.APIKey{ID: models.KeyID(fmt.Sprint("key_", i)), Key: fmt.Sprint("pulse_key_", i)}
		if pepper != "" {
			k.PepperID = id(pepper)
		}
		if err := database.NewAPIKeys(e).Insert(t.Context(), &k); err != nil {
			t.Fatal(err)
		}
	}
	report := testkit.Must[KeyReport](t)(rekeyUnder(t, e, "new").Look(t.Context()))
	for pepper, want := range map[string]int64{id("p1"): 2, id("p2"): 1, "": 1, "another": 1} {
		if report.Peppers[pepper] != want {
			t.Errorf("%q: %d, want %d", pepper, report.Peppers[pepper], want)
		}
	}
	if text := report.String(); strings.Count(text, "API_KEY_PEPPER: 1 API keys") != 3 || !strings.Contains(text, "2 API keys are hashed with the first pepper") {
		t.Errorf("report %s", text)
	}
}

func TestTheCheckProvesThatNothingIsSealedWithARetiredKey(t *testing.T) {
	const old, next = "a data key of thirty-two bytes..", "the data key that comes after it"
	e := open(t, store(t, 0))
	defer shut(t, e)
	sealSome(t, e, 0, 3, old)
	check := func(keys ...string) (string, string) {
		t.Helper()
		var notes bytes.Buffer
		k := Commands{Tool: tool(""), Secrets: with(DataKey, keys...), Progress: &notes}.newCheck(e)
		if err := k.sealed(t.Context()); err != nil && !errors.Is(err, errFound) {
			t.Fatal(err)
		}
		var faults []string
		for _, f := range k.faults {
			faults = append(faults, f.What)
		}
		return strings.Join(faults, "; "), notes.String()
	}
	if faults, notes := check(next, old); faults != "" || !strings.Contains(notes, "rekey") {
		t.Errorf("before rekey: %q, noted %q", faults, notes)
	}
	if faults, _ := check(next); !strings.Contains(faults, "no key of DATA_KEY opens") {
		t.Errorf("without the key that sealed: %q", faults)
	}
	if _, err := rekeyUnder(t, e, next, old).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if faults, notes := check(next); faults != "" || strings.Contains(notes, "rekey") {
		t.Errorf("after rekey: %q, noted %q", faults, notes)
	}
}
