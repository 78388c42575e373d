package httpserver_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"pulse-control-plane/utils/httpserver"
)

// serving runs a server on a free port until the test ends, and returns its
// address and the error of Serve.
func serving(t *testing.T, s *httpserver.Server) (address string, served <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	return l.Addr().String(), done
}

func TestShutdownClosesConnectionsThatHaveSentNothing(t *testing.T) {
	s := httpserver.New(http.NotFoundHandler())
	address, served := serving(t, s)
	unused, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer unused.Close()
	// Connections are accepted in order: once this one is answered, the other is known.
	response, err := http.Get("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	began := time.Now()
	if err := s.Shutdown(t.Context()); err != nil || time.Since(began) > 3*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve returns %v", err)
	}
	if n, err := unused.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("the connection is still open")
	}
}

func TestShutdownCutsOffRequestsWhenItsContextEnds(t *testing.T) {
	started, cut := make(chan struct{}), make(chan struct{})
	s := httpserver.New(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		close(cut)
	}))
	address, _ := serving(t, s)
	go func() {
		if response, err := http.Get("http://" + address); err == nil {
			response.Body.Close()
		}
	}()
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown returns %v", err)
	}
	<-cut
}
