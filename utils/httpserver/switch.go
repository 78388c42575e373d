package httpserver

import (
	"net/http"
	"sync/atomic"
)

// Switch is a handler that can be replaced while it serves.
type Switch struct{ current atomic.Pointer[http.Handler] }

// NewSwitch serves with a handler until To.
func NewSwitch(first http.Handler) *Switch {
	s := &Switch{}
	s.To(first)
	return s
}

// To serves every request that begins from now on with a handler.
func (s *Switch) To(next http.Handler) { s.current.Store(&next) }

// ServeHTTP implements http.Handler.
func (s *Switch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*s.current.Load()).ServeHTTP(w, r)
}
