package mongo

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// mongoLog collects log lines and announces each.
type mongoLog struct {
	mu    sync.Mutex
	lines []string
	wrote func(n int)
}

func (l *mongoLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.lines = append(l.lines, string(bytes.TrimSpace(p)))
	n := len(l.lines)
	l.mu.Unlock()
	if l.wrote != nil {
		l.wrote(n)
	}
	return len(p), nil
}

// scramServer refuses all credentials.
func scramServer(t *testing.T) *wireServer {
	return newWireServer(t, func(command bson.Raw) any {
		if strings.HasPrefix(commandName(command), "sasl") {
			return wireFailure(18, "Authentication failed.")
		}
		return nil
	})
}

func TestOpenRetriesUntilTheDatabaseAnswers(t *testing.T) {
	s := newWireServer(t, nil)
	s.away.Store(true)
	logs := &mongoLog{wrote: func(n int) {
		if n == 4 {
			s.away.Store(false)
		}
	}}
	m, err := Open(t.Context(), s.uri("serverSelectionTimeoutMS=50&appName=x"), "pulse_test", testSchema(),
		Options{Log: zerolog.New(logs), FirstWait: time.Millisecond, LongestWait: 3 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if len(logs.lines) != 5 {
		t.Fatalf("log lines %q, want one for each of four tries and one at the end", logs.lines)
	}
	for i, line := range logs.lines[:4] {
		var entry struct {
			Level, Message, Error string
			Try                   int
			NextTryIn             float64 `json:"next_try_in"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if entry.Level != "warn" || entry.Try != i+1 || !strings.Contains(entry.Message, "retrying") ||
			!strings.Contains(entry.Error, s.listener.Addr().String()) || entry.NextTryIn != []float64{1, 2, 3, 3}[i] {
			t.Errorf("try %d was logged as %s", i+1, line)
		}
	}
}

func TestRetryingEndsWithTheContext(t *testing.T) {
	s := newWireServer(t, nil)
	s.away.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	logs := &mongoLog{wrote: func(int) { cancel() }}
	_, err := Open(ctx, s.uri("serverSelectionTimeoutMS=20"), "pulse_test", testSchema(),
		Options{Log: zerolog.New(logs), FirstWait: time.Hour})
	if !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("%v, want unavailable", err)
	}
}

func TestErrorsThatARetryCannotFixAreReturnedAtOnce(t *testing.T) {
	s := scramServer(t)
	address := s.listener.Addr().String()
	undeclared := []engine.Collection{{Name: "people", Indexes: []engine.Index{{Keys: []string{"nobody"}}}}}
	for name, c := range map[string]struct {
		uri, db string
		schema  []engine.Collection
		want    string
	}{
		"refused credentials": {"mongodb://u:" + mongoPassword + "@" + address + "/?authMechanism=SCRAM-SHA-256", "pulse_test", testSchema(), "refused the user name"},
		"invalid URI":         {"mongodb://u:" + mongoPassword + "@" + address + "/?maxPoolSize=x", "pulse_test", testSchema(), "maxPoolSize"},
		"invalid name":        {"mongodb://" + address, "a/b", testSchema(), `"a/b"`},
		"no name":             {"mongodb://" + address, "", testSchema(), `""`},
		"invalid schema":      {"mongodb://" + address, "pulse_test", undeclared, "nobody"},
	} {
		logs := &mongoLog{}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := Open(ctx, c.uri, c.db, c.schema, Options{Log: zerolog.New(logs), FirstWait: time.Hour})
		cancel()
		kind := models.KindMisconfigured
		if name == "invalid schema" {
			kind = models.KindInternal // a bug in Pulse
		}
		if !models.IsKind(err, kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s with %q", name, err, kind, c.want)
		}
		if strings.Contains(err.Error(), "our side") != (kind == models.KindInternal) {
			t.Errorf("%s: the operator reads %v", name, err)
		}
		if strings.Contains(err.Error(), mongoPassword) || len(logs.lines) > 0 {
			t.Errorf("%s: error %v, log %q", name, err, logs.lines)
		}
	}
}

func TestNoLogLineContainsThePassword(t *testing.T) {
	s := newWireServer(t, nil)
	s.away.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	logs := &mongoLog{wrote: func(n int) {
		if n == 3 {
			cancel()
		}
	}}
	uri := "mongodb://u:" + mongoPassword + "@" + s.listener.Addr().String() + "/?serverSelectionTimeoutMS=20"
	_, err := Open(ctx, uri, "pulse_test", testSchema(), Options{Log: zerolog.New(logs), FirstWait: time.Millisecond})
	if text := strings.Join(logs.lines, "\n") + err.Error(); strings.Contains(text, mongoPassword) || len(logs.lines) < 3 {
		t.Errorf("log and error: %s", text)
	}
}

func TestASilentServerIsUnavailableWithinTheOperationTimeout(t *testing.T) {
	s := newWireServer(t, func(bson.Raw) any { return errSilence })
	m := openWire(t, s, "timeoutMS=100")
	far, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	id := bson.D{{Key: "_id", Value: "x"}}
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "age", Value: 1}}}}
	var out bson.M
	operations := map[string]func(context.Context) error{
		"insert": func(ctx context.Context) error { return m.Insert(ctx, "people", id) },
		"insert many": func(ctx context.Context) error {
			_, err := m.InsertMany(ctx, "people", []any{id})
			return err
		},
		"find one": func(ctx context.Context) error { return m.FindOne(ctx, "people", engine.Query{Filter: id}, &out) },
		"find": func(ctx context.Context) error {
			return m.Find(ctx, "people", engine.Query{Limit: 1}, func(bson.Raw) error { return nil })
		},
		"update": func(ctx context.Context) error {
			_, err := m.Update(ctx, "people", id, set, engine.UpdateOptions{})
			return err
		},
		"find one and update": func(ctx context.Context) error {
			return m.FindOneAndUpdate(ctx, "people", id, set, engine.FindAndUpdateOptions{}, &out)
		},
		"delete": func(ctx context.Context) error {
			_, err := m.Delete(ctx, "people", id, 0)
			return err
		},
		"count": func(ctx context.Context) error {
			_, err := m.Count(ctx, "people", id, 0)
			return err
		},
		"sum": func(ctx context.Context) error {
			_, err := m.Sum(ctx, "people", id, "age")
			return err
		},
		"ensure schema": func(ctx context.Context) error {
			_, err := m.EnsureSchema(ctx)
			return err
		},
	}
	for name, do := range operations {
		began := time.Now()
		err := do(far)
		if took := time.Since(began); !models.IsKind(err, models.KindUnavailable) || took > 3*time.Second {
			t.Errorf("%s: %v after %s, want unavailable at once", name, err, took)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, do := range operations {
		if err := do(cancelled); !models.IsKind(err, models.KindUnavailable) {
			t.Errorf("%s, cancelled: %v, want unavailable", name, err)
		}
	}
}

func TestCloseIsBoundedWhileTheDatabaseDoesNotAnswer(t *testing.T) {
	s := newWireServer(t, nil)
	m, err := Open(t.Context(), s.uri("timeoutMS=100"), "pulse_test", testSchema(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	// A session that the driver ends with a command.
	if err := m.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.mute.Store(true)
	began := time.Now()
	if err := m.Close(t.Context()); err != nil || time.Since(began) > 3*time.Second {
		t.Errorf("closed after %s: %v", time.Since(began), err)
	}
	if err := m.Ping(t.Context()); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("ping afterwards: %v, want unavailable", err)
	}
}

func TestEveryOperationAfterCloseIsUnavailable(t *testing.T) {
	m, err := Open(t.Context(), newWireServer(t, nil).uri(""), "pulse_test", testSchema(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Ping(t.Context()); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("ping: %v, want unavailable", err)
	}
	if err := m.Insert(t.Context(), "people", bson.D{{Key: "_id", Value: "x"}}); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("insert: %v, want unavailable", err)
	}
}
