package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/embedded"
	"pulse-control-plane/database/engine"
)

// Server is a running server.
type Server struct {
	// URI is for the MongoDB driver.
	URI string
	// Engine is what is behind it.
	Engine *embedded.Engine

	listener net.Listener
	declared engine.Declarations

	mu sync.Mutex
	// indexes are what listIndexes answers, by collection.
	indexes map[string][]bson.Raw
}

// Start serves an empty database on a free port of 127.0.0.1 until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	e, err := embedded.Open(t.Context(), filepath.Join(t.TempDir(), "wire.db"), database.Schema(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	declared, err := engine.Declare(database.Schema())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Engine: e, listener: listener, declared: declared, indexes: map[string][]bson.Raw{},
		URI: "mongodb://" + listener.Addr().String() + "/?replicaSet=rs0"}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { _ = e.Run(ctx) })
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				ended := context.AfterFunc(ctx, func() { _ = conn.Close() })
				defer ended()
				defer conn.Close()
				_ = s.serve(ctx, conn) // a client hangs up when it is done
			})
		}
	})
	t.Cleanup(func() {
		stop()
		_ = listener.Close()
		serving.Wait()
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Operations of the protocol (mongodb.com/docs/manual/reference/mongodb-wire-protocol).
const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
	// maxMessage is MongoDB's.
	maxMessage = 48_000_000
)

func (s *Server) serve(ctx context.Context, conn net.Conn) error {
	for {
		var header [16]byte // length, request id, response to, operation
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return err
		}
		size := int64(binary.LittleEndian.Uint32(header[:])) - int64(len(header))
		if size < 0 || size > maxMessage {
			return fmt.Errorf("a message of %d bytes", size)
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(conn, body); err != nil {
			return err
		}
		op := binary.LittleEndian.Uint32(header[12:])
		command, err := parse(op, body)
		if err != nil {
			return err
		}
		answer, err := bson.Marshal(s.answer(ctx, command))
		if err != nil {
			return err
		}
		prefix := make([]byte, 5) // OP_MSG: no flags, section 0
		if op == opQuery {
			prefix = append(make([]byte, 16), 1, 0, 0, 0) // no flags, no cursor, from 0, one document
			op = opReply
		}
		message := binary.LittleEndian.AppendUint32(nil, uint32(len(header)+len(prefix)+len(answer)))
		message = append(binary.LittleEndian.AppendUint32(message, 0), header[4:8]...)
		message = binary.LittleEndian.AppendUint32(message, op)
		if _, err := conn.Write(append(append(message, prefix...), answer...)); err != nil {
			return err
		}
	}
}

// command is a parsed command: its document, and the documents that came beside it.
type command struct {
	bson.Raw
	name string
	// lists are sequences of documents, by name.
	lists map[string][]bson.Raw
}

var errMessage = errors.New("a malformed message")

func parse(op uint32, body []byte) (c command, err error) {
	defer func() {
		if recover() != nil {
			err = errMessage
		}
	}()
	c.lists = map[string][]bson.Raw{}
	switch op {
	case opQuery: // flags, "admin.$cmd\0", skip, return, document
		rest := body[4:]
		for rest[0] != 0 {
			rest = rest[1:]
		}
		c.Raw = bson.Raw(rest[9:])
	case opMsg:
		for rest := body[4:]; len(rest) > 0; {
			kind := rest[0]
			size := binary.LittleEndian.Uint32(rest[1:])
			section := rest[1 : 1+size]
			rest = rest[1+size:]
			if kind == 0 {
				c.Raw = bson.Raw(section)
				continue
			}
			section = section[4:] // size, name, documents
			end := 0
			for section[end] != 0 {
				end++
			}
			name := string(section[:end])
			for section = section[end+1:]; len(section) > 0; {
				size := binary.LittleEndian.Uint32(section)
				c.lists[name] = append(c.lists[name], bson.Raw(section[:size]))
				section = section[size:]
			}
		}
	default:
		return c, errMessage
	}
	first, err := c.Raw.IndexErr(0)
	if err != nil {
		return c, err
	}
	c.name = first.Key()
	return c, nil
}

// list is a list of documents, inside the command or beside it.
func (c command) list(name string) []bson.Raw {
	if docs, ok := c.lists[name]; ok {
		return docs
	}
	array, ok := c.Lookup(name).ArrayOK()
	if !ok {
		return nil
	}
	values, err := array.Values()
	if err != nil {
		return nil
	}
	var docs []bson.Raw
	for _, v := range values {
		if doc, ok := v.DocumentOK(); ok {
			docs = append(docs, doc)
		}
	}
	return docs
}

// collection is the collection that a command is about.
func (c command) collection() string {
	name, _ := c.Lookup(c.name).StringValueOK()
	return name
}

// ordered is a document as the engine takes it.
func ordered(v bson.RawValue) bson.D {
	doc := bson.D{}
	if raw, ok := v.DocumentOK(); ok {
		_ = bson.Unmarshal(raw, &doc)
	}
	return doc
}
