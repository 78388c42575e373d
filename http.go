package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// Bounds against slow clients. The body may take as long as a request may.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 20 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 90 * time.Second
	maxHeaderBytes    = 64 << 10
)

// httpServer is the HTTP server and the connections that have asked nothing yet:
// net/http would wait for those for five seconds when it shuts down, and
// browsers and load balancers open them in advance.
type httpServer struct {
	http   http.Server
	mu     sync.Mutex
	unused map[net.Conn]struct{}
	ending bool
}

func newServer(handler http.Handler) *httpServer {
	s := &httpServer{unused: map[net.Conn]struct{}{}}
	s.http = http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ConnState: s.note,
	}
	return s
}

func (s *httpServer) note(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(s.unused, c)
	case s.ending:
		_ = c.Close() // it asked nothing
	default:
		s.unused[c] = struct{}{}
	}
}

// serve answers until shutdown.
func (s *httpServer) serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// shutdown lets requests under way be answered until ctx ends, then cuts them
// off.
func (s *httpServer) shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.ending = true
	for c := range s.unused {
		_ = c.Close()
	}
	s.mu.Unlock()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}
