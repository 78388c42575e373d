package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

func TestAWriteWithAnEndedContextIsNotApplied(t *testing.T) {
	e := openListed(t, Options{})
	// Keep the writer busy, so that the write has to wait.
	busy, leave := make(chan struct{}), make(chan struct{})
	held := make(chan error, 1)
	go func() {
		held <- e.writer.do(t.Context(), allTables, func(*sqliteConn) error {
			close(busy)
			<-leave
			return nil
		})
	}()
	<-busy
	ctx, cancel := context.WithCancel(t.Context())
	waits := make(chan error, 1)
	go func() { waits <- e.Insert(ctx, "listed", only("_id", "a")) }()
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

func TestAWriteThatHasBegunReportsItsResultAfterItsContextEnds(t *testing.T) {
	e := openListed(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	err := e.writer.do(ctx, allTables, func(conn *sqliteConn) error {
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
	e := openListed(t, Options{})
	for n := 0; n < 20_000; n += engine.MaxBatch {
		var batch []any
		for i := range engine.MaxBatch {
			batch = append(batch, bson.D{{Key: "_id", Value: fmt.Sprintf("%08d", n+i)}, {Key: "name", Value: "x"}})
		}
		if _, err := e.InsertMany(t.Context(), "listed", batch); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := e.read(ctx, allTables, func(conn *sqliteConn) error {
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

func TestAFullDiskIsUnavailableAndDamagesNothing(t *testing.T) {
	e := openListed(t, Options{})
	if err := e.Insert(t.Context(), "listed", bson.D{{Key: "_id", Value: "before"}}); err != nil {
		t.Fatal(err)
	}
	// SQLite then answers SQLITE_FULL, as on a full disk.
	setPages := func(pragma string) {
		if err := e.writer.do(t.Context(), allTables, func(conn *sqliteConn) error {
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
	e := openListed(t, Options{Clock: func() time.Time { return time.Unix(now.Load(), 0) }})
	probes := func() (n int64) {
		t.Helper()
		if err := e.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := e.read(t.Context(), allTables, func(conn *sqliteConn) error {
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
	now.Add(-3600)
	if n := probes(); n != 2 {
		t.Errorf("probed %d times after the clock was set back; want twice", n)
	}
}

func TestTheLogStaysShortWhileWritesNeverPause(t *testing.T) {
	e := openListed(t, Options{})
	note := strings.Repeat("x", 256<<10)
	var writers sync.WaitGroup
	var longest atomic.Int64
	for w := range 8 {
		writers.Go(func() {
			for n := range 120 {
				doc := bson.D{{Key: "_id", Value: fmt.Sprintf("%d-%d", w, n)}, {Key: "note", Value: note}}
				if err := e.Insert(t.Context(), "listed", doc); err != nil {
					t.Error(err)
					return
				}
				if info, err := os.Stat(e.path + "-wal"); err != nil {
					t.Error(err)
				} else if info.Size() > longest.Load() {
					longest.Store(info.Size())
				}
			}
		})
	}
	writers.Wait()
	// 240 MiB were written; a batch may pass the limit before it is seen.
	if limit := int64(2 * fullFrames * 4096); longest.Load() > limit {
		t.Errorf("the log grew to %d bytes; want at most %d", longest.Load(), limit)
	}
}

func TestAFailedOperationLeavesNoChangeAndDoesNotFailOthers(t *testing.T) {
	e := openListed(t, Options{})
	insert := func(conn *sqliteConn, id string) error {
		_, err := conn.exec(t.Context(), `INSERT INTO listed (_id, doc) VALUES (?, ?)`, id, []byte{5, 0, 0, 0, 0})
		return err
	}
	// All of these wait behind the first, and so share a transaction.
	busy, leave := make(chan struct{}), make(chan struct{})
	outcomes := make([]error, 4)
	var writers sync.WaitGroup
	writers.Go(func() {
		outcomes[0] = e.writer.do(t.Context(), allTables, func(conn *sqliteConn) error {
			close(busy)
			<-leave
			return insert(conn, "first")
		})
	})
	<-busy
	for i, id := range []string{"second", "", "third"} {
		writers.Go(func() {
			outcomes[i+1] = e.writer.do(t.Context(), allTables, func(conn *sqliteConn) error {
				if id != "" {
					return insert(conn, id)
				}
				return atomically(t.Context(), conn, func() error {
					if err := insert(conn, "half"); err != nil {
						return err
					}
					return errors.New("midway")
				})
			})
		})
	}
	close(leave)
	writers.Wait()
	for i, err := range outcomes {
		if failed := err != nil; failed != (i == 2) {
			t.Errorf("operation %d answers %v", i, err)
		}
	}
	if count, err := e.Count(t.Context(), "listed", nil, 0); err != nil || count != 3 {
		t.Errorf("stored %d, %v; want three", count, err)
	}
	if count, err := e.Count(t.Context(), "listed", only("_id", "half"), 0); err != nil || count != 0 {
		t.Errorf("half of an operation was stored: %d, %v", count, err)
	}
}

func TestWaitingWritesShareOneTransaction(t *testing.T) {
	// The writer looks at the clock once for each transaction on disk.
	var commits atomic.Int64
	e := openListed(t, Options{Clock: func() time.Time {
		commits.Add(1)
		return time.Now()
	}})
	busy, leave := make(chan struct{}), make(chan struct{})
	var writers sync.WaitGroup
	writers.Go(func() {
		if err := e.writer.do(t.Context(), allTables, func(*sqliteConn) error {
			close(busy)
			<-leave
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	<-busy
	const waiting = 100
	for i := range waiting {
		writers.Go(func() {
			if err := e.Insert(t.Context(), "listed", only("_id", fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	deadline := time.Now().Add(10 * time.Second)
	for len(e.writer.queue) < waiting && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	before := commits.Load()
	close(leave)
	writers.Wait()
	// On a slow machine a transaction may run out of time to take all of them in.
	if n := commits.Load() - before; n > waiting/4 {
		t.Errorf("%d waiting writes took %d transactions; want them shared", waiting, n)
	}
}
