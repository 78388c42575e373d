package mongowire

import (
	"context"
	"errors"
	"maps"
	"net"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Fault is what happens to one command.
type Fault int

// The faults of a command. Codes 189 and 10107 are those of the server's error_codes.yml; with both the driver looks for
// the primary again.
const (
	// None executes it.
	None Fault = iota
	// SteppedDown answers PrimarySteppedDown (189) and does not execute it.
	SteppedDown
	// NotPrimary answers NotWritablePrimary (10107) and does not execute it.
	NotPrimary
	// HangUpBefore closes the connection and does not execute it.
	HangUpBefore
	// HangUpAfter executes it and closes the connection without an answer.
	HangUpAfter
	// Expired answers MaxTimeMSExpired (50) and does not execute it; ExpiredAfter executes it first, as when the majority was
	// not reached in time. The driver does not repeat such a command and keeps its connection.
	Expired
	ExpiredAfter
	// Silent does not execute it and never answers.
	Silent
)

// Command is one command of a process.
type Command struct {
	// Name is "insert", "find", …; Collection is "" where it has none.
	Name, Collection string
}

// Writes tells whether it is a write.
func (c Command) Writes() bool {
	switch c.Name {
	case "insert", "update", "delete", "findAndModify":
		return true
	}
	return false
}

// Line is how one process reaches the database. Its methods may be called from any goroutine.
type Line struct {
	// URI is for MONGO_URI.
	URI string

	server  *Server
	address string

	mu      sync.Mutex
	latency time.Duration
	inject  func(Command) Fault
	// thawed is closed unless the line is frozen.
	thawed   chan struct{}
	frozen   bool
	conns    map[net.Conn]bool
	executed map[string]int64
}

// Latency delays every answer from now on.
func (l *Line) Latency(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency = d
}

// Inject has fault called for every command from now on, except the driver's own (hello, ping, endSessions); nil injects
// nothing. It is called on the connection's goroutine and may wait.
func (l *Line) Inject(fault func(Command) Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inject = fault
}

// Freeze stops the server as a frozen virtual machine stops: no command, not even hello, is executed or answered. Those that
// arrive meanwhile are executed when it is called with false, whether or not the client still waits.
func (l *Line) Freeze(frozen bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case frozen && !l.frozen:
		l.thawed = make(chan struct{})
	case !frozen && l.frozen:
		close(l.thawed)
	}
	l.frozen = frozen
}

// HangUp closes every connection.
func (l *Line) HangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		_ = conn.Close()
	}
}

// Executed is how many commands of each name and collection ("find users") were received since the line began, except the
// driver's own.
func (l *Line) Executed() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.executed)
}

var errHungUp = errors.New("hung up")

func (l *Line) serve(ctx context.Context, conn net.Conn) error {
	l.mu.Lock()
	l.conns[conn] = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, conn)
		_ = conn.Close()
	}()
	for {
		m, err := readMessage(conn)
		if err != nil {
			return err
		}
		l.mu.Lock()
		thawed := l.thawed
		l.mu.Unlock()
		select {
		case <-thawed:
		case <-ctx.Done():
			return ctx.Err()
		}
		answer, err := l.answer(ctx, m.command)
		if err != nil {
			return err
		}
		if err := writeReply(conn, m, answer); err != nil {
			return err
		}
	}
}

// answer executes a command with its fault.
func (l *Line) answer(ctx context.Context, command bson.D) (bson.Raw, error) {
	if len(command) == 0 {
		return nil, errMalformed
	}
	c := Command{Name: command[0].Key}
	c.Collection, _ = command[0].Value.(string)
	switch c.Name {
	case "hello", "isMaster", "ismaster":
		return encode(l.hello())
	case "ping", "endSessions":
		return encode(bson.D{{Key: "ok", Value: 1}})
	}
	l.mu.Lock()
	inject, latency := l.inject, l.latency
	l.executed[c.Name+" "+c.Collection]++
	l.mu.Unlock()
	fault := None
	if inject != nil {
		fault = inject(c)
	}
	switch fault {
	case SteppedDown:
		return encode(failed(189, "the primary stepped down"))
	case NotPrimary:
		return encode(failed(10107, "not primary"))
	case HangUpBefore:
		return nil, errHungUp
	case Expired:
		return encode(failed(50, "operation exceeded time limit"))
	case Silent:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	began := time.Now()
	reply, err := l.server.execute(ctx, command)
	if err != nil {
		return nil, err
	}
	switch fault {
	case HangUpAfter:
		return nil, errHungUp
	case ExpiredAfter:
		return encode(failed(50, "operation exceeded time limit"))
	}
	if wait := latency - time.Since(began); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return reply, nil
}

// hello is the answer of the primary of a replica set with one member.
func (l *Line) hello() bson.D {
	return bson.D{
		{Key: "ok", Value: 1}, {Key: "helloOk", Value: true},
		{Key: "isWritablePrimary", Value: true}, {Key: "ismaster", Value: true},
		{Key: "setName", Value: "rs0"}, {Key: "hosts", Value: bson.A{l.address}},
		{Key: "primary", Value: l.address}, {Key: "me", Value: l.address},
		{Key: "maxBsonObjectSize", Value: int32(16 << 20)}, {Key: "maxMessageSizeBytes", Value: int32(messageLimit)},
		{Key: "maxWriteBatchSize", Value: int32(100000)}, {Key: "logicalSessionTimeoutMinutes", Value: int32(30)},
		{Key: "minWireVersion", Value: int32(0)}, {Key: "maxWireVersion", Value: int32(21)},
	}
}
