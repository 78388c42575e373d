package httpserver

import (
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
