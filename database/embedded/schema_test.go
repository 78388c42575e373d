package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

func TestADamagedDocumentIsAnInternalError(t *testing.T) {
	e := openListed(t, Options{})
	err := e.writer.do(t.Context(), allTables, func(conn *sqliteConn) error {
		_, err := conn.exec(t.Context(), `INSERT INTO listed (_id, doc, org) VALUES ('a', x'ff00000002', 'o')`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bson.M
	calls := map[string]error{
		"FindOne":          e.FindOne(t.Context(), "listed", engine.Query{Filter: only("_id", "a")}, &out),
		"Find":             e.Find(t.Context(), "listed", engine.Query{Limit: 5}, func(bson.Raw) error { return nil }),
		"FindOneAndUpdate": e.FindOneAndUpdate(t.Context(), "listed", only("org", "o"), only("$set", only("x", 1)), engine.FindAndUpdateOptions{}, &out),
	}
	for call, err := range calls {
		if !models.IsKind(err, models.KindInternal) {
			t.Errorf("%s of a damaged document answers %v; want internal", call, err)
		}
	}
}

func TestAFileOfANewerLayoutIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	schema := []engine.Collection{listed()}
	e, err := Open(t.Context(), path, schema, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.writer.do(t.Context(), allTables, func(conn *sqliteConn) error {
		_, err := conn.exec(t.Context(), fmt.Sprintf("PRAGMA user_version = %d", fileLayout+1))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), path, schema, Options{})
	if !models.IsKind(err, models.KindMisconfigured) || !strings.Contains(err.Error(), "newer version of Pulse") {
		t.Fatalf("answers %v; want misconfigured, with the reason", err)
	}
	// The lock was released.
	f, err := lockFile(path + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAUniqueIndexThatStoredDocumentsViolateIsNotCreated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	plain := engine.Collection{Name: "people", Fields: []engine.Field{{Name: "email", Kind: engine.String}}}
	e, err := Open(t.Context(), path, []engine.Collection{plain}, Options{})
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
	unique.Indexes = []engine.Index{{Keys: []string{"email"}, Unique: true}}
	if _, err := Open(t.Context(), path, []engine.Collection{unique}, Options{}); !models.IsKind(err, models.KindMisconfigured) ||
		!strings.Contains(err.Error(), "email_1") {
		t.Fatalf("answers %v; want misconfigured, naming the index", err)
	}
	if e, err = Open(t.Context(), path, []engine.Collection{plain}, Options{}); err != nil {
		t.Fatal(err)
	}
	if count, err := e.Count(t.Context(), "people", nil, 0); err != nil || count != 2 {
		t.Errorf("stored %d, %v; want both", count, err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAChangedFieldKindIsRefusedWithTheFieldsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	open := func(kind engine.FieldKind) error {
		e, err := Open(t.Context(), path, []engine.Collection{{Name: "people", Fields: []engine.Field{{Name: "age", Kind: kind}}}}, Options{})
		if err != nil {
			return err
		}
		return e.Close(t.Context())
	}
	if err := open(engine.String); err != nil {
		t.Fatal(err)
	}
	if err := open(engine.Int); !models.IsKind(err, models.KindInternal) || !strings.Contains(err.Error(), `"age"`) {
		t.Fatalf("answers %v; want internal, naming the field", err)
	}
}

func TestOnlyTheUserOfTheProcessCanAccessTheFiles(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "made", "for it")
	path := filepath.Join(folder, "pulse ?#%.db")
	e, err := Open(t.Context(), path, []engine.Collection{listed()}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Insert(t.Context(), "listed", only("_id", "a")); err != nil {
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

func TestAFileThatCannotBeCreatedIsUnavailable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), filepath.Join(file, "pulse.db"), nil, Options{}); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("answers %v; want unavailable", err)
	}
}

func TestAFileThatIsNotADatabaseIsRefusedByName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, []engine.Collection{listed()}, Options{}); !models.IsKind(err, models.KindMisconfigured) ||
		!strings.Contains(err.Error(), path) {
		t.Errorf("answers %v; want misconfigured, with the path", err)
	}
}
