package middleware

import (
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/authorization"
	"pulse-control-plane/utils/secret"
)

// Metrics counts and times requests for Prometheus.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	// classes count responses of 1xx to 5xx.
	classes [5]prometheus.Counter
	token   secret.Value
	now     func() time.Time
}

// NewMetrics makes a registry with the metrics of the process and of requests.
// token, if set, is the Bearer credential /metrics requires.
func NewMetrics(version string, token secret.Value, now func() time.Time) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pulse_http_request_duration_seconds",
			Help: "Time to respond to a request, by route, method and status.",
			// From a cached token request to one that reaches its deadline.
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15},
		}, []string{"route", "method", "status"}),
		token: token,
		now:   now,
	}
	classes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pulse_http_responses_total",
		Help: "Responses to requests, by class of the status (1xx to 5xx)."}, []string{"class"})
	for i := range m.classes {
		m.classes[i] = classes.WithLabelValues(strconv.Itoa(i+1) + "xx") // a rate needs the 0 before the first one
	}
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pulse_build_info", Help: "1, with the version as a label.",
		ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 })
	m.registry.MustRegister(m.requests, classes, build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Registry takes the metrics of other parts.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// unmatched is the route label of all unknown paths, so that a scanner cannot
// fill the registry.
const unmatched = "unmatched"

// Lasting marks requests that last as long as their caller likes: how long that
// was, says nothing.
func Lasting(c *gin.Context) { c.Set(lastingKey, true) }

// lastingKey is where Lasting leaves its mark.
const lastingKey = "pulse.lasting"

// Observe measures the time of a request by route.
func (m *Metrics) Observe(c *gin.Context) {
	start := m.now()
	c.Next()
	m.observed(c, start)
}

// observed is apart from Observe so that streams wait with a small stack.
func (m *Metrics) observed(c *gin.Context, start time.Time) {
	if class := c.Writer.Status()/100 - 1; class >= 0 && class < len(m.classes) {
		m.classes[class].Inc()
	}
	if c.GetBool(lastingKey) {
		return
	}
	route := c.FullPath()
	if route == "" {
		route = unmatched
	}
	m.requests.WithLabelValues(route, method(c.Request.Method), strconv.Itoa(c.Writer.Status())).
		Observe(m.now().Sub(start).Seconds())
}

// method replaces unknown methods, which would otherwise fill the labels.
func method(name string) string {
	switch name {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return name
	}
	return "other"
}

// Serve responds to /metrics.
func (m *Metrics) Serve(c *gin.Context) error {
	if !m.token.IsZero() {
		value, sent := only(c.Request.Header["Authorization"])
		switch {
		case !sent:
			return errNoCredential("the metrics token (Authorization: Bearer)")
		case !m.token.Equal(secret.New(authorization.Bearer(value))):
			return models.Unauthenticated("invalid_credential", "You called with another credential; this needs the metrics token (Authorization: Bearer).")
		}
	}
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}).ServeHTTP(c.Writer, c.Request)
	return nil
}
