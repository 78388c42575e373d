package routes_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"pulse-control-plane/utils/observe"
)

// recorder observes what the server calls, with spans if the setup traces.
func (o setup) recorder() *observe.Recorder {
	if o.tracing == nil {
		return nil
	}
	return observe.New(observe.Config{Tracer: o.tracing.Tracer("test")})
}

func newTracedServer(t *testing.T) (*server, *tracetest.InMemoryExporter) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	return newServer(t, func(o *setup) { o.tracing = sdk.NewTracerProvider(sdk.WithSyncer(spans)) }), spans
}

// requestSpan is the span of the one request since the last reset.
func requestSpan(t *testing.T, spans *tracetest.InMemoryExporter) tracetest.SpanStub {
	t.Helper()
	all := spans.GetSpans()
	if len(all) == 0 || len(all[len(all)-1].Attributes) == 0 {
		t.Fatalf("spans %+v", all)
	}
	return all[len(all)-1] // it ends last
}

func attributeOf(s *tracetest.SpanStub, name attribute.Key) string {
	last := ""
	for _, a := range s.Attributes {
		if a.Key == name {
			last = a.Value.AsString()
		}
	}
	return last
}

func TestARequestIsOneTraceWithItsDatabaseCallsItsLogLineAndItsProblem(t *testing.T) {
	s, spans := newTracedServer(t)
	ada := s.tenant("ada")
	spans.Reset()
	before := len(s.log.String())
	const caller = "4bf92f3577b34da6a3ce929d0e0e4736"
	a := s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": ada.email, "password": "not the password"},
		header("Traceparent", "00-"+caller+"-00f067aa0ba902b7-01")).want(http.StatusUnauthorized)
	root := requestSpan(t, spans)
	if root.Name != "POST /v1/auth/login" || root.SpanContext.TraceID().String() != caller || root.Status.Code != codes.Unset {
		t.Errorf("span %q of trace %s, status %v", root.Name, root.SpanContext.TraceID(), root.Status)
	}
	children := 0
	for _, child := range spans.GetSpans() {
		if strings.HasPrefix(child.Name, "database.") && child.SpanContext.TraceID() == root.SpanContext.TraceID() && child.Parent.SpanID() == root.SpanContext.SpanID() {
			children++
		}
	}
	if children == 0 {
		t.Errorf("no call of the database is in the trace: %+v", spans.GetSpans())
	}
	var problem, line struct {
		TraceID string `json:"trace_id"`
	}
	if err := json.Unmarshal(a.body, &problem); err != nil || problem.TraceID != caller {
		t.Errorf("the problem: %s, %v", a.body, err)
	}
	if err := json.Unmarshal([]byte(s.log.String()[before:]), &line); err != nil || line.TraceID != caller {
		t.Errorf("the log: %s, %v", s.log.String()[before:], err)
	}

	// Without a caller's trace the server's own is in the problem.
	spans.Reset()
	a = s.do(http.MethodGet, "/v1/projects", nil).want(http.StatusUnauthorized)
	root = requestSpan(t, spans)
	if err := json.Unmarshal(a.body, &problem); err != nil || problem.TraceID != root.SpanContext.TraceID().String() || problem.TraceID == caller {
		t.Errorf("the problem: %s, %v", a.body, err)
	}
}

func TestSpansHoldNoCredentialOfAPathAndProbesMakeNone(t *testing.T) {
	s, spans := newTracedServer(t)
	ada := s.tenant("ada")
	spans.Reset()
	s.do(http.MethodGet, "/v1/projects/"+ada.secret, nil, ada.asPerson).want(http.StatusNotFound)
	if root := requestSpan(t, spans); attributeOf(&root, "url.path") != "/v1/projects/:id" || strings.Contains(root.Status.Description, ada.secret) {
		t.Errorf("%+v", root)
	}
	spans.Reset()
	for _, path := range []string{"/health", "/metrics"} {
		s.do(http.MethodGet, path, nil).want(http.StatusOK)
	}
	if got := spans.GetSpans(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestAFailedRequestIsAFailedSpan(t *testing.T) {
	s, spans := newTracedServer(t)
	ada := s.tenant("ada")
	s.engine.away.Store(true)
	spans.Reset()
	s.do(http.MethodPost, "/v1/projects", map[string]any{"name": "x"}, ada.asPerson).want(http.StatusServiceUnavailable)
	if root := requestSpan(t, spans); root.Status.Code != codes.Error {
		t.Errorf("%+v", root.Status)
	}
}

func TestWithoutTracingAProblemNamesTheCallersTraceOrNone(t *testing.T) {
	s := newServer(t)
	const caller = "4bf92f3577b34da6a3ce929d0e0e4736"
	for parent, want := range map[string]string{"00-" + caller + "-00f067aa0ba902b7-01": caller, "": "", "nonsense": ""} {
		a := s.do(http.MethodGet, "/v1/projects", nil, header("Traceparent", parent)).want(http.StatusUnauthorized)
		if has := strings.Contains(string(a.body), "trace_id"); has != (want != "") || has && !strings.Contains(string(a.body), `"trace_id":"`+want+`"`) {
			t.Errorf("%q: %s", parent, a.body)
		}
	}
}
