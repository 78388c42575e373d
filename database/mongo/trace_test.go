package mongo

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"pulse-control-plane/database/engine"
)

func TestEachCommandOfATracedCallIsASpanWithoutItsContent(t *testing.T) {
	s := newWireServer(t, func(command bson.Raw) any {
		switch commandName(command) {
		case "insert":
			return bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: 13}, {Key: "codeName", Value: "Unauthorized"}, {Key: "errmsg", Value: "not authorized on hunter2"}}
		case "find":
			return wireCursor(0, bson.D{{Key: "_id", Value: "x"}})
		}
		return nil
	})
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	m, err := Open(t.Context(), s.uri(""), "test", testSchema(), Options{Tracer: provider.Tracer("t")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close(t.Context()) })
	var out bson.M
	if err := m.FindOne(t.Context(), "people", engine.Query{}, &out); err != nil {
		t.Fatal(err)
	}
	if got := spans.GetSpans(); len(got) != 0 {
		t.Fatalf("a call outside of any span made %+v", got)
	}
	ctx, root := provider.Tracer("t").Start(t.Context(), "request")
	if err := m.FindOne(ctx, "people", engine.Query{Filter: bson.D{{Key: "_id", Value: "hunter2"}}}, &out); err != nil {
		t.Fatal(err)
	}
	if err := m.Insert(ctx, "people", bson.D{{Key: "_id", Value: "hunter2"}}); err == nil {
		t.Fatal("the insert did not fail")
	}
	root.End()
	got := spans.GetSpans()
	if len(got) != 3 || got[0].Name != "mongodb.find people" || got[0].Status.Code != codes.Unset ||
		got[1].Name != "mongodb.insert people" || got[1].Status.Code != codes.Error || got[1].Status.Description != "Unauthorized" {
		t.Fatalf("%+v", got)
	}
	for _, span := range got[:2] {
		if span.Parent.SpanID() != root.SpanContext().SpanID() {
			t.Errorf("%s is no child of the request", span.Name)
		}
		for _, a := range span.Attributes {
			if a.Value.AsString() == "hunter2" {
				t.Errorf("%s has the content of the command: %+v", span.Name, span.Attributes)
			}
		}
	}
}
