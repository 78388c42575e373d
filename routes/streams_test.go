package routes_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/services/events"
	"pulse-control-plane/utils/httpserver"
)

// listening serves a server as the binary does, until the test ends.
func (s *server) listening() (address string) {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	serving := httpserver.New(s.handler)
	go func() { _ = serving.Serve(l) }()
	s.t.Cleanup(func() {
		s.Events.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), 10*time.Second)
		defer cancel()
		if err := serving.Shutdown(ctx); err != nil {
			s.t.Error(err)
		}
	})
	return l.Addr().String()
}

// tailing runs the tail of a process until the test ends.
func (s *server) tailing() {
	ctx, stop := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			if n, err := s.EventTail.Pass(ctx); err != nil || n == 0 {
				select {
				case <-ctx.Done():
				case <-time.After(5 * time.Millisecond):
				}
			}
		}
	})
	s.t.Cleanup(func() { stop(); running.Wait() })
}

// connected opens a stream over a connection of its own and reads it up to the
// first comment. It reads byte by byte, so that it costs the test nothing else.
func connected(t testing.TB, address string, how with, last string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r, err := http.NewRequest(http.MethodGet, "http://"+address+"/v1/events/stream", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	how(r)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte(": connected\n\n")); head = append(head, one...) {
		if _, err := conn.Read(one); err != nil || len(head) > 8<<10 {
			t.Fatalf("%q (%v)", head, err)
		}
	}
	return conn
}

// told reads the ids of up to n events.
func told(conn net.Conn, n int) (ids []string, err error) {
	if err := conn.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, make([]byte, 2)); err != nil { // what ends the chunk of the comment
		return nil, err
	}
	lines := bufio.NewReader(httputil.NewChunkedReader(bufio.NewReader(conn)))
	for len(ids) < n {
		line, err := lines.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return ids, err
		}
		if id, ok := bytes.CutPrefix(line, []byte("id: ")); ok {
			ids = append(ids, string(bytes.TrimSpace(id)))
		}
	}
	return ids, nil
}

func inUse() uint64 {
	var m runtime.MemStats
	for range 3 { // stacks shrink by half each time
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// happened stores n events of a tenant, with data of some size, and gives their ids.
func (s *server) happened(t tenant, name string, n, size int) (ids []string) {
	s.t.Helper()
	data := fmt.Sprintf(`{"room_name":"hall","room_sid":"RM_1","metadata":%q,"created_at":null,"reconciled":false}`, strings.Repeat("m", size))
	for from := 0; from < n; from += 50 {
		var batch []models.Event
		for i := from; i < min(n, from+50); i++ {
			batch = append(batch, models.Event{ID: fmt.Sprintf("evt_%s_%d", name, i), Type: events.RoomStarted, OrgID: models.OrganizationID(t.org),
				ProjectID: models.ProjectID(t.project), At: s.clock.Now(), Data: data})
			ids = append(ids, batch[len(batch)-1].ID)
		}
		if err := s.EventLog.Append(s.t.Context(), batch); err != nil {
			s.t.Fatal(err)
		}
	}
	return ids
}

// TestAThousandReadersOfTwoReplicasMissNothingWhileOthersStall has 990 readers of one
// project on two processes, of which every tenth disconnects on the way and
// resumes on the other process, beside ten that never read what floods them.
func TestAThousandReadersOfTwoReplicasMissNothingWhileOthersStall(t *testing.T) {
	if testing.Short() {
		t.Skip("opens a thousand connections")
	}
	const stalled, many, flood = 10, 300, 1500
	readers := 990
	if raceDetector {
		readers = 90 // a slow reader is dropped, and the race detector makes a thousand slow
	}
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	s.settle()
	second := s.another()
	second.settle()
	addresses := []string{s.listening(), second.listening()}
	connected(t, addresses[0], ada.asOwn, "").Close() // what the first one costs, it costs once

	before := inUse()
	conns := make([]net.Conn, readers)
	for i := range conns {
		conns[i] = connected(t, addresses[i%2], ada.asOwn, "")
	}
	for range stalled {
		connected(t, addresses[0], eve.asOwn, "")
	}
	idle := (inUse() - before) / uint64(readers+stalled)
	t.Logf("an idle reader costs %d bytes, the test's own end of its connection included", idle)
	if idle > 40<<10 && !raceDetector { // 28 KB on a quiet machine
		t.Errorf("an idle reader costs %d bytes", idle)
	}
	s.tailing()
	second.tailing()

	want := s.happened(ada, "ada", 1, 10)
	var reading sync.WaitGroup
	var dropped atomic.Int64
	got := make([][]string, readers)
	for i, conn := range conns {
		reading.Go(func() {
			all, upTo := 1+many, 1+many
			if i%10 == 0 {
				upTo = 1 + (i*7)%many
			}
			ids, err := told(conn, upTo)
			// A busy machine makes some readers slow, whom Pulse drops; they resume as clients do.
			for tries := 0; len(ids) < all && len(ids) > 0 && tries < 20; tries++ {
				conn.Close()
				if err != nil {
					dropped.Add(1)
				}
				conn = connected(t, addresses[(i+tries+1)%2], ada.asOwn, ids[len(ids)-1])
				var more []string
				more, err = told(conn, all-len(ids))
				ids = append(ids, more...)
			}
			if got[i] = ids; err != nil {
				t.Errorf("reader %d after %d events: %v", i, len(ids), err)
			}
		})
	}
	flooded := s.happened(eve, "eve", flood, 16<<10)
	want = append(want, s.happened(ada, "ada-more", many, 300)...)
	began := time.Now()
	reading.Wait()
	t.Logf("all told %v after the last event was stored; %d times a reader was dropped and resumed", time.Since(began), dropped.Load())
	for i := range got {
		if strings.Join(got[i], " ") != strings.Join(want, " ") {
			at := 0
			for at < min(len(got[i]), len(want)) && got[i][at] == want[at] {
				at++
			}
			t.Fatalf("reader %d was told %d events, not %d; from event %d on %v, not %v", i, len(got[i]), len(want), at,
				got[i][at:min(at+3, len(got[i]))], want[at:min(at+3, len(want))])
		}
	}
	// The flood is 24 MB: three times the window, which those who stall share.
	if used := inUse() - before; used > 120<<20 {
		t.Errorf("%d bytes in use while readers stall", used)
	} else {
		t.Logf("%d MB in use by all readers while ten stall", used>>20)
	}
	for deadline := time.After(30 * time.Second); s.Events.Streams()+second.Events.Streams() > readers; {
		select {
		case <-deadline:
			t.Fatalf("%d streams: those that stall are not dropped", s.Events.Streams()+second.Events.Streams())
		case <-time.After(50 * time.Millisecond):
		}
	}
	ids, err := told(connected(t, addresses[1], eve.asOwn, flooded[0]), flood-1)
	if err != nil || strings.Join(ids, " ") != strings.Join(flooded[1:], " ") {
		t.Errorf("one that was dropped resumes with %d events (%v)", len(ids), err)
	}
}
