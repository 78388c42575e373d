package ferret_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/engine"
	"pulse-control-plane/database/mongo"
	"pulse-control-plane/e2e/ferret"
	"pulse-control-plane/e2e/harness"
	"pulse-control-plane/models"
)

const (
	// answerWithin is the deadline of an operation while the database is down.
	answerWithin = 5 * time.Second
	// recoverWithin is the time until operations must succeed after the database is back.
	recoverWithin = 20 * time.Second
)

// line is a TCP relay to a server that a test can cut.
type line struct {
	to string
	l  net.Listener

	mu    sync.Mutex
	state lineState
	// changed is closed when the state changes.
	changed chan struct{}
}

type lineState int

const (
	open   lineState = iota
	cut              // connections are closed
	silent           // no bytes pass, connections remain open
)

// newLine starts a relay to the host of a URI and returns the URI that uses it.
func newLine(t *testing.T, uri string) (*line, string) {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &line{to: u.Host, l: l, changed: make(chan struct{})}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.carry(t.Context(), conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

// become changes the state for open and new connections.
func (p *line) become(s lineState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *line) now() (lineState, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state, p.changed
}

// carry copies bytes both ways until either side or the line closes.
func (p *line) carry(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var passing sync.WaitGroup
	for _, way := range [2]struct{ from, to net.Conn }{{client, server}, {server, client}} {
		passing.Go(func() {
			defer cancel()
			_ = p.pass(ctx, way.from, way.to)
		})
	}
	passing.Go(func() {
		for {
			state, changed := p.now()
			if state == cut {
				cancel()
			}
			select {
			case <-ctx.Done(): // ends pending reads
				_ = client.Close()
				_ = server.Close()
				return
			case <-changed:
			}
		}
	})
	passing.Wait()
}

// pass copies bytes, except while the line is silent.
func (p *line) pass(ctx context.Context, from io.Reader, to io.Writer) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return err
		}
		for {
			state, changed := p.now()
			if state != silent {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-changed:
			}
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return err
		}
	}
}

func key(id string) bson.D {
	return bson.D{{Key: "_id", Value: id}, {Key: "key", Value: "public " + id}, {Key: "project_id", Value: "prj_1"}}
}

func TestADatabaseOutageIsReportedSoonAndEndsWhenTheDatabaseReturns(t *testing.T) {
	server := ferret.Start(t) // only one: starting it writes a package variable
	for name, state := range map[string]lineState{"hangs_up": cut, "falls_silent": silent} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // mostly waiting
			p, uri := newLine(t, server.URI)
			engine, err := mongo.Open(t.Context(), uri, "pulse_"+name, ferretSchema(database.Schema()), mongo.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
				defer cancel()
				if err := engine.Close(ctx); err != nil {
					t.Error(err)
				}
			})
			if differences, err := engine.EnsureSchema(t.Context()); err != nil || len(differences) > 0 {
				t.Fatalf("schema: %v, differences %+v", err, differences)
			}
			if err := engine.Insert(t.Context(), "api_keys", key("before")); err != nil {
				t.Fatal(err)
			}

			p.become(state)
			for name, err := range map[string]error{
				"ping": soon(t, func() error { return engine.Ping(t.Context()) }),
				"read": soon(t, func() error { return find(t, engine, "before") }),
				"write": soon(t, func() error {
					return engine.Insert(t.Context(), "api_keys", key("meanwhile"))
				}),
			} {
				if !models.IsKind(err, models.KindUnavailable) {
					t.Errorf("%s: %v, want unavailable", name, err)
				}
			}

			p.become(open)
			harness.Eventually(t, recoverWithin, "the database to serve again", func() error { return engine.Ping(t.Context()) })
			if err := find(t, engine, "before"); err != nil {
				t.Errorf("read a document stored before: %v", err)
			}
			if err := engine.Insert(t.Context(), "api_keys", key("after")); err != nil {
				t.Errorf("a write afterwards: %v", err)
			}
		})
	}
}

// soon fails the test if an operation exceeds answerWithin.
func soon(t *testing.T, do func() error) error {
	t.Helper()
	began := time.Now()
	err := do()
	if took := time.Since(began); took > answerWithin {
		t.Errorf("answered after %s, want %s: %v", took, answerWithin, err)
	}
	return err
}

// find reads an API key back.
func find(t *testing.T, engine engine.Engine, id string) error {
	t.Helper()
	var found struct {
		Key string `bson:"key"`
	}
	err := engine.FindOne(t.Context(), "api_keys", database.Query{Filter: bson.D{{Key: "_id", Value: id}}}, &found)
	if err == nil && found.Key != "public "+id {
		return fmt.Errorf("found key %q", found.Key)
	}
	return err
}
