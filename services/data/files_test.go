package data

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"pulse-control-plane/models"
)

func TestAFolderInWhichAFileIsPreparedHasOneHolderWhoseFilesNoOtherRemoves(t *testing.T) {
	file := filepath.Join(t.TempDir(), "backup.tar")
	var holders, held atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 300 {
				p, err := openPartial(file)
				if models.HasCode(err, "in_progress") {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				held.Add(1)
				if holders.Add(1) > 1 {
					t.Error("two hold the folder")
				}
				if err := os.WriteFile(p.path("a"), nil, 0o600); err != nil {
					t.Error(err)
				}
				if _, err := os.Stat(p.path("a")); err != nil {
					t.Error(err)
				}
				holders.Add(-1)
				if err := p.close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if held.Load() == 0 || exists(partialOf(file)) {
		t.Errorf("held %d times; left: %v", held.Load(), exists(partialOf(file)))
	}
}

func TestALockOfAFolderThatWasRemovedMeanwhileIsNone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "f")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	opened, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if err := errors.Join(stillNamed(opened, dir), os.Remove(dir)); err != nil {
		t.Fatal(err)
	}
	if err := stillNamed(opened, dir); !errors.Is(err, errGone) {
		t.Errorf("removed: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := stillNamed(opened, dir); !errors.Is(err, errGone) {
		t.Errorf("made again: %v", err)
	}
}

func TestACheckRemovesWhatKilledChecksLeftAndNothingElse(t *testing.T) {
	file := backedUp(t, store(t, 10))
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for _, name := range []string{checkPrefix + "left", checkPrefix + "used", "other"} {
		if err := errors.Join(os.Mkdir(filepath.Join(tmp, name), 0o700), os.WriteFile(filepath.Join(tmp, name, databaseName), []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(tmp, "other"), filepath.Join(tmp, checkPrefix+"link")); err != nil {
		t.Fatal(err)
	}
	lock, err := lockFolder(filepath.Join(tmp, checkPrefix+"used"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if kinds, written := checked(t, "", file, nil); len(kinds) > 0 {
		t.Error(written)
	}
	entries, err := os.ReadDir(tmp)
	if err != nil || len(entries) != 3 || exists(filepath.Join(tmp, checkPrefix+"left")) || !exists(filepath.Join(tmp, "other", databaseName)) {
		t.Errorf("there are %v, %v", entries, err)
	}
}

func TestAFileThatCannotBeReadIsNotTakenForOneThatIsNoBackup(t *testing.T) {
	folder, path := t.TempDir(), store(t, 0)
	loop := filepath.Join(folder, "loop") // for every user, also root
	if err := errors.Join(os.Mkdir(filepath.Join(folder, "dir"), 0o700), os.Symlink(loop, loop)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dir", "loop", "backup/below a file"} {
		file := filepath.Join(folder, name)
		if name == "backup/below a file" {
			file = filepath.Join(path, "f")
		}
		if _, err := tool(path).Backup(t.Context(), file); !errors.Is(err, ErrUnreadable) || !models.HasCode(err, "unreadable") {
			t.Errorf("backup to %s: %v", name, err)
		}
		if _, err := tool(filepath.Join(t.TempDir(), "pulse.db")).Restore(t.Context(), file); !errors.Is(err, ErrUnreadable) || !models.HasCode(err, "unreadable") {
			t.Errorf("restore of %s: %v", name, err)
		}
	}
}
