package observe_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"pulse-control-plane/utils/observe"
)

func find() observe.Operation {
	return observe.Operation{System: "database", Name: "find", Target: "projects"}
}

func TestOnlyOperationsAsSlowAsTheThresholdAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for threshold, want := range map[time.Duration]int{time.Second: 1, time.Second + 1: 0, 0: 0} {
			var out bytes.Buffer
			r := observe.New(observe.Config{Slow: threshold, Log: zerolog.New(&out)})
			_, o := r.Start(t.Context(), find())
			time.Sleep(time.Second) // the bubble's clock
			o.End(errors.New("away"))
			if got := strings.Count(out.String(), "slow operation"); got != want {
				t.Errorf("threshold %v: %d lines: %s", threshold, got, &out)
			}
			for _, part := range []string{`"system":"database"`, `"operation":"find"`, `"target":"projects"`, `"latency_ms":1000`, `"error":"away"`} {
				if want == 1 && !strings.Contains(out.String(), part) {
					t.Errorf("%s is missing: %s", part, &out)
				}
			}
		}
	})
}

func TestOperationsAreTimedAndCountedByResultFromZeroOn(t *testing.T) {
	r, registry := observe.New(observe.Config{Namespace: "app"}), prometheus.NewRegistry()
	r.Register(registry)
	r.Declare("database", []string{observe.OK, observe.Failed, "conflict"}, "find", "insert")
	for _, err := range []error{nil, errors.New("away"), nil} {
		_, o := r.Start(t.Context(), find())
		o.End(err)
	}
	want := `
# HELP app_operations_total Calls to another system, by system, operation and result (ok, error, conflict).
# TYPE app_operations_total counter
app_operations_total{operation="find",result="conflict",system="database"} 0
app_operations_total{operation="find",result="error",system="database"} 1
app_operations_total{operation="find",result="ok",system="database"} 2
app_operations_total{operation="insert",result="conflict",system="database"} 0
app_operations_total{operation="insert",result="error",system="database"} 0
app_operations_total{operation="insert",result="ok",system="database"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "app_operations_total"); err != nil {
		t.Error(err)
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 2 || families[0].GetName() != "app_operation_duration_seconds" {
		t.Fatal(families, err)
	}
	for i, count := range []uint64{3, 0} { // find, insert
		if got := families[0].GetMetric()[i].GetHistogram().GetSampleCount(); got != count {
			t.Errorf("duration %d has %d samples, want %d", i, got, count)
		}
	}
}

func TestAnOperationIsAChildSpanWithItsErrorAndItsTraceIDIsInTheSlowLine(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	var out bytes.Buffer
	r := observe.New(observe.Config{Tracer: provider.Tracer("t"), Slow: time.Nanosecond, Log: zerolog.New(&out)})
	ctx, outer := r.Start(t.Context(), observe.Operation{System: "worker", Name: "inbox"})
	_, inner := r.Start(ctx, find())
	inner.End(errors.New("away"))
	outer.End(nil)
	got := spans.GetSpans()
	if len(got) != 2 || got[0].Parent.SpanID() != got[1].SpanContext.SpanID() || got[0].Name != "database.find projects" ||
		got[0].Status.Code != codes.Error || got[1].Status.Code != codes.Unset || got[1].Name != "worker.inbox" {
		t.Fatalf("%+v", got)
	}
	if id := got[0].SpanContext.TraceID().String(); strings.Count(out.String(), `"trace_id":"`+id+`"`) != 2 {
		t.Error(out.String())
	}
}

func TestANilRecorderObservesNothingAndWithoutATracerNothingIsAllocated(t *testing.T) {
	var none *observe.Recorder
	none.Declare("database", []string{observe.OK}, "find")
	ctx, o := none.Start(t.Context(), find())
	o.End(errors.New("away"))
	if ctx != t.Context() {
		t.Error("the context changed")
	}
	r := observe.New(observe.Config{Slow: time.Hour})
	if n := testing.AllocsPerRun(100, func() {
		_, o := r.Start(ctx, find())
		o.End(nil)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
