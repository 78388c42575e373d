package middleware

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traceParent is the W3C header that carries the trace; see traceID.
const traceParent = "Traceparent"

// Trace makes a span of each request, as a child of the caller's if there is a
// traceparent, except of probes and metrics. Use it before Log. The request's
// traceparent becomes the span's, from which log lines and problems take the
// trace id.
func Trace(provider trace.TracerProvider) []gin.HandlerFunc {
	return []gin.HandlerFunc{
		otelgin.Middleware("pulse-control-plane", otelgin.WithTracerProvider(provider), otelgin.WithMeterProvider(noop.NewMeterProvider()),
			otelgin.WithPropagators(propagation.TraceContext{}), otelgin.WithFilter(traced)),
		describe,
	}
}

func traced(r *http.Request) bool {
	switch r.URL.Path {
	case "/health", "/health/ready", "/metrics":
		return false
	}
	return true
}

// describe completes the span with what the log says too, and takes back what
// the log leaves out: credentials in paths, and the errors of refused requests.
func describe(c *gin.Context) {
	ctx := c.Request.Context()
	span := trace.SpanFromContext(ctx)
	if !span.SpanContext().IsValid() {
		return
	}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(c.Request.Header))
	span.SetAttributes(attribute.String("url.path", loggedPath(c)), attribute.String("pulse.request_id", RequestIDOf(c)))
	c.Next()
	if p, ok := principalOf(c); ok && p.Project != nil {
		span.SetAttributes(attribute.String("pulse.project_id", string(p.Project.ID)))
	}
	if c.Writer.Status() < http.StatusInternalServerError {
		c.Errors = nil // the span's library would mark the span as failed
	}
}
