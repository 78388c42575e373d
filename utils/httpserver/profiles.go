package httpserver

import (
	"context"
	"net"
	"net/http"
	"net/http/pprof"
)

// Profiles serves Go's profiles under /debug/pprof/, as `go tool pprof` expects
// them. They show memory and slow the process down: serve them on loopback only.
func Profiles() http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /debug/pprof/", pprof.Index)
	routes.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	routes.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	routes.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	routes.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return routes
}

// ProfileServer serves Profiles at an address of its own.
type ProfileServer struct {
	server   *Server
	listener net.Listener
}

// ListenProfiles listens at an address for Profiles. It should be a loopback one:
// profiles show memory, and taking one slows the process down.
func ListenProfiles(ctx context.Context, address string) (*ProfileServer, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &ProfileServer{server: New(Profiles()), listener: listener}, nil
}

// Serve serves until Shutdown.
func (p *ProfileServer) Serve() error { return p.server.Serve(p.listener) }

// Shutdown stops the server and waits for the requests under way.
func (p *ProfileServer) Shutdown(ctx context.Context) error { return p.server.Shutdown(ctx) }
