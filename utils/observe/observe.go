package observe

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Config of New; every field is optional.
type Config struct {
	// Namespace is the prefix of the metric's name.
	Namespace string
	// Slow is how long an operation takes before it is logged; 0 logs none.
	Slow time.Duration
	// Log gets the slow operations.
	Log zerolog.Logger
	// Tracer makes the spans; nil makes none.
	Tracer trace.Tracer
}

// Recorder observes operations. A nil Recorder observes nothing. It is safe for
// concurrent use.
type Recorder struct {
	c         Config
	durations *prometheus.HistogramVec
	results   *prometheus.CounterVec
}

// New returns a Recorder.
func New(c Config) *Recorder {
	return &Recorder{c: c, durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: c.Namespace, Name: "operation_duration_seconds",
		Help:    "Time of a call to another system, by system and operation.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15},
	}, []string{"system", "operation"}), results: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: c.Namespace, Name: "operations_total",
		Help: "Calls to another system, by system, operation and result (ok, error, conflict).",
	}, []string{"system", "operation", "result"})}
}

// Register registers the metrics.
func (r *Recorder) Register(registry prometheus.Registerer) {
	registry.MustRegister(r.durations, r.results)
}

// Declare begins the counters of operations and their results at 0, because a rate
// needs the 0 before the first one.
func (r *Recorder) Declare(system string, results []string, operations ...string) {
	if r == nil {
		return
	}
	for _, operation := range operations {
		r.durations.WithLabelValues(system, operation)
		for _, result := range results {
			r.results.WithLabelValues(system, operation, result)
		}
	}
}

// Tracer makes the spans; nil makes none.
func (r *Recorder) Tracer() trace.Tracer {
	if r == nil {
		return nil
	}
	return r.c.Tracer
}

// Operation says what is done. System and Name become labels of a metric, so
// both have few values.
type Operation struct {
	// System is what is called: "database", "livekit".
	System string
	// Name is what it is asked for: "find".
	Name string
	// Target is what it is asked about, such as a collection, for spans and logs;
	// "" is none.
	Target string
}

// Started is an operation that has not ended. End ends it.
type Started struct {
	r     *Recorder
	o     Operation
	span  trace.Span
	begin time.Time
}

// Start begins an operation. The context carries its span, if there is one.
func (r *Recorder) Start(ctx context.Context, o Operation) (context.Context, Started) {
	if r == nil {
		return ctx, Started{}
	}
	s := Started{r: r, o: o, begin: time.Now()}
	if r.c.Tracer != nil {
		name := o.System + "." + o.Name
		if o.Target != "" {
			name += " " + o.Target
		}
		ctx, s.span = r.c.Tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(attribute.String("system", o.System), attribute.String("operation", o.Name)))
	}
	return ctx, s
}

// The results that End records.
const (
	OK     = "ok"
	Failed = "error"
)

// End records the operation; err is why it failed, nil if it did not. A result
// that the caller expects, such as a missing document, is no failure.
func (s Started) End(err error) {
	result := OK
	if err != nil {
		result = Failed
	}
	s.EndAs(result, err)
}

// EndAs is End with a result other than ok and error, of which there are few: it
// becomes a label.
func (s Started) EndAs(result string, err error) {
	if s.r == nil {
		return
	}
	took := time.Since(s.begin)
	s.r.durations.WithLabelValues(s.o.System, s.o.Name).Observe(took.Seconds())
	s.r.results.WithLabelValues(s.o.System, s.o.Name, result).Inc()
	if slow := s.r.c.Slow; slow > 0 && took >= slow {
		line := s.r.c.Log.Warn().Err(err).Str("system", s.o.System).Str("operation", s.o.Name).Dur("latency_ms", took)
		if s.o.Target != "" {
			line = line.Str("target", s.o.Target)
		}
		if s.span != nil && s.span.SpanContext().HasTraceID() {
			line = line.Stringer("trace_id", s.span.SpanContext().TraceID())
		}
		line.Msg("slow operation")
	}
	if s.span == nil {
		return
	}
	if err != nil {
		s.span.SetStatus(codes.Error, err.Error())
	}
	s.span.End()
}
