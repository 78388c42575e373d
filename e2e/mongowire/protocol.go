package mongowire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Operations of the protocol (mongodb.com/docs/manual/reference/mongodb-wire-protocol).
const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

const (
	headerSize = 16 // length, request id, response to, operation
	// messageLimit is maxMessageSizeBytes of the handshake.
	messageLimit = 48_000_000
)

var errMalformed = errors.New("malformed message")

// message is one request of a client.
type message struct {
	id      []byte
	op      uint32
	command bson.D
}

func readMessage(from io.Reader) (message, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(from, header[:]); err != nil {
		return message{}, err
	}
	size := binary.LittleEndian.Uint32(header[:])
	if size < headerSize+5 || size > messageLimit {
		return message{}, fmt.Errorf("%w of %d bytes", errMalformed, size)
	}
	body := make([]byte, size-headerSize)
	if _, err := io.ReadFull(from, body); err != nil {
		return message{}, err
	}
	m := message{id: header[4:8], op: binary.LittleEndian.Uint32(header[12:])}
	var err error
	if m.op == opQuery { // flags, "admin.$cmd\0", skip, return, document
		rest := body[4:]
		for len(rest) > 0 && rest[0] != 0 {
			rest = rest[1:]
		}
		if len(rest) < 9 {
			return message{}, errMalformed
		}
		err = bson.Unmarshal(rest[9:], &m.command)
	} else {
		m.command, err = readSections(body[4:])
	}
	return m, err
}

// readSections joins the sections of an OP_MSG into one command: a document, and lists of documents with a name.
func readSections(rest []byte) (bson.D, error) {
	var command bson.D
	for len(rest) > 0 {
		kind := rest[0]
		rest = rest[1:]
		if len(rest) < 4 {
			return nil, errMalformed
		}
		size := binary.LittleEndian.Uint32(rest)
		if uint64(size) > uint64(len(rest)) || size < 5 {
			return nil, errMalformed
		}
		section := rest[:size]
		rest = rest[size:]
		if kind == 0 {
			if err := bson.Unmarshal(section, &command); err != nil {
				return nil, err
			}
			continue
		}
		section = section[4:]
		var name string
		for i, b := range section {
			if b == 0 {
				name, section = string(section[:i]), section[i+1:]
				break
			}
		}
		var list bson.A
		for len(section) >= 4 {
			size := binary.LittleEndian.Uint32(section)
			if uint64(size) > uint64(len(section)) || size < 5 {
				return nil, errMalformed
			}
			list = append(list, bson.Raw(section[:size]))
			section = section[size:]
		}
		command = append(command, bson.E{Key: name, Value: list})
	}
	return command, nil
}

// writeReply answers a message with a document.
func writeReply(to io.Writer, m message, reply bson.Raw) error {
	prefix, op := make([]byte, 5), uint32(opMsg) // no flags, section 0
	if m.op == opQuery {
		prefix = append(make([]byte, 16), 1, 0, 0, 0) // no flags, no cursor, from 0, one document
		op = opReply
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(headerSize+len(prefix)+len(reply)))
	out = binary.LittleEndian.AppendUint32(out, 0)
	out = append(out, m.id...)
	out = binary.LittleEndian.AppendUint32(out, op)
	out = append(append(out, prefix...), reply...)
	_, err := to.Write(out)
	return err
}

// field returns the value of a key, nil if it is absent.
func field(d bson.D, key string) any {
	for _, e := range d {
		if e.Key == key {
			return e.Value
		}
	}
	return nil
}

// sub returns a document in a command; nil if it is absent.
func sub(d bson.D, key string) bson.D {
	switch v := field(d, key).(type) {
	case bson.D:
		return v
	case bson.Raw:
		var out bson.D
		if bson.Unmarshal(v, &out) == nil {
			return out
		}
	}
	return nil
}

func number(d bson.D, key string) int64 {
	switch v := field(d, key).(type) {
	case int32:
		return int64(v)
	case int64:
		return v
	case float64:
		return int64(v)
	}
	return 0
}

func flag(d bson.D, key string) bool {
	on, _ := field(d, key).(bool)
	return on
}

// documents returns the documents of a list in a command.
func documents(d bson.D, key string) ([]bson.D, error) {
	list, _ := field(d, key).(bson.A)
	out := make([]bson.D, 0, len(list))
	for _, item := range list {
		switch v := item.(type) {
		case bson.D:
			out = append(out, v)
		case bson.Raw:
			var doc bson.D
			if err := bson.Unmarshal(v, &doc); err != nil {
				return nil, err
			}
			out = append(out, doc)
		default:
			return nil, errMalformed
		}
	}
	return out, nil
}
