package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// idleReaders are how many streams of events are open while nothing happens.
const idleReaders = 1000

// readers measures what idle readers of the stream of events take of Pulse's memory: heap and stacks after a garbage
// collection, with them less without them.
func readers(ctx context.Context, dir, pulse string) (rows []row, err error) {
	dir = filepath.Join(dir, "readers")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	profiles := free.Addr().String()
	if err := free.Close(); err != nil {
		return nil, err
	}
	s, err := startPulse(ctx, pulse, dir, filepath.Join(dir, "data"), "PPROF_ADDRESS="+profiles)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	project, err := s.newPair(ctx)
	if err != nil {
		return nil, err
	}
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	connect := func() error {
		c, err := s.stream(ctx, project)
		if err == nil {
			open = append(open, c)
		}
		return err
	}
	if err := connect(); err != nil { // what the first one costs, it costs once
		return nil, err
	}
	before, err := memoryInUse(ctx, profiles)
	if err != nil {
		return nil, err
	}
	for range idleReaders {
		if err := connect(); err != nil {
			return nil, err
		}
	}
	after, err := memoryInUse(ctx, profiles)
	if err != nil {
		return nil, err
	}
	cost := (after - before) / 1e6
	say(fmt.Sprintf("%d idle readers: %.1f MB", idleReaders, cost))
	return []row{{what: fmt.Sprintf("memory of %d idle readers of the stream of events", idleReaders),
		pulse: number(cost) + " MB", value: cost, unit: " MB", goal: atMost(30)}}, nil
}

// stream opens a stream on a connection of its own and reads up to the first comment.
func (s *server) stream(ctx context.Context, p pair) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/v1/events/stream", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Pulse-Key", p.Key)
	r.Header.Set("X-Pulse-Secret", p.Secret)
	if err := r.Write(c); err != nil {
		return nil, err
	}
	var head []byte
	for one := make([]byte, 512); !bytes.Contains(head, []byte(": connected\n\n")); {
		n, err := c.Read(one)
		if head = append(head, one[:n]...); err != nil || len(head) > 8<<10 {
			return nil, fmt.Errorf("a stream began with %q: %w", head, err)
		}
	}
	return c, nil
}

// memoryInUse is what the heap and the stacks of a process take after collections of garbage, in bytes.
func memoryInUse(ctx context.Context, profiles string) (float64, error) {
	var text []byte
	for range 3 { // each halves stacks that are large enough
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+profiles+"/debug/pprof/heap?gc=1&debug=1", nil)
		if err != nil {
			return 0, err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, err
		}
		text, err = io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			return 0, err
		}
	}
	sum, found := 0.0, 0
	for line := range strings.Lines(string(text)) {
		for _, name := range []string{"# Stack = ", "# HeapInuse = "} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				n, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				if err != nil {
					return 0, err
				}
				sum, found = sum+n, found+1
			}
		}
	}
	if found != 2 {
		return 0, errors.New("the profile of the heap does not tell what is in use")
	}
	return sum, nil
}
