package embedded

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

// listed is a collection with the indexes a tenant's list has.
func listed() engine.Collection {
	day := 24 * time.Hour
	return engine.Collection{
		Name: "listed",
		Fields: []engine.Field{
			{Name: "org", Kind: engine.String}, {Name: "name", Kind: engine.String}, {Name: "gone", Kind: engine.Bool}, {Name: "at", Kind: engine.Time}, {Name: "email", Kind: engine.String}, {Name: "state", Kind: engine.String},
		},
		Indexes: []engine.Index{
			{Keys: []string{"gone"}},
			{Keys: []string{"org"}},
			{Keys: []string{"org", "name"}},
			{Keys: []string{"state", "at"}},
			{Keys: []string{"email"}, Unique: true, Partial: true},
			{Keys: []string{"at"}, ExpireAfter: &day},
			{Keys: []string{"name"}},
		},
	}
}

func openListed(t *testing.T, options Options) *Engine {
	t.Helper()
	e, err := Open(t.Context(), filepath.Join(t.TempDir(), "pulse.db"), []engine.Collection{listed()}, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func only(key string, value any) bson.D { return bson.D{{Key: key, Value: value}} }

func TestTheDeclarationDecidesTheIndexOfAQuery(t *testing.T) {
	e := openListed(t, Options{})
	newest := only("_id", -1)
	for _, c := range []struct {
		filter, order bson.D
		index         string
		sorted        bool
	}{
		// A tenant's list, newest first, page by page: never all its documents.
		{bson.D{{Key: "org", Value: "o"}, {Key: "gone", Value: false}}, newest, "listed.org_1 ", true},
		{bson.D{{Key: "gone", Value: false}, {Key: "org", Value: "o"}, {Key: "_id", Value: only("$lt", "x")}}, newest, "listed.org_1 ", true},
		{only("gone", false), newest, "listed.gone_1", true},
		{nil, newest, "sqlite_autoindex_listed_1", true},
		{only("_id", "x"), nil, "sqlite_autoindex_listed_1", true},
		{bson.D{{Key: "_id", Value: only("$in", []string{"x", "y"})}, {Key: "gone", Value: false}}, nil, "listed.gone_1 (gone=? AND _id=?)", true},
		{bson.D{{Key: "email", Value: "e"}, {Key: "gone", Value: false}}, nil, "listed.email_1", true},
		{bson.D{{Key: "org", Value: "o"}, {Key: "name", Value: "n"}}, nil, "listed.org_1_name_1", true},
		{bson.D{{Key: "org", Value: "o"}}, only("name", 1), "listed.org_1_name_1", true},
		// A search among those that are alive, by the start of the name.
		{bson.D{{Key: "gone", Value: false}, {Key: "name", Value: bson.D{{Key: "$gte", Value: "a"}, {Key: "$lt", Value: "b"}}}}, newest, "listed.name_1 (name>? AND name<?)", false},
		{bson.D{{Key: "gone", Value: false}, {Key: "name", Value: only("$gte", "a")}, {Key: "_id", Value: only("$lt", "x")}}, newest, "listed.name_1 (name>?)", false},
		// The next job, by state and time.
		{bson.D{{Key: "state", Value: "due"}, {Key: "at", Value: only("$lte", time.Now())}}, only("at", 1), "listed.state_1_at_1", true},
		{only("at", only("$lt", time.Now())), nil, "listed.at_1", true},
		{only("state", "due"), newest, "listed.state_1_at_1", false},
	} {
		tab, err := e.table("listed")
		if err != nil {
			t.Fatal(err)
		}
		f, order, err := tab.CheckQuery(engine.Query{Filter: c.filter, Sort: c.order, Limit: 21}, true)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		b.WriteString("EXPLAIN QUERY PLAN SELECT doc")
		args := tab.selection(&b, f, order)
		plan := ""
		err = e.read(t.Context(), allTables, func(conn *sqliteConn) error {
			rows, err := conn.query(t.Context(), b.String()+" LIMIT 21", args...)
			if err != nil {
				return err
			}
			for {
				row, err := rows.next()
				if err != nil || row == nil {
					return closeRows(rows, err)
				}
				plan += row[3].(string) + "; "
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan, "INDEX "+c.index) {
			t.Errorf("%v by %v is planned as %s want %s", c.filter, c.order, plan, c.index)
		}
		if sorts := strings.Contains(plan, "TEMP B-TREE"); sorts == c.sorted {
			t.Errorf("%v by %v is planned as %s sorted by the index: want %v", c.filter, c.order, plan, c.sorted)
		}
	}
}

func TestPreparedStatementsAreBounded(t *testing.T) {
	e := openListed(t, Options{})
	conn, err := e.readers.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer e.readers.release(conn)
	for n := range 3 * cachedStatements {
		row, err := conn.row(t.Context(), fmt.Sprintf("SELECT %d", n))
		if err != nil || row[0] != int64(n) {
			t.Fatalf("SELECT %d is %v, %v", n, row, err)
		}
	}
	if len(conn.statements) > cachedStatements {
		t.Errorf("%d statements are kept; want at most %d", len(conn.statements), cachedStatements)
	}
}
