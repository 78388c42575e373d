package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/embedded"
	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// crashPath tells the test binary, started again, to write to a database until
// it is killed.
const crashPath = "PULSE_TEST_CRASH_PATH"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashPath); path != "" {
		if err := writeUntilKilled(path, os.Getenv(crashPath+"_ROUND")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func notesSchema() []engine.Collection {
	return []engine.Collection{{
		Name:    "notes",
		Fields:  []engine.Field{{Name: "key", Kind: engine.String}, {Name: "count", Kind: engine.Int}},
		Indexes: []engine.Index{{Keys: []string{"key"}, Unique: true}, {Keys: []string{"count"}}},
	}}
}

type note struct {
	ID    string `bson:"_id"`
	Key   string `bson:"key"`
	Count int64  `bson:"count"`
	Text  string `bson:"text"`
}

// writeUntilKilled inserts from 8 goroutines and prints each id once it was
// acknowledged; every insert is followed by an increment, printed as "+".
func writeUntilKilled(path, round string) error {
	ctx := context.Background()
	e, err := embedded.Open(ctx, path, notesSchema(), embedded.Options{})
	if err != nil {
		return err
	}
	failed := make(chan error)
	var printing sync.Mutex
	say := func(line string) {
		printing.Lock()
		defer printing.Unlock()
		fmt.Println(line)
	}
	for writer := range 8 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%s-%d-%d", round, writer, n)
				if err := e.Insert(ctx, "notes", note{ID: id, Key: "key " + id, Text: strings.Repeat("x", n%3000)}); err != nil {
					failed <- err
					return
				}
				say(id)
				if _, err := e.Update(ctx, "notes", bson.D{{Key: "_id", Value: "counter"}},
					bson.D{{Key: "$inc", Value: bson.D{{Key: "count", Value: 1}}}}, engine.UpdateOptions{}); err != nil {
					failed <- err
					return
				}
				say("+")
			}
		}()
	}
	return <-failed
}

func TestKillNineLosesNoAcknowledgedWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	e := openEmbedded(t, path, notesSchema(), embedded.Options{})
	insert(t, e, note{ID: "counter", Key: "counter"})
	closeNow(t, e)

	acknowledged := map[string]bool{}
	increments := int64(0)
	for round := range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), crashPath+"="+path, fmt.Sprintf("%s_ROUND=%d", crashPath, round))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// At a moment that depends on neither commits nor checkpoints.
		killAt := 50 + rand.IntN(400)
		lines := bufio.NewScanner(out)
		for seen := 0; lines.Scan(); seen++ {
			if line := lines.Text(); line == "+" {
				increments++
			} else {
				acknowledged[line] = true
			}
			if seen == killAt {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the writer ended by itself")
		}

		e := openEmbedded(t, path, notesSchema(), embedded.Options{})
		stored := int64(0)
		for id := range acknowledged {
			var got note
			if err := e.FindOne(t.Context(), "notes", engine.Query{Filter: bson.D{{Key: "key", Value: "key " + id}}}, &got); err != nil || got.ID != id {
				t.Fatalf("round %d: acknowledged %s, found %+v, %v", round, id, got, err)
			}
			stored++
		}
		var counter note
		if err := e.FindOne(t.Context(), "notes", engine.Query{Filter: bson.D{{Key: "_id", Value: "counter"}}}, &counter); err != nil {
			t.Fatal(err)
		}
		if counter.Count < increments {
			t.Fatalf("round %d: %d increments were acknowledged, %d are left", round, increments, counter.Count)
		}
		// Those that were committed but not yet printed count from now on.
		increments = counter.Count
		insert(t, e, note{ID: fmt.Sprintf("after %d", round), Key: fmt.Sprintf("after %d", round)})
		closeNow(t, e)
		if stored == 0 {
			t.Fatalf("round %d: nothing was acknowledged before the kill", round)
		}
	}
}

func TestASecondEngineReportsTheProcessThatHoldsTheDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	first := openEmbedded(t, path, notesSchema(), embedded.Options{})
	_, err := embedded.Open(t.Context(), path, notesSchema(), embedded.Options{})
	if !models.HasCode(err, "database_in_use") || !models.IsKind(err, models.KindUnavailable) {
		t.Fatalf("a second engine answers %v; want database_in_use", err)
	}
	if !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), "pulse.db.lock") {
		t.Errorf("the error names neither holder nor lock: %v", err)
	}
	insert(t, first, note{ID: "a", Key: "a"})
	closeNow(t, first)
	insert(t, openEmbedded(t, path, notesSchema(), embedded.Options{}), note{ID: "b", Key: "b"})
}

func TestAnotherProcessIsExcludedUntilTheHolderIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	e := openEmbedded(t, path, notesSchema(), embedded.Options{})
	insert(t, e, note{ID: "counter", Key: "counter"})
	closeNow(t, e)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), crashPath+"="+path, crashPath+"_ROUND=0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the holder printed nothing")
	}
	_, err = embedded.Open(t.Context(), path, notesSchema(), embedded.Options{})
	if !models.HasCode(err, "database_in_use") || !strings.Contains(err.Error(), fmt.Sprint(cmd.Process.Pid)) {
		t.Errorf("while process %d holds the database, open answers %v; want database_in_use naming it", cmd.Process.Pid, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	_ = cmd.Wait()
	openEmbedded(t, path, notesSchema(), embedded.Options{})
}

func TestCloseFinishesWaitingWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	e := openEmbedded(t, path, notesSchema(), embedded.Options{})
	outcomes := make([]error, 200)
	started := make(chan struct{}, len(outcomes))
	var writers sync.WaitGroup
	for i := range outcomes {
		writers.Go(func() {
			started <- struct{}{}
			outcomes[i] = e.Insert(t.Context(), "notes", note{ID: fmt.Sprint(i), Key: fmt.Sprint(i)})
		})
	}
	for range cap(started) / 2 {
		<-started
	}
	closeNow(t, e)
	writers.Wait()
	if _, err := os.Stat(path + "-wal"); !os.IsNotExist(err) {
		t.Errorf("the log is still there after Close: %v", err)
	}
	again := openEmbedded(t, path, notesSchema(), embedded.Options{})
	for i, err := range outcomes {
		var got note
		found := again.FindOne(t.Context(), "notes", engine.Query{Filter: bson.D{{Key: "_id", Value: fmt.Sprint(i)}}}, &got)
		switch {
		case err == nil && found != nil:
			t.Errorf("%d was acknowledged and is gone: %v", i, found)
		case err != nil && !models.IsKind(err, models.KindUnavailable):
			t.Errorf("%d answers %v; want unavailable", i, err)
		case err != nil && !models.IsKind(found, models.KindNotFound):
			t.Errorf("%d was refused by a closed engine and is there", i)
		}
	}
}

func TestCloseReturnsWhenItsContextEnds(t *testing.T) {
	e := openEmbedded(t, filepath.Join(t.TempDir(), "pulse.db"), notesSchema(), embedded.Options{})
	for n := range 200 {
		insert(t, e, note{ID: fmt.Sprint(n), Key: fmt.Sprint(n), Text: strings.Repeat("x", 10_000)})
	}
	reading, leave := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		first := true
		done <- e.Find(t.Context(), "notes", engine.Query{Limit: 200}, func(bson.Raw) error {
			if first {
				close(reading)
				<-leave
				first = false
			}
			return nil
		})
	}()
	<-reading
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := e.Close(ctx); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("Close during a long list answers %v; want unavailable at its deadline", err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Errorf("the list that was under way failed: %v", err)
	}
	closeNow(t, e)
}

func insert(t *testing.T, e engine.Engine, doc any) {
	t.Helper()
	if err := e.Insert(t.Context(), "notes", doc); err != nil {
		t.Fatal(err)
	}
}

func closeNow(t *testing.T, e engine.Engine) {
	t.Helper()
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
