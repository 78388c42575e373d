package embedded

import (
	"context"
	"errors"
	"os"
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

func TestAFailedSyncFailsWritesUntilARestart(t *testing.T) {
	e := openListed(t, Options{})
	var once sync.Once
	e.writer.syncer.sync = func(f *os.File) error {
		var err error
		once.Do(func() { err = errors.New("input/output error") })
		return err
	}
	for _, id := range []string{"first", "second"} {
		if err := e.Insert(t.Context(), "listed", only("_id", id)); !models.IsKind(err, models.KindUnavailable) {
			t.Errorf("%s answers %v", id, err)
		}
	}
	if err := e.Ping(t.Context()); err == nil {
		t.Error("a database that cannot write is well")
	}
	if _, err := e.Count(t.Context(), "listed", nil, 0); err != nil {
		t.Errorf("reads fail: %v", err)
	}
}
