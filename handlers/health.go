package handlers

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/services/status"
)

// ServiceName is how the control plane calls itself to whoever watches it.
const ServiceName = "pulse-control-plane"

// Health serves /health, /health/ready and /v1/status.
type Health struct {
	version string
	status  *status.Monitor
	// Draining is set when the process has been told to stop: it serves what
	// it has and wants nothing new.
	Draining atomic.Bool
}

// NewHealth serves the measurements of a service.
func NewHealth(version string, s *status.Monitor) *Health {
	return &Health{version: version, status: s}
}

// Alive is the answer of /health.
type Alive struct {
	Status  string `json:"status"`
	Service string `json:"service"`
	Version string `json:"version"`
}

// Live answers whenever the process serves.
func (h *Health) Live(c *gin.Context) error {
	return answer(c, http.StatusOK, Alive{"healthy", ServiceName, h.version})
}

// Component is one measured dependency.
type Component struct {
	Name      string       `json:"name"`
	Status    status.State `json:"status"`
	LatencyMS float64      `json:"latency_ms"`
	CheckedAt time.Time    `json:"checked_at"`
}

// Readiness is the answer of /health/ready.
type Readiness struct {
	Status     string      `json:"status"`
	Components []Component `json:"components"`
}

// Ready answers 200 while requests are welcome: the process is not stopping
// and what it can't do without is there. LiveKit is reported and does not
// decide: while it is away people still manage their projects, and its events
// must find somebody who takes them when it is back.
func (h *Health) Ready(c *gin.Context) error {
	report := h.status.Report(c.Request.Context())
	out, code := Readiness{"ready", renderComponents(report)}, http.StatusOK
	if report.State == status.Down {
		out.Status, code = "unavailable", http.StatusServiceUnavailable
	}
	if h.Draining.Load() {
		out.Status, code = "stopping", http.StatusServiceUnavailable
	}
	return answer(c, code, out)
}

// Status is the answer of /v1/status.
type Status struct {
	Status        status.State `json:"status"`
	Components    []Component  `json:"components"`
	Version       string       `json:"version"`
	UptimeSeconds int64        `json:"uptime_seconds"`
}

// Status answers with what was measured.
func (h *Health) Status(c *gin.Context) error {
	report := h.status.Report(c.Request.Context())
	return answer(c, http.StatusOK, Status{
		report.State, renderComponents(report), h.version, int64(report.Uptime / time.Second),
	})
}

func renderComponents(r status.Report) []Component {
	out := make([]Component, 0, len(r.Components))
	for _, c := range r.Components {
		out = append(out, Component{c.Name, c.State, float64(c.Latency.Microseconds()) / 1000, instant(c.CheckedAt)})
	}
	return out
}
