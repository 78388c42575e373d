package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// heldDisk is a disk whose syncs wait until they are let go.
type heldDisk struct{ begun, let chan struct{} }

func hold(e *Engine) *heldDisk {
	d := &heldDisk{make(chan struct{}, 100), make(chan struct{})}
	e.writer.syncer.sync = func(f *os.File) error {
		d.begun <- struct{}{}
		<-d.let
		return syncData(f)
	}
	return d
}

func TestNothingIsAnsweredBeforeItIsOnDisk(t *testing.T) {
	e := openListed(t, Options{})
	disk := hold(e)
	answered := make(chan string, 10)
	var all sync.WaitGroup
	ask := func(name string, do func() error) {
		all.Go(func() {
			if err := do(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			answered <- name
		})
	}
	ask("insert", func() error { return e.Insert(t.Context(), "listed", only("_id", "a")) })
	<-disk.begun
	ask("find one", func() error {
		return e.FindOne(t.Context(), "listed", engine.Query{Filter: only("_id", "a")}, &struct{}{})
	})
	ask("count", func() error { _, err := e.Count(t.Context(), "listed", nil, 0); return err })
	ask("find", func() error {
		return e.Find(t.Context(), "listed", engine.Query{Limit: 10}, func(bson.Raw) error { return nil })
	})
	if err := e.read(t.Context(), setOf("another"), func(*sqliteConn) error { return nil }); err != nil {
		t.Errorf("a read of another table: %v", err)
	}
	// The writer does not wait for the disk with the next operation, but its
	// transaction does.
	ran := make(chan struct{})
	ask("next", func() error {
		return e.writer.do(t.Context(), allTables, func(*sqliteConn) error { close(ran); return nil })
	})
	<-ran
	select {
	case name := <-answered:
		t.Errorf("%s is answered before the disk has it", name)
	case <-time.After(100 * time.Millisecond):
	}
	ended, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := e.Count(ended, "listed", nil, 0); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("a read whose time is over answers %v", err)
	}
	close(disk.let)
	all.Wait()
}

func TestWhatIsMissingIsAnsweredWhenItsDeletionIsOnDisk(t *testing.T) {
	e := openListed(t, Options{})
	if err := e.Insert(t.Context(), "listed", only("_id", "a")); err != nil {
		t.Fatal(err)
	}
	disk := hold(e)
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := e.Delete(t.Context(), "listed", only("_id", "a"), 1); err != nil {
			t.Error(err)
		}
	})
	<-disk.begun
	find := func(ctx context.Context) error {
		return e.FindOne(ctx, "listed", engine.Query{Filter: only("_id", "a")}, &struct{}{})
	}
	ended, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := find(ended); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("before the deletion is on disk it is answered: %v", err)
	}
	close(disk.let)
	all.Wait()
	if err := find(t.Context()); !models.IsKind(err, models.KindNotFound) {
		t.Errorf("then %v", err)
	}
}

func TestReadsThatWaitForTheDiskKeepNoOthersOut(t *testing.T) {
	e := openListed(t, Options{})
	disk := hold(e)
	var all sync.WaitGroup
	all.Go(func() {
		if err := e.Insert(t.Context(), "listed", only("_id", "a")); err != nil {
			t.Error(err)
		}
	})
	<-disk.begun
	for range 2 * cap(e.readers.permits) {
		all.Go(func() {
			if err := e.Find(t.Context(), "listed", engine.Query{Limit: 10}, func(bson.Raw) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	soon, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := e.read(soon, setOf("another"), func(*sqliteConn) error { return nil }); err != nil {
		t.Errorf("a read of another table: %v", err)
	}
	close(disk.let)
	all.Wait()
}

func TestAWriteThatChangesNothingNeedsNoSync(t *testing.T) {
	e := openListed(t, Options{})
	disk := hold(e)
	close(disk.let)
	if matched, err := e.Update(t.Context(), "listed", only("_id", "none"), bson.D{{Key: "$set", Value: only("name", "x")}}, engine.UpdateOptions{}); matched != 0 || err != nil {
		t.Fatal(matched, err)
	}
	if len(disk.begun) != 0 {
		t.Error("the disk was synced")
	}
	if err := e.Insert(t.Context(), "listed", only("_id", "a")); err != nil || len(disk.begun) != 1 {
		t.Errorf("%d syncs of an insert, %v", len(disk.begun), err)
	}
}

func TestAfterAFailedSyncNothingIsAnsweredThatItMayHaveLost(t *testing.T) {
	e := openListed(t, Options{})
	if err := e.Insert(t.Context(), "listed", only("_id", "kept")); err != nil {
		t.Fatal(err)
	}
	disk := hold(e)
	held := e.writer.syncer.sync
	e.writer.syncer.sync = func(f *os.File) error {
		if err := held(f); err != nil {
			return err
		}
		return errors.New("input/output error")
	}
	var all sync.WaitGroup
	insert := func(id string) {
		all.Go(func() {
			if err := e.Insert(t.Context(), "listed", only("_id", id)); !models.IsKind(err, models.KindUnavailable) {
				t.Errorf("%s answers %v", id, err)
			}
		})
	}
	insert("first")
	<-disk.begun
	ran := make(chan struct{})
	all.Go(func() {
		// It is of another table, so that it must not hide what the first may have lost.
		err := e.writer.do(t.Context(), setOf("another"), func(conn *sqliteConn) error {
			defer close(ran)
			_, err := conn.exec(t.Context(), "UPDATE pulse_engine SET probed = probed + 1")
			return err
		})
		if !models.IsKind(err, models.KindUnavailable) {
			t.Errorf("a write that ran beside the sync answers %v", err)
		}
	})
	<-ran
	close(disk.let)
	all.Wait()
	insert("later")
	all.Wait()
	if err := e.Ping(t.Context()); err == nil {
		t.Error("a database that cannot write is well")
	}
	if count, err := e.Count(t.Context(), "listed", nil, 0); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("%d documents are read: %v", count, err)
	}
	if err := e.read(t.Context(), setOf("another"), func(*sqliteConn) error { return nil }); err != nil {
		t.Errorf("a read of another table: %v", err)
	}
	before, err := os.ReadFile(e.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(e.path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the log was copied into the file (%v)", err)
	}
}

func TestAPowerFailureTakesNothingThatWasAcknowledged(t *testing.T) {
	e := openListed(t, Options{})
	// disk is what a power failure leaves of the log: its content at the last sync.
	var diskMu sync.Mutex
	var disk []byte
	off, let := make(chan struct{}), make(chan struct{})
	e.writer.syncer.sync = func(f *os.File) error {
		select {
		case <-off:
			<-let // the failure came before this sync
		default:
			content, err := os.ReadFile(f.Name())
			if err != nil {
				return err
			}
			diskMu.Lock()
			disk = content
			diskMu.Unlock()
		}
		return syncData(f)
	}
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	failed := false
	seen := int64(0)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			count, err := e.Count(t.Context(), "listed", nil, 0)
			mu.Lock()
			over := failed
			if err == nil && !over {
				seen = count
			}
			mu.Unlock()
			if over {
				return
			}
		}
	})
	for w := range 8 {
		all.Go(func() {
			for n := range 100 {
				id := fmt.Sprintf("%d-%d", w, n)
				if err := e.Insert(t.Context(), "listed", only("_id", id)); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if !failed {
					acknowledged[id] = true
				}
				if len(acknowledged) == 400 && !failed {
					failed = true
					close(off)
				}
				over := failed
				mu.Unlock()
				if over {
					return
				}
			}
		})
	}
	<-off
	copied := filepath.Join(t.TempDir(), "pulse.db")
	file, err := os.ReadFile(e.path)
	if err != nil {
		t.Fatal(err)
	}
	diskMu.Lock()
	left := disk
	diskMu.Unlock()
	for path, content := range map[string][]byte{copied: file, copied + "-wal": left} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	after, err := Open(t.Context(), copied, []engine.Collection{listed()}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := after.Count(t.Context(), "listed", nil, 0)
	if err := errors.Join(err, after.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	close(let)
	all.Wait()
	if seen == 0 || stored < int64(len(acknowledged)) || stored < seen {
		t.Errorf("%d are left of %d acknowledged and %d read", stored, len(acknowledged), seen)
	}
}
