package data

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

func backedUp(t *testing.T, path string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pulse.backup")
	if _, err := tool(path).Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestARestoredBackupHasEverythingAndOnlyItsOwnerReadsIt(t *testing.T) {
	path := store(t, 300)
	file := filepath.Join(t.TempDir(), "pulse.backup")
	m, err := tool(path).Backup(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if m.Collections["livekit_events"] != 300 || len(m.AuditHeads) != 2 || len(m.Secrets) != 3 || m.SchemaVersion < 1 {
		t.Errorf("manifest %+v", m)
	}
	target := filepath.Join(t.TempDir(), "new", "pulse.db")
	if _, err := tool(target).Restore(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	before, after := describe(t, path), describe(t, target)
	if wrong := before.contradiction(&after); wrong != "" {
		t.Error(wrong)
	}
	for _, name := range []string{file, target} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestABackupBesideAServerIsOneMomentAndDelaysNoWrite(t *testing.T) {
	const size = 10
	path := store(t, 20_000)
	e := open(t, path)
	defer shut(t, e)
	ctx, stop := context.WithCancel(t.Context())
	wrote, done := 0, make(chan error, 1)
	go func() {
		inbox := database.NewLiveKitEvents(e)
		for n := 0; ctx.Err() == nil; n++ {
			// Each of these writes is one transaction.
			if _, err := inbox.InsertMany(context.WithoutCancel(ctx), batch(1_000_000+n*size, size)); err != nil {
				done <- err
				return
			}
			wrote = n + 1
		}
		done <- nil
	}()
	file := filepath.Join(t.TempDir(), "pulse.backup")
	var counts []int64
	for range 3 {
		m, err := tool(path).Backup(t.Context(), file) // the second and third replace the first
		if err != nil {
			t.Fatal(err)
		}
		counts = append(counts, m.Collections["livekit_events"])
	}
	stop()
	if err := <-done; err != nil || wrote < 3 {
		t.Fatalf("%d batches were written, %v", wrote, err)
	}
	for i, n := range counts {
		if n%size != 0 || i > 0 && n < counts[i-1] {
			t.Errorf("backups of %v documents: batches of %d were cut, or a later one has less", counts, size)
		}
	}
}

func steps(command string) []string {
	if command == "restore" {
		return []string{"begun", "unpacked", "verified", "renamed"}
	}
	return []string{"begun", "copied", "verified", "packed", "read back", "renamed"}
}

func TestABackupKilledAtAnyStepLeavesNoHalfFileAndTheNextOneFinishes(t *testing.T) {
	path := store(t, 1000)
	for _, earlier := range []bool{false, true} {
		for _, step := range steps("backup") {
			file := filepath.Join(t.TempDir(), "pulse.backup")
			if earlier {
				if _, err := tool(path).Backup(t.Context(), file); err != nil {
					t.Fatal(err)
				}
			}
			if !killed(t, child(t, "backup", step, path, file)) {
				t.Fatalf("%q is no step of a backup", step)
			}
			if exists(file) != (earlier || step == "renamed") {
				t.Errorf("killed when %s, with an earlier backup %v: file there: %v", step, earlier, exists(file))
			}
			if exists(file) {
				if _, err := unpack(t.Context(), file, discard{}); err != nil {
					t.Errorf("killed when %s: %v", step, err)
				}
			}
			if killed(t, child(t, "backup", "", path, file)) || exists(partialOf(file)) {
				t.Errorf("killed when %s: the next run left something", step)
			}
			if _, err := unpack(t.Context(), file, discard{}); err != nil {
				t.Errorf("killed when %s, run again: %v", step, err)
			}
		}
	}
}

func TestARestoreKilledAtAnyStepLeavesNoHalfDatabaseAndTheNextOneFinishes(t *testing.T) {
	path := store(t, 1000)
	file, want := backedUp(t, path), describe(t, path)
	for _, step := range steps("restore") {
		target := filepath.Join(t.TempDir(), "pulse.db")
		if !killed(t, child(t, "restore", step, target, file)) {
			t.Fatalf("%q is no step of a restore", step)
		}
		if exists(target) != (step == "renamed") {
			t.Errorf("killed when %s: database there: %v", step, exists(target))
		}
		if !exists(target) && killed(t, child(t, "restore", "", target, file)) {
			t.Errorf("killed when %s: the next run did not finish", step)
		}
		if found := describe(t, target); want.contradiction(&found) != "" {
			t.Errorf("killed when %s: %s", step, want.contradiction(&found))
		}
	}
}

// TestKilledAtAnyMoment… kills later and later, until a run survives, and so hits
// what is between the steps: half-written files.
func TestKilledAtAnyMomentBackupAndRestoreLeaveNoHalfFile(t *testing.T) {
	path := store(t, 20_000)
	complete := backedUp(t, path)
	for _, command := range []string{"backup", "restore"} {
		dir := t.TempDir()
		database, file := path, filepath.Join(dir, "pulse.backup")
		if command == "restore" {
			database, file = filepath.Join(dir, "pulse.db"), complete
		}
		kills := 0
		for wait := time.Millisecond; ; wait += wait/4 + time.Millisecond {
			c := child(t, command, "", database, file)
			c.Stderr = nil // a restore after one that finished says so
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(wait)
			_ = c.Process.Kill()
			survived := c.Wait() == nil
			switch {
			case command == "backup" && exists(file):
				if _, err := unpack(t.Context(), file, discard{}); err != nil {
					t.Fatalf("backup killed after %v: %v", wait, err)
				}
			case command == "restore" && exists(database):
				if m := describe(t, database); m.Collections["livekit_events"] != 20_000 {
					t.Fatalf("restore killed after %v: %+v", wait, m)
				}
				survived = true
			}
			if survived {
				break
			}
			kills++
		}
		t.Logf("%s: %d kills", command, kills)
		if kills < 3 {
			t.Errorf("%s was killed only %d times before it finished", command, kills)
		}
	}
}

func TestADamagedOrForeignFileIsNotRestored(t *testing.T) {
	file := backedUp(t, store(t, 500))
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	manifest := strings.Index(string(whole), `"sha256": "`) + len(`"sha256": "`)
	wrong := map[string][]byte{
		"empty": {}, "text": []byte(strings.Repeat("text ", 1000)), "a database": whole[2048:],
		"cut off in the manifest": whole[:700], "cut off in the database": whole[:len(whole)/2],
		"another hash": append(append(append([]byte{}, whole[:manifest]...), 'g'), whole[manifest+1:]...),
	}
	for at := len(whole) / 10; at < len(whole)-2048; at += len(whole) / 10 {
		flipped := append([]byte{}, whole...)
		flipped[at] ^= 0x40
		wrong["one bit flipped at "+time.Duration(at).String()] = flipped
	}
	for name, content := range wrong {
		damaged := filepath.Join(t.TempDir(), "damaged")
		if err := os.WriteFile(damaged, content, 0o600); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		_, err := tool(filepath.Join(dir, "pulse.db")).Restore(t.Context(), damaged)
		if !models.HasCode(err, "not_a_backup") {
			t.Errorf("%s: %v", name, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "pulse.db")); len(left) > 0 || exists(partialOf(filepath.Join(dir, "pulse.db"))) {
			t.Errorf("%s: left something", name)
		}
	}
}

func TestRestoreRefusesWhereADatabaseOrItsRestIs(t *testing.T) {
	path := store(t, 100)
	file := backedUp(t, path)
	if _, err := tool(path).Restore(t.Context(), file); !models.HasCode(err, "database_exists") {
		t.Errorf("a database: %v", err)
	}
	for _, rest := range []string{"-wal", "-shm", "-journal"} {
		target := filepath.Join(t.TempDir(), "pulse.db")
		if err := os.WriteFile(target+rest, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := tool(target).Restore(t.Context(), file); !models.HasCode(err, "database_exists") || exists(target) {
			t.Errorf("%s: %v", rest, err)
		}
	}
	target := filepath.Join(t.TempDir(), "pulse.db")
	lock, err := database.LockFile(target) // as a server that starts has
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tool(target).Restore(t.Context(), file); !models.HasCode(err, "database_in_use") {
		t.Errorf("a server that starts: %v", err)
	}
	if err := errors.Join(lock.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestABackupReplacesNoFileThatIsNoBackup(t *testing.T) {
	path := store(t, 100)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tool(path).Backup(t.Context(), path); !models.HasCode(err, "file_exists") {
		t.Errorf("over the database itself: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Error("the database was changed")
	}
	if _, err := tool(filepath.Join(t.TempDir(), "none.db")).Backup(t.Context(), filepath.Join(t.TempDir(), "f")); !models.HasCode(err, "no_database") {
		t.Errorf("without a database: %v", err)
	}
}
