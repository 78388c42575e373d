package embedded

import (
	"path/filepath"
	"testing"
)

func TestCompactingKeepsItsCopyOfTheDatabaseInAFileAndNotInMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	if err := createFile(path); err != nil {
		t.Fatal(err)
	}
	conn, err := openExisting(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.close() }()
	const file = 1 // https://www.sqlite.org/pragma.html#pragma_temp_store
	if row, err := conn.row(t.Context(), "PRAGMA temp_store"); err != nil || row[0] != int64(file) {
		t.Errorf("temp_store is %v, %v", row, err)
	}
}
