package deploy_test

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans collects what is exported to it as OTLP over HTTP.
type spans struct {
	mu  sync.Mutex
	all []*trace.Span
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if zipped, zipErr := gzip.NewReader(bytes.NewReader(body)); zipErr == nil {
		body, err = io.ReadAll(zipped)
	}
	var request collector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range request.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			s.all = append(s.all, scope.Spans...)
		}
	}
}

// of gives the spans whose name begins so.
func (s *spans) of(prefix string) (found []*trace.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.all {
		if strings.HasPrefix(span.Name, prefix) {
			found = append(found, span)
		}
	}
	return found
}

func TestRequestsWorkersDatabaseAndLiveKitAreTracedAndLogsAndProblemsNameTheTrace(t *testing.T) {
	got := new(spans)
	server := httptest.NewServer(got)
	defer server.Close()
	url, log := serves(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL, "SLOW_OPERATION=1ns")
	tenant(t, url)
	const caller = "4bf92f3577b34da6a3ce929d0e0e4736"
	var problem struct {
		TraceID string `json:"trace_id"`
	}
	asks(t, http.MethodPost, url+"/v1/auth/login", map[string]string{"email": "ann@acme.example", "password": "a wrong password"}, &problem,
		http.StatusUnauthorized, "Traceparent: 00-"+caller+"-00f067aa0ba902b7-01")
	if problem.TraceID != caller {
		t.Errorf("the problem names trace %q", problem.TraceID)
	}
	eventually(t, "every kind of span is exported", func() error {
		for _, name := range []string{"POST /v1/projects", "POST /v1/auth/login", "database.", "livekit.ListRooms", "worker quotas", "worker inbox_lane_", "worker deliveries_scan"} {
			if len(got.of(name)) == 0 {
				return fmt.Errorf("no span %s", name)
			}
		}
		return nil
	})
	// A worker's call of LiveKit is a child of its pass.
	passes := map[string]bool{}
	for _, pass := range got.of("worker ") {
		passes[string(pass.SpanId)] = true
	}
	within := false
	for _, call := range got.of("livekit.") {
		within = within || passes[string(call.ParentSpanId)]
	}
	if !within {
		t.Error("no call of LiveKit is within a worker's pass")
	}
	lines := map[string]bool{}
	for _, login := range got.of("POST /v1/auth/login") {
		if id := hex.EncodeToString(login.TraceId); id != caller {
			t.Errorf("the login is trace %s", id)
		}
	}
	for line := range strings.Lines(log.String()) {
		var entry struct {
			Message string `json:"message"`
			TraceID string `json:"trace_id"`
			System  string `json:"system"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.TraceID == caller {
			lines[entry.Message+" "+entry.System] = true
		}
	}
	if !lines["request "] || !lines["slow operation database"] {
		t.Errorf("lines of the login's trace: %v", lines)
	}
}

func TestWithoutACollectorNothingIsSlowOrTracedByDefault(t *testing.T) {
	url, log := serves(t)
	tenant(t, url)
	var problem map[string]any
	asks(t, http.MethodGet, url+"/v1/projects", nil, &problem, http.StatusUnauthorized)
	if _, traced := problem["trace_id"]; traced || strings.Contains(log.String(), "trace_id") {
		t.Errorf("there is a trace: %v %s", problem, log)
	}
}

func TestProfilesAreServedOnTheirOwnLoopbackAddressOnlyIfAsked(t *testing.T) {
	port := freePort(t)
	url, _ := serves(t, fmt.Sprintf("PPROF_ADDRESS=127.0.0.1:%d", port))
	for address, want := range map[string]int{fmt.Sprintf("http://127.0.0.1:%d", port): http.StatusOK, url: http.StatusNotFound} {
		res, err := http.Get(address + "/debug/pprof/heap?debug=1")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != want || want == http.StatusOK && !strings.Contains(string(text), "heap profile") {
			t.Errorf("%s: %s %.80s %v", address, res.Status, text, err)
		}
	}
}
