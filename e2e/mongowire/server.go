package mongowire

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/embedded"
	"pulse-control-plane/database/engine"
)

// closeTimeout bounds closing the database at the end of a test.
const closeTimeout = 10 * time.Second

// sweepEvery is how often expired documents are deleted; MongoDB does so once a minute.
const sweepEvery = 10 * time.Second

// Server is one database, served on any number of lines.
type Server struct {
	engine *embedded.Engine
	schema []engine.Collection

	// structural is held while collections change, and shared by other commands.
	structural sync.RWMutex

	mu sync.Mutex
	// made are the collections there are, views those of another's documents, by name.
	made  map[string]bool
	views map[string]string
	// written are the replies to retryable writes, by session and transaction number. A test makes few enough to keep all.
	written map[[sha256.Size]byte]*reply
	cursors map[int64]*cursor
	next    int64
}

// reply is that of a retryable write, once done is closed.
type reply struct {
	done chan struct{}
	doc  bson.Raw
}

// Start opens an empty database of the product's schema in a temporary folder and closes it when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartWith(t, database.Schema())
}

// StartWith is Start with a schema.
func StartWith(t testing.TB, schema []engine.Collection) *Server {
	t.Helper()
	schema = physical(schema)
	e, err := embedded.Open(context.Background(), filepath.Join(t.TempDir(), "pulse.db"), schema, embedded.Options{SweepEvery: sweepEvery})
	if err != nil {
		t.Fatalf("open the embedded database: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var maintained sync.WaitGroup
	maintained.Go(func() { _ = e.Run(ctx) }) // returns with ctx
	t.Cleanup(func() {
		cancel()
		maintained.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Errorf("close the embedded database: %v", err)
		}
	})
	return &Server{engine: e, schema: schema, made: map[string]bool{}, views: map[string]string{}, written: map[[sha256.Size]byte]*reply{}, cursors: map[int64]*cursor{}}
}

// Engine is the database itself, for what a test wants to know of it.
func (s *Server) Engine() database.Engine { return s.engine }

// Line listens on loopback for one process until the test ends. To the process the server is the primary of a replica set
// with this one member.
func (s *Server) Line(t testing.TB) *Line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	l := &Line{URI: "mongodb://" + address + "/?replicaSet=rs0", server: s, address: address, thawed: make(chan struct{}), conns: map[net.Conn]bool{},
		executed: map[string]int64{}}
	close(l.thawed)
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
				defer stop()
				_ = l.serve(ctx, conn) // ends when either side hangs up
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		serving.Wait()
	})
	return l
}

// execute runs a command; a retryable write that was executed before gets its first reply.
func (s *Server) execute(ctx context.Context, command bson.D) (bson.Raw, error) {
	id, retryable := transaction(command)
	if !retryable {
		return encode(s.run(ctx, command))
	}
	s.mu.Lock()
	first, repeated := s.written[id]
	if !repeated {
		first = &reply{done: make(chan struct{})}
		s.written[id] = first
	}
	s.mu.Unlock()
	if repeated {
		select {
		case <-first.done:
			return first.doc, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	defer close(first.done)
	var err error
	first.doc, err = encode(s.run(ctx, command))
	return first.doc, err
}

// transaction identifies a retryable write: its session and its number in it.
func transaction(command bson.D) (id [sha256.Size]byte, retryable bool) {
	txn, numbered := field(command, "txnNumber").(int64)
	session, ok := field(sub(command, "lsid"), "id").(bson.Binary)
	if !numbered || !ok {
		return id, false
	}
	return sha256.Sum256(fmt.Appendf(session.Data, "|%d", txn)), true
}

func encode(doc bson.D) (bson.Raw, error) { return bson.Marshal(doc) }
