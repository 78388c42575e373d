package database

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/embedded"
	"pulse-control-plane/models"
)

// Every repository, so that each query they can ask is recorded and held
// against the declared indexes.
func repositories(e Engine) map[string]any {
	return map[string]any{
		"NewAPIKeys": NewAPIKeys(e), "NewAuditLogs": NewAuditLogs(e), "NewChanges": NewChanges(e), "NewElections": NewElections(e),
		"NewEvictions": NewEvictions(e), "NewIdempotencyKeys": NewIdempotencyKeys(e), "NewInvitations": NewInvitations(e),
		"NewLeases": NewLeases(e), "NewLeaseTable": NewLeaseTable(e), "NewLiveKitEvents": NewLiveKitEvents(e), "NewOrganizations": NewOrganizations(e),
		"NewProjects": NewProjects(e), "NewQuotaEvents": NewQuotaEvents(e), "NewRevocations": NewRevocations(e),
		"NewSessions": NewSessions(e), "NewSightings": NewSightings(e), "NewSlots": NewSlots(e), "NewUsageMetrics": NewUsageMetrics(e),
		"NewDownloads": NewDownloads(e), "NewEgresses": NewEgresses(e), "NewIngresses": NewIngresses(e), "NewEvents": NewEvents(e), "NewEndpoints": NewEndpoints(e), "NewDeliveries": NewDeliveries(e), "NewIdempotencyStorage": NewIdempotencyStorage(e), "NewMailSlots": NewMailSlots(e), "NewPasswordResets": NewPasswordResets(e),
		"NewPlacements": NewPlacements(e), "NewRooms": NewRooms(e), "NewSequences": NewSequences(e), "NewUsageSessions": NewUsageSessions(e), "NewUsageTotals": NewUsageTotals(e),
		"NewCounterJournal": NewCounterJournal(e), "NewUsers": NewUsers(e), "NewThrottles": NewThrottles(e), "NewClockReadings": NewClockReadings(e), "NewFingerprints": NewFingerprints(e), "NewInspection": NewInspection(e),
	}
}

func TestEveryRepositoryIsAmongThoseWhoseQueriesAreChecked(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	known := repositories(nil)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "New") && known[f.Name.Name] == nil {
				t.Errorf("%s is not in repositories", f.Name.Name)
			}
		}
	}
}

// asked is one query with the repositories' methods that ask it.
type asked struct {
	collection   string
	filter, sort bson.D
	by           string
}

// shape is a query without its values.
func (a asked) shape() string {
	var b strings.Builder
	b.WriteString(a.collection + ":")
	for _, e := range a.filter {
		b.WriteString(" " + e.Key)
		if comparisons, ok := e.Value.(bson.D); ok {
			for _, c := range comparisons {
				b.WriteString(c.Key)
			}
		}
	}
	if len(a.sort) > 0 {
		fmt.Fprintf(&b, " by %v", a.sort)
	}
	return b.String()
}

// askingEngine records what it is asked.
type askingEngine struct {
	Engine
	mu  sync.Mutex
	by  string
	all map[string]asked
}

func (e *askingEngine) note(collection string, filter, sort bson.D) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := asked{collection, append(bson.D{}, filter...), append(bson.D{}, sort...), e.by}
	if _, known := e.all[a.shape()]; !known {
		e.all[a.shape()] = a
	}
}

func (e *askingEngine) FindOne(ctx context.Context, c string, q Query, out any) error {
	e.note(c, q.Filter, q.Sort)
	return e.Engine.FindOne(ctx, c, q, out)
}

func (e *askingEngine) Find(ctx context.Context, c string, q Query, each func(bson.Raw) error) error {
	e.note(c, q.Filter, q.Sort)
	return e.Engine.Find(ctx, c, q, each)
}

func (e *askingEngine) Update(ctx context.Context, c string, filter, update bson.D, o UpdateOptions) (int64, error) {
	e.note(c, filter, nil)
	return e.Engine.Update(ctx, c, filter, update, o)
}

func (e *askingEngine) FindOneAndUpdate(ctx context.Context, c string, filter, update bson.D, o FindAndUpdateOptions, out any) error {
	e.note(c, filter, o.Sort)
	return e.Engine.FindOneAndUpdate(ctx, c, filter, update, o, out)
}

func (e *askingEngine) Delete(ctx context.Context, c string, filter bson.D, limit int64) (int64, error) {
	e.note(c, filter, nil)
	return e.Engine.Delete(ctx, c, filter, limit)
}

func (e *askingEngine) Count(ctx context.Context, c string, filter bson.D, limit int64) (int64, error) {
	e.note(c, filter, nil)
	return e.Engine.Count(ctx, c, filter, limit)
}

func (e *askingEngine) Sum(ctx context.Context, c string, filter bson.D, field string, by ...string) ([]Group, error) {
	e.note(c, filter, nil)
	return e.Engine.Sum(ctx, c, filter, field, by...)
}

// arguments returns values to call a method with: every kind of tenant, and
// filters with nothing, each and all of their fields set.
func arguments(t *testing.T, typ reflect.Type) []reflect.Value {
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	switch typ {
	case reflect.TypeFor[context.Context]():
		return []reflect.Value{reflect.ValueOf(t.Context())}
	case reflect.TypeFor[time.Time]():
		return []reflect.Value{reflect.ValueOf(at)}
	case reflect.TypeFor[models.Tenant]():
		all := []reflect.Value{}
		for _, p := range []models.Principal{
			{Kind: models.CallerOperator}, {Kind: models.CallerPerson, OrgID: "x"},
			{Kind: models.CallerServerKey, OrgID: "x", Project: &models.Project{ID: "x"}},
		} {
			all = append(all, reflect.ValueOf(p.Tenant()))
		}
		return all
	}
	switch typ.Kind() {
	case reflect.String:
		return []reflect.Value{reflect.ValueOf("x").Convert(typ)}
	case reflect.Bool:
		return []reflect.Value{reflect.ValueOf(false).Convert(typ), reflect.ValueOf(true).Convert(typ)}
	case reflect.Int, reflect.Int64:
		return []reflect.Value{reflect.ValueOf(10).Convert(typ)}
	case reflect.Slice:
		one := arguments(t, typ.Elem())[0]
		return []reflect.Value{reflect.Append(reflect.MakeSlice(typ, 0, 2), one, one)}
	case reflect.Pointer:
		p := reflect.New(typ.Elem())
		p.Elem().Set(arguments(t, typ.Elem())[0])
		return []reflect.Value{p}
	case reflect.Func:
		return []reflect.Value{reflect.MakeFunc(typ, func([]reflect.Value) []reflect.Value {
			out := make([]reflect.Value, typ.NumOut())
			for i := range out {
				out[i] = reflect.Zero(typ.Out(i))
			}
			return out
		})}
	case reflect.Struct:
		return structs(t, typ)
	}
	return []reflect.Value{reflect.Zero(typ)}
}

func structs(t *testing.T, typ reflect.Type) []reflect.Value {
	full := reflect.New(typ).Elem()
	all := []reflect.Value{full, reflect.Zero(typ)}
	narrows := strings.HasSuffix(typ.Name(), "Filter") || typ == reflect.TypeFor[Page]()
	for i := range typ.NumField() {
		if !typ.Field(i).IsExported() || typ.Field(i).Type == typ {
			continue
		}
		value := reflect.Zero(typ.Field(i).Type)
		if kind := value.Kind(); narrows || kind == reflect.String || kind == reflect.Int64 {
			value = arguments(t, typ.Field(i).Type)[0]
		}
		full.Field(i).Set(value)
		if narrows {
			one := reflect.New(typ).Elem()
			one.Field(i).Set(value)
			all = append(all, one)
		}
	}
	if !narrows {
		all = all[:1]
	}
	return all
}

// ask calls every method of every repository with every combination of
// arguments.
func ask(t *testing.T, e *askingEngine) {
	for _, r := range repositories(e) {
		repository := reflect.ValueOf(r)
		for i := range repository.NumMethod() {
			method := repository.Method(i)
			e.by = repository.Type().Elem().Name() + "." + repository.Type().Method(i).Name
			choices := [][]reflect.Value{{}}
			for n := range method.Type().NumIn() {
				var longer [][]reflect.Value
				for _, chosen := range choices {
					for _, next := range arguments(t, method.Type().In(n)) {
						longer = append(longer, append(append([]reflect.Value{}, chosen...), next))
					}
				}
				choices = longer
			}
			for _, chosen := range choices {
				if method.Type().IsVariadic() {
					method.CallSlice(chosen)
				} else {
					method.Call(chosen)
				}
			}
		}
	}
}

// sortedOnMongoDB and sortedEmbedded are the queries whose matches are sorted
// after they were read, with the reason why that is right. Each must still be
// asked.
func sortedOnMongoDB() map[string]string {
	return map[string]string{
		`quota_events: owner$in at$gte by {"at":{"$numberInt":"-1"},"_id":{"$numberInt":"-1"}}`: "one scan for each of the few owners, merged",
	}
}

func sortedEmbedded() map[string]string {
	const search = "an operator's search by prefix reads the matches, which are few, instead of every project"
	return map[string]string{
		`quota_events: owner$in at$gte by {"at":{"$numberInt":"-1"},"_id":{"$numberInt":"-1"}}`: "the events of a few owners in a month",
		`projects: is_deleted name_key$gte$lt by {"_id":{"$numberInt":"-1"}}`:                   search,
		`projects: is_deleted name_key$gte$lt _id$lt by {"_id":{"$numberInt":"-1"}}`:            search,
	}
}

// expect compares the queries that are not served with those that may be so.
func expect(t *testing.T, asking *askingEngine, unserved, allowed map[string]string) {
	t.Helper()
	for shape, why := range unserved {
		if allowed[shape] == "" {
			t.Errorf("%s asks %s: %s", asking.all[shape].by, shape, why)
		}
	}
	for shape := range allowed {
		if unserved[shape] == "" {
			t.Errorf("the exception %q is not needed", shape)
		}
	}
}

func openAsking(t *testing.T) (*askingEngine, *embedded.Engine) {
	t.Helper()
	e := openAt(t, filepath.Join(t.TempDir(), "pulse.db"), Schema())
	t.Cleanup(func() { closeEngine(t, e) })
	asking := &askingEngine{Engine: e, all: map[string]asked{}}
	ask(t, asking)
	// The second page of EachEnded needs more documents than a test wants.
	asking.by = "UsageSessions.EachEnded"
	asking.note(usageSessions, bson.D{{Key: "project_id", Value: "x"}, {Key: "subject", Value: "participant"},
		{Key: "joined_at", Value: bson.D{{Key: "$lt", Value: time.Now()}}}, {Key: "left_at", Value: bson.D{{Key: "$gte", Value: time.Now()}}}},
		bson.D{{Key: "left_at", Value: 1}, {Key: "_id", Value: 1}})
	if len(asking.all) < 80 {
		t.Fatalf("only %d queries were recorded", len(asking.all))
	}
	return asking, e
}

func TestADeclaredIndexServesEveryQueryOnMongoDB(t *testing.T) {
	asking, _ := openAsking(t)
	declared := map[string]Collection{}
	for _, c := range Schema() {
		declared[c.Name] = c
	}
	unserved := map[string]string{}
	for shape, a := range asking.all {
		if !narrowed(a, "_id") && !slices.ContainsFunc(append(declared[a.collection].Indexes, Index{Keys: []string{"_id"}}),
			func(ix Index) bool { return serves(ix, a) }) {
			unserved[shape] = "no declared index serves it"
		}
	}
	expect(t, asking, unserved, sortedOnMongoDB())
}

func TestTheEmbeddedEngineSearchesAnIndexForEveryQuery(t *testing.T) {
	asking, e := openAsking(t)
	unserved := map[string]string{}
	for shape, a := range asking.all {
		plan, err := e.Explain(t.Context(), a.collection, Query{Filter: a.filter, Sort: a.sort, Limit: 10})
		if err != nil {
			t.Errorf("%s: %v", shape, err)
			continue
		}
		if plan.Index == "" || plan.Sorts {
			unserved[shape] = fmt.Sprintf("%+v", plan)
		}
	}
	expect(t, asking, unserved, sortedEmbedded())
}

// narrowed reports whether a filter has an equality or $in on a field.
func narrowed(a asked, field string) bool {
	for _, e := range a.filter {
		if e.Key == field {
			comparisons, ok := e.Value.(bson.D)
			return !ok || comparisons[0].Key == "$in"
		}
	}
	return false
}

// serves reports whether an index serves a query on MongoDB: the equalities are
// a prefix of its keys, the sort follows, and something narrows the search or
// the whole collection is asked for in its order.
func serves(ix Index, a asked) bool {
	equal := 0
	for equal < len(ix.Keys) && isEqual(a, ix.Keys[equal]) {
		equal++
	}
	if ix.Unique && equal == len(ix.Keys) {
		return true
	}
	rest := ix.Keys[equal:]
	if len(a.sort) > len(rest) {
		return false
	}
	for i, e := range a.sort {
		if e.Key != strings.TrimPrefix(rest[i], "-") || e.Value != a.sort[0].Value {
			return false
		}
	}
	if equal > 0 || len(a.filter) == 0 {
		return true
	}
	return bounded(a, strings.TrimPrefix(rest[0], "-")) || len(a.sort) > 0 && a.filter[0].Key == "$or"
}

// bounded reports whether a filter limits a field to a part of an index; $ne
// and $exists do not.
func bounded(a asked, field string) bool {
	for _, e := range a.filter {
		if e.Key == field {
			comparisons, ok := e.Value.(bson.D)
			return !ok || comparisons[0].Key != "$ne" && comparisons[0].Key != "$exists"
		}
	}
	return false
}

func isEqual(a asked, field string) bool {
	for _, e := range a.filter {
		if e.Key == field {
			_, comparison := e.Value.(bson.D)
			return !comparison
		}
	}
	return false
}
