package database

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// listed is a collection with the indexes a tenant's list has.
func listed() Collection {
	day := 24 * time.Hour
	return Collection{
		Name: "listed",
		Fields: []Field{
			{"org", String}, {"name", String}, {"gone", Bool}, {"at", Time}, {"email", String}, {"state", String},
		},
		Indexes: []Index{
			{Keys: []string{"gone"}},
			{Keys: []string{"org"}},
			{Keys: []string{"org", "name"}},
			{Keys: []string{"state", "at"}},
			{Keys: []string{"email"}, Unique: true, Partial: true},
			{Keys: []string{"at"}, ExpireAfter: &day},
		},
	}
}

func openListed(t *testing.T, options EmbeddedOptions) *Embedded {
	t.Helper()
	e, err := OpenEmbedded(t.Context(), filepath.Join(t.TempDir(), "pulse.db"), []Collection{listed()}, options)
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

func field(key string, value any) bson.D { return bson.D{{Key: key, Value: value}} }

func TestTheIndexOfAQueryIsChosenFromTheDeclaration(t *testing.T) {
	e := openListed(t, EmbeddedOptions{})
	newest := field("_id", -1)
	for _, c := range []struct {
		filter, order bson.D
		index         string
		sorted        bool
	}{
		// A tenant's list, newest first, page by page: never all its documents.
		{bson.D{{Key: "org", Value: "o"}, {Key: "gone", Value: false}}, newest, "listed.org_1 ", true},
		{bson.D{{Key: "gone", Value: false}, {Key: "org", Value: "o"}, {Key: "_id", Value: field("$lt", "x")}}, newest, "listed.org_1 ", true},
		{field("gone", false), newest, "listed.gone_1", true},
		{nil, newest, "sqlite_autoindex_listed_1", true},
		{field("_id", "x"), nil, "sqlite_autoindex_listed_1", true},
		{bson.D{{Key: "_id", Value: field("$in", []string{"x", "y"})}, {Key: "gone", Value: false}}, nil, "listed.gone_1 (gone=? AND _id=?)", true},
		{bson.D{{Key: "email", Value: "e"}, {Key: "gone", Value: false}}, nil, "listed.email_1", true},
		{bson.D{{Key: "org", Value: "o"}, {Key: "name", Value: "n"}}, nil, "listed.org_1_name_1", true},
		{bson.D{{Key: "org", Value: "o"}}, field("name", 1), "listed.org_1_name_1", true},
		// The next job, by state and time.
		{bson.D{{Key: "state", Value: "due"}, {Key: "at", Value: field("$lte", time.Now())}}, field("at", 1), "listed.state_1_at_1", true},
		{field("at", field("$lt", time.Now())), nil, "listed.at_1", true},
		{field("state", "due"), newest, "listed.state_1_at_1", false},
	} {
		tab, err := e.table("listed")
		if err != nil {
			t.Fatal(err)
		}
		f, order, err := tab.checkQuery(Query{Filter: c.filter, Sort: c.order, Limit: 21}, true)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		b.WriteString("EXPLAIN QUERY PLAN SELECT doc")
		args := tab.selection(&b, f, order)
		plan := ""
		err = e.read(t.Context(), func(conn *sqliteConn) error {
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

func TestAWriteWhoseContextEndsBeforeItBeginsIsNotMade(t *testing.T) {
	e := openListed(t, EmbeddedOptions{})
	// Keep the writer busy, so that the write has to wait.
	busy, leave := make(chan struct{}), make(chan struct{})
	held := make(chan error, 1)
	go func() {
		held <- e.writer.do(t.Context(), func(*sqliteConn) error {
			close(busy)
			<-leave
			return nil
		})
	}()
	<-busy
	ctx, cancel := context.WithCancel(t.Context())
	waits := make(chan error, 1)
	go func() { waits <- e.Insert(ctx, "listed", field("_id", "a")) }()
	cancel()
	// It is answered at once, though the writer is still held.
	if err := <-waits; !models.IsKind(err, models.KindUnavailable) {
		t.Fatalf("answers %v; want unavailable", err)
	}
	close(leave)
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	if count, err := e.Count(t.Context(), "listed", nil, 0); err != nil || count != 0 {
		t.Fatalf("stored %d, %v; want nothing", count, err)
	}
}

func TestAWriteWhoseContextEndsOnceItHasBegunIsAnsweredWithItsOutcome(t *testing.T) {
	e := openListed(t, EmbeddedOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	err := e.writer.do(ctx, func(conn *sqliteConn) error {
		cancel()
		_, err := conn.exec(t.Context(), `INSERT INTO listed (_id, doc) VALUES (?, ?)`, "a", []byte{5, 0, 0, 0, 0})
		return err
	})
	if err != nil {
		t.Fatalf("answers %v; want its outcome", err)
	}
	if count, err := e.Count(t.Context(), "listed", nil, 0); err != nil || count != 1 {
		t.Fatalf("stored %d, %v; want one", count, err)
	}
}

func TestALongReadEndsWithItsContext(t *testing.T) {
	e := openListed(t, EmbeddedOptions{})
	for n := 0; n < 20_000; n += MaxBatch {
		var batch []any
		for i := range MaxBatch {
			batch = append(batch, bson.D{{Key: "_id", Value: fmt.Sprintf("%08d", n+i)}, {Key: "name", Value: "x"}})
		}
		if _, err := e.InsertMany(t.Context(), "listed", batch); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := e.read(ctx, func(conn *sqliteConn) error {
		// 20,000 × 20,000 rows: minutes, if it were not ended.
		_, err := conn.row(ctx, "SELECT count(*) FROM listed a, listed b WHERE a.name || b.name = 'y'")
		return err
	})
	if !models.IsKind(err, models.KindUnavailable) {
		t.Fatalf("answers %v; want unavailable", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("answered after %s; want soon after 50 ms", took)
	}
	// The connection is as good as before.
	if count, err := e.Count(t.Context(), "listed", nil, 0); err != nil || count != 20_000 {
		t.Fatalf("then counts %d, %v", count, err)
	}
}

func TestADamagedDocumentIsAnInternalError(t *testing.T) {
	e := openListed(t, EmbeddedOptions{})
	err := e.writer.do(t.Context(), func(conn *sqliteConn) error {
		_, err := conn.exec(t.Context(), `INSERT INTO listed (_id, doc, org) VALUES ('a', x'ff00000002', 'o')`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bson.M
	calls := map[string]error{
		"FindOne":          e.FindOne(t.Context(), "listed", Query{Filter: field("_id", "a")}, &out),
		"Find":             e.Find(t.Context(), "listed", Query{Limit: 5}, func(bson.Raw) error { return nil }),
		"FindOneAndUpdate": e.FindOneAndUpdate(t.Context(), "listed", field("org", "o"), field("$set", field("x", 1)), FindAndUpdateOptions{}, &out),
	}
	for call, err := range calls {
		if !models.IsKind(err, models.KindInternal) {
			t.Errorf("%s of a damaged document answers %v; want internal", call, err)
		}
	}
}

func TestAFullDiskIsUnavailableAndSpoilsNothing(t *testing.T) {
	e := openListed(t, EmbeddedOptions{})
	if err := e.Insert(t.Context(), "listed", bson.D{{Key: "_id", Value: "before"}}); err != nil {
		t.Fatal(err)
	}
	// SQLite then answers SQLITE_FULL, as on a full disk.
	setPages := func(pragma string) {
		if err := e.writer.do(t.Context(), func(conn *sqliteConn) error {
			_, err := conn.row(t.Context(), pragma)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	setPages("PRAGMA max_page_count = 1")
	note := strings.Repeat("x", 1<<20)
	err := e.Insert(t.Context(), "listed", bson.D{{Key: "_id", Value: "large"}, {Key: "note", Value: note}})
	if !models.IsKind(err, models.KindUnavailable) {
		t.Fatalf("a write to a full disk answers %v; want unavailable", err)
	}
	setPages("PRAGMA max_page_count = 1000000")
	if err := e.Insert(t.Context(), "listed", bson.D{{Key: "_id", Value: "after"}, {Key: "note", Value: note}}); err != nil {
		t.Fatalf("a write after there is space again: %v", err)
	}
	if count, err := e.Count(t.Context(), "listed", nil, 0); err != nil || count != 2 {
		t.Fatalf("stored %d, %v; want two", count, err)
	}
}

func TestPingWritesUnlessAWriteWasJustAcknowledged(t *testing.T) {
	var now atomic.Int64
	now.Store(1_767_225_600)
	e := openListed(t, EmbeddedOptions{Clock: func() time.Time { return time.Unix(now.Load(), 0) }})
	probes := func() (n int64) {
		t.Helper()
		if err := e.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := e.read(t.Context(), func(conn *sqliteConn) error {
			row, err := conn.row(t.Context(), "SELECT probed FROM pulse_engine")
			n = row[0].(int64)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := probes(); n != 0 {
		t.Errorf("probed %d times right after the schema was written; want none", n)
	}
	now.Add(6)
	if n := probes(); n != 1 {
		t.Errorf("probed %d times after six idle seconds; want once", n)
	}
	if n := probes(); n != 1 {
		t.Errorf("probed %d times right after a probe; want once", n)
	}
}

func TestExpiryFollowsTheInjectedClock(t *testing.T) {
	var now atomic.Int64
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now.Store(start.UnixMilli())
	e := openListed(t, EmbeddedOptions{Clock: func() time.Time { return time.UnixMilli(now.Load()) }})
	var batch []any
	for n := range 900 {
		batch = append(batch, bson.D{{Key: "_id", Value: fmt.Sprintf("%03d", n)}, {Key: "at", Value: start.Add(time.Duration(n) * time.Millisecond)}})
	}
	batch = append(batch, bson.D{{Key: "_id", Value: "timeless"}})
	if _, err := e.InsertMany(t.Context(), "listed", batch); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		left  int64
	}{{24*time.Hour - time.Millisecond, 901}, {24 * time.Hour, 900}, {24*time.Hour + 799*time.Millisecond, 101}, {1000 * time.Hour, 1}} {
		now.Store(start.Add(c.after).UnixMilli())
		if err := e.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if count, err := e.Count(t.Context(), "listed", nil, 0); err != nil || count != c.left {
			t.Errorf("after %s %d are left, %v; want %d", c.after, count, err, c.left)
		}
	}
}

func TestAFileOfANewerLayoutIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	schema := []Collection{listed()}
	e, err := OpenEmbedded(t.Context(), path, schema, EmbeddedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.writer.do(t.Context(), func(conn *sqliteConn) error {
		_, err := conn.exec(t.Context(), fmt.Sprintf("PRAGMA user_version = %d", embeddedLayout+1))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = OpenEmbedded(t.Context(), path, schema, EmbeddedOptions{})
	if !models.IsKind(err, models.KindInternal) || !strings.Contains(err.Error(), "layout") {
		t.Fatalf("answers %v; want internal, naming the layout", err)
	}
	// It has let go of the lock.
	f, err := lockFile(path + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAUniqueIndexThatStoredDocumentsViolateIsNotMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	plain := Collection{Name: "people", Fields: []Field{{"email", String}}}
	e, err := OpenEmbedded(t.Context(), path, []Collection{plain}, EmbeddedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		if err := e.Insert(t.Context(), "people", bson.D{{Key: "_id", Value: id}, {Key: "email", Value: "same"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	unique := plain
	unique.Indexes = []Index{{Keys: []string{"email"}, Unique: true}}
	if _, err := OpenEmbedded(t.Context(), path, []Collection{unique}, EmbeddedOptions{}); !models.IsKind(err, models.KindConflict) ||
		!strings.Contains(err.Error(), "email_1") {
		t.Fatalf("answers %v; want a conflict naming the index", err)
	}
	if e, err = OpenEmbedded(t.Context(), path, []Collection{plain}, EmbeddedOptions{}); err != nil {
		t.Fatal(err)
	}
	if count, err := e.Count(t.Context(), "people", nil, 0); err != nil || count != 2 {
		t.Errorf("stored %d, %v; want both", count, err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAFieldWhoseKindChangesIsRefusedByName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	open := func(kind FieldKind) error {
		e, err := OpenEmbedded(t.Context(), path, []Collection{{Name: "people", Fields: []Field{{"age", kind}}}}, EmbeddedOptions{})
		if err != nil {
			return err
		}
		return e.Close(t.Context())
	}
	if err := open(String); err != nil {
		t.Fatal(err)
	}
	if err := open(Int); !models.IsKind(err, models.KindInternal) || !strings.Contains(err.Error(), `"age"`) {
		t.Fatalf("answers %v; want internal, naming the field", err)
	}
}

func TestTheFilesBelongToTheirUserAlone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "made", "for it")
	path := filepath.Join(folder, "pulse ?#%.db")
	e, err := OpenEmbedded(t.Context(), path, []Collection{listed()}, EmbeddedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Insert(t.Context(), "listed", field("_id", "a")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + ".lock"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %o; want 600", name, info.Mode().Perm())
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAnEngineThatCannotMakeItsFileIsUnavailable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenEmbedded(t.Context(), filepath.Join(file, "pulse.db"), nil, EmbeddedOptions{}); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("answers %v; want unavailable", err)
	}
}

func TestAFileThatIsNoDatabaseIsAnInternalError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenEmbedded(t.Context(), path, []Collection{listed()}, EmbeddedOptions{}); !models.IsKind(err, models.KindInternal) {
		t.Errorf("answers %v; want internal", err)
	}
}

func TestPreparedStatementsAreBounded(t *testing.T) {
	e := openListed(t, EmbeddedOptions{})
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
