package handlers

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/services/status"
)

// ServiceName is the name of the control plane for monitoring.
const ServiceName = "pulse-control-plane"

// Health serves /health, /health/ready and /v1/status.
type Health struct {
	version string
	status  *status.Monitor
	// Draining is set when the process shuts down: it still serves requests and
	// is no longer ready.
	Draining atomic.Bool
}

// NewHealth makes the handlers of a status service.
func NewHealth(version string, s *status.Monitor) *Health {
	return &Health{version: version, status: s}
}

// Alive is the response of /health.
type Alive struct {
	Status  string `json:"status"`
	Service string `json:"service"`
	Version string `json:"version"`
}

// Live returns 200 whenever the process serves.
func (h *Health) Live(c *gin.Context) error {
	return answer(c, http.StatusOK, Alive{Status: "healthy", Service: ServiceName, Version: h.version})
}

// Component is one measured dependency.
type Component struct {
	Name      string       `json:"name"`
	Status    status.State `json:"status"`
	LatencyMS float64      `json:"latency_ms"`
	CheckedAt time.Time    `json:"checked_at"`
	// Detail says what is wrong, if that is known.
	Detail string `json:"detail,omitempty"`
}

// Readiness is the response of /health/ready.
type Readiness struct {
	Status     string      `json:"status"`
	Components []Component `json:"components"`
}

// Ready returns 200 unless the process is shutting down or an essential
// dependency is down. LiveKit is not essential: without it projects can still
// be managed, and its events must be received once it is back.
func (h *Health) Ready(c *gin.Context) error {
	report := h.status.Report(c.Request.Context())
	out, code := Readiness{Status: "ready", Components: renderComponents(report)}, http.StatusOK
	if report.State == status.Down {
		out.Status, code = "unavailable", http.StatusServiceUnavailable
	}
	if h.Draining.Load() {
		out.Status, code = "stopping", http.StatusServiceUnavailable
	}
	return answer(c, code, out)
}

// Status is the response of /v1/status.
type Status struct {
	Status        status.State `json:"status"`
	Components    []Component  `json:"components"`
	Version       string       `json:"version"`
	UptimeSeconds int64        `json:"uptime_seconds"`
}

// Status returns the measurements.
func (h *Health) Status(c *gin.Context) error {
	report := h.status.Report(c.Request.Context())
	return answer(c, http.StatusOK, Status{
		Status: report.State, Components: renderComponents(report), Version: h.version, UptimeSeconds: int64(report.Uptime / time.Second),
	})
}

func renderComponents(r status.Report) []Component {
	out := make([]Component, 0, len(r.Components))
	for _, c := range r.Components {
		out = append(out, Component{Name: c.Name, Status: c.State, Detail: c.Detail,
			LatencyMS: float64(c.Latency.Microseconds()) / 1000, CheckedAt: instant(c.CheckedAt)})
	}
	return out
}
