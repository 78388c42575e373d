package webhooks

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"pulse-control-plane/database/testkit"
)

func TestEachAttemptIsASpanWithItsOutcomeAndNoTraceHeadersAreSent(t *testing.T) {
	answers := []int{http.StatusInternalServerError, http.StatusOK}
	var headers []http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(answers[len(headers)])
		headers = append(headers, r.Header)
		fmt.Fprint(w, "the endpoint's own words")
	}))
	t.Cleanup(server.Close)
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	r := rigOn(t, testkit.NewEngine(t), testkit.NewClock(), rigOptions{tracer: provider.Tracer("t")})
	e, _ := r.endpoint(server.URL)
	r.event(1, "room.started", "daily")
	r.work()
	r.later(retryWaits()[0])

	var attempts []tracetest.SpanStub
	for _, s := range spans.GetSpans() {
		if s.Name == "webhook attempt" {
			attempts = append(attempts, s)
		}
	}
	if len(attempts) != 2 {
		t.Fatalf("%d attempts are traced of %d", len(attempts), len(headers))
	}
	for i, want := range []codes.Code{codes.Error, codes.Unset} {
		got := map[attribute.Key]string{}
		for _, a := range attempts[i].Attributes {
			got[a.Key] = a.Value.String()
		}
		if attempts[i].Status.Code != want || got["http.response.status_code"] != fmt.Sprint(answers[i]) ||
			got["pulse.endpoint_id"] != string(e.ID) || got["pulse.event_type"] != "room.started" {
			t.Errorf("attempt %d: %v, %v", i, attempts[i].Status, got)
		}
		if text := fmt.Sprintf("%+v", attempts[i]); strings.Contains(text, "own words") {
			t.Errorf("the span has the answer's text: %s", text)
		}
		if headers[i].Get("Traceparent") != "" {
			t.Errorf("the endpoint gets %q", headers[i].Get("Traceparent"))
		}
	}
}
