package embedded

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

func TestALongUpgradeTellsHowFarItIs(t *testing.T) {
	plain := engine.Collection{Name: "people"}
	e, err := Open(t.Context(), filepath.Join(t.TempDir(), "pulse.db"), []engine.Collection{plain}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	for n := range 25 {
		if err := e.Insert(t.Context(), "people", bson.D{{Key: "_id", Value: fmt.Sprint(n)}, {Key: "email", Value: fmt.Sprint(n)}}); err != nil {
			t.Fatal(err)
		}
	}
	plain.Fields = []engine.Field{{Name: "email", Kind: engine.String}, {Name: "name", Kind: engine.String}}
	plain.Indexes = []engine.Index{{Keys: []string{"email"}, Unique: true}}
	declare, err := engine.Declare([]engine.Collection{plain})
	if err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	if err := e.writer.do(t.Context(), allTables, func(conn *sqliteConn) error {
		_, err := layOut(t.Context(), conn, declare, false, progress{zerolog.New(&told), 10})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(told.String()), "\n")
	want := []string{`"documents":10`, `"documents":20`, `"index":"email_1"`}
	if len(lines) != len(want) {
		t.Fatalf("told %d times; want %d:\n%s", len(lines), len(want), told.String())
	}
	for i, w := range want {
		if !strings.Contains(lines[i], w) || !strings.Contains(lines[i], `"collection":"people"`) {
			t.Errorf("told %s; want %s of people", lines[i], w)
		}
	}
}
