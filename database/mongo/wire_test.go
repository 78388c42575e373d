package mongo

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

// wireServer implements enough of MongoDB's wire protocol for the driver to
// accept it as the primary of a replica set: OP_MSG, and OP_QUERY for the first
// hello (mongodb.com/docs/manual/reference/mongodb-wire-protocol). The test
// decides the response to a command, so it can produce responses that no other
// test server gives: a primary that steps down, a duplicate during an upsert, a
// refused TTL index.
type wireServer struct {
	listener net.Listener
	// away makes it close every connection, as a proxy without a backend does.
	away atomic.Bool
	// mute makes it answer nothing, as a frozen host does.
	mute   atomic.Bool
	answer func(command bson.Raw) any

	mu    sync.Mutex
	asked []bson.Raw
}

// Special responses to commands.
var (
	// errHangUp closes the connection.
	errHangUp = errors.New("hang up")
	// errSilence never answers.
	errSilence = errors.New("errSilence")
)

// newWireServer serves until the test ends. answer receives every command
// except handshake and ping; nil means {ok: 1}.
func newWireServer(t *testing.T, answer func(command bson.Raw) any) *wireServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &wireServer{listener: listener, answer: answer}
	ended := make(chan struct{})
	var serving sync.WaitGroup
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				stop := context.AfterFunc(t.Context(), func() { _ = conn.Close() })
				defer stop()
				defer func() { _ = conn.Close() }()
				_ = s.serve(t.Context(), conn) // the driver hangs up when it is done
			})
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
		serving.Wait()
	})
	return s
}

// uri returns the server's URI with options.
func (s *wireServer) uri(query string) string {
	return "mongodb://" + s.listener.Addr().String() + "/?" + query
}

// commands returns the received commands with a name, such as "insert".
func (s *wireServer) commands(name string) []bson.Raw {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []bson.Raw
	for _, c := range s.asked {
		if commandName(c) == name {
			found = append(found, c)
		}
	}
	return found
}

func commandName(command bson.Raw) string {
	first, err := command.IndexErr(0)
	if err != nil {
		return ""
	}
	return first.Key()
}

const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

func (s *wireServer) serve(ctx context.Context, conn net.Conn) error {
	for {
		var header [16]byte // length, request id, response to, operation
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return err
		}
		body := make([]byte, binary.LittleEndian.Uint32(header[:])-uint32(len(header)))
		if _, err := io.ReadFull(conn, body); err != nil {
			return err
		}
		if s.away.Load() {
			return errHangUp
		}
		op := binary.LittleEndian.Uint32(header[12:])
		answer, err := s.reply(readCommand(op, body))
		if errors.Is(err, errSilence) || s.mute.Load() {
			<-ctx.Done()
		}
		if err != nil {
			return err
		}
		prefix := append(make([]byte, 4), 0) // OP_MSG: no flags, section 0
		if op == opQuery {
			prefix = append(make([]byte, 16), 1, 0, 0, 0) // no flags, no cursor, from 0, one document
			op = opReply
		}
		message := binary.LittleEndian.AppendUint32(nil, uint32(len(header)+len(prefix)+len(answer)))
		message = binary.LittleEndian.AppendUint32(message, 0)
		message = append(message, header[4:8]...)
		message = binary.LittleEndian.AppendUint32(message, op)
		message = append(append(message, prefix...), answer...)
		if _, err := conn.Write(message); err != nil {
			return err
		}
	}
}

// readCommand joins the sections of a message into one document.
func readCommand(op uint32, body []byte) bson.Raw {
	if op == opQuery { // flags, "admin.$cmd\0", skip, return, document
		rest := body[4:]
		for rest[0] != 0 {
			rest = rest[1:]
		}
		return bson.Raw(rest[9:])
	}
	var command bson.D
	for rest := body[4:]; len(rest) > 0; {
		kind := rest[0]
		rest = rest[1:]
		size := binary.LittleEndian.Uint32(rest)
		section := rest[:size]
		rest = rest[size:]
		if kind == 0 {
			if err := bson.Unmarshal(section, &command); err != nil {
				return nil
			}
			continue
		}
		section = section[4:] // kind 1: size, name, documents
		var name string
		for i, b := range section {
			if b == 0 {
				name, section = string(section[:i]), section[i+1:]
				break
			}
		}
		var list bson.A
		for len(section) > 0 {
			size := binary.LittleEndian.Uint32(section)
			list = append(list, bson.Raw(section[:size]))
			section = section[size:]
		}
		command = append(command, bson.E{Key: name, Value: list})
	}
	raw, err := bson.Marshal(command)
	if err != nil {
		return nil
	}
	return raw
}

// reply returns the response to a command.
func (s *wireServer) reply(command bson.Raw) (bson.Raw, error) {
	var answer any
	switch commandName(command) {
	case "hello", "isMaster", "ismaster":
		me := s.listener.Addr().String()
		answer = bson.D{
			{Key: "ok", Value: 1}, {Key: "helloOk", Value: true},
			{Key: "isWritablePrimary", Value: true}, {Key: "ismaster", Value: true},
			{Key: "setName", Value: "rs0"}, {Key: "hosts", Value: bson.A{me}},
			{Key: "primary", Value: me}, {Key: "me", Value: me},
			{Key: "maxBsonObjectSize", Value: int32(16 << 20)}, {Key: "maxMessageSizeBytes", Value: int32(48000000)},
			{Key: "maxWriteBatchSize", Value: int32(100000)}, {Key: "logicalSessionTimeoutMinutes", Value: int32(30)},
			{Key: "minWireVersion", Value: int32(0)}, {Key: "maxWireVersion", Value: int32(21)},
			{Key: "saslSupportedMechs", Value: bson.A{"SCRAM-SHA-256"}},
		}
	case "ping", "endSessions":
	default:
		s.mu.Lock()
		s.asked = append(s.asked, command)
		s.mu.Unlock()
		if s.answer != nil {
			answer = s.answer(command)
		}
	}
	switch a := answer.(type) {
	case nil:
		answer = bson.D{{Key: "ok", Value: 1}}
	case error:
		return nil, a
	}
	return bson.Marshal(answer)
}

// wireCursor is the response of find, aggregate and listIndexes.
func wireCursor(id int64, docs ...bson.D) bson.D {
	batch := make(bson.A, len(docs))
	for i, d := range docs {
		batch[i] = d
	}
	return bson.D{{Key: "ok", Value: 1}, {Key: "cursor", Value: bson.D{
		{Key: "id", Value: id}, {Key: "ns", Value: "pulse_test.people"}, {Key: "firstBatch", Value: batch},
	}}}
}

// wireFailure is the response of a failed command.
func wireFailure(code int32, message string) bson.D {
	return bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: message}}
}

// wireDuplicate is the response of a write with a duplicate key.
func wireDuplicate(index int, message string) bson.D {
	return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 0}, {Key: "writeErrors", Value: bson.A{bson.D{
		{Key: "index", Value: int32(index)}, {Key: "code", Value: int32(11000)}, {Key: "errmsg", Value: message},
	}}}}
}

// testSchema is a collection with an index of every type.
func testSchema() []engine.Collection {
	day := 24 * time.Hour
	return []engine.Collection{{
		Name: "people",
		Fields: []engine.Field{
			{Name: "email", Kind: engine.String}, {Name: "nick", Kind: engine.String}, {Name: "org_id", Kind: engine.String}, {Name: "age", Kind: engine.Int}, {Name: "born", Kind: engine.Time}, {Name: "seen", Kind: engine.Time}, {Name: "address.city", Kind: engine.String},
		},
		Indexes: []engine.Index{
			{Keys: []string{"email"}, Unique: true, ConflictCode: "email_taken"},
			{Keys: []string{"nick"}, Unique: true, Partial: true},
			{Keys: []string{"org_id", "-born"}},
			{Keys: []string{"seen"}, ExpireAfter: &day},
		},
	}}
}

// openWire opens the engine on a wire server.
func openWire(t *testing.T, s *wireServer, query string) *Engine {
	t.Helper()
	m, err := Open(t.Context(), s.uri(query), "pulse_test", testSchema(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := m.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return m
}
