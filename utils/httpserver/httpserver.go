package httpserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// Bounds against slow clients.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 20 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 90 * time.Second
	maxHeaderBytes    = 64 << 10
)

// Server is an HTTP server. Make one with New.
type Server struct {
	http http.Server
	mu   sync.Mutex
	// unused are the connections that have sent nothing yet. net/http waits five
	// seconds for each of them at shutdown (golang.org/issue/22682), and browsers
	// and load balancers open them in advance.
	unused map[net.Conn]struct{}
	ending bool
}

// New builds a server for a handler. It does not listen yet.
func New(handler http.Handler) *Server {
	s := &Server{unused: map[net.Conn]struct{}{}}
	s.http = http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ConnState: s.track,
	}
	return s
}

func (s *Server) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(s.unused, c)
	case s.ending:
		_ = c.Close() // no request was sent on it
	default:
		s.unused[c] = struct{}{}
	}
}

// Serve accepts connections until Shutdown is called, which makes it return
// nil. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Start is Serve in the background; wait gives what Serve returns.
func (s *Server) Start(l net.Listener) (wait func() error) {
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	return func() error { return <-ended }
}

// Shutdown stops accepting, waits for the requests under way until ctx ends,
// then closes their connections. The error is that of a request that was cut
// off.
func (s *Server) Shutdown(ctx context.Context) error {
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
