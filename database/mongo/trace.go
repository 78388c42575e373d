package mongo

import (
	"context"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// commandKey names a command under way: request ids are unique per connection.
type commandKey struct {
	connection string
	request    int64
}

// failureName is the name of a server's error, such as DuplicateKey, which the
// driver puts in parentheses before the text; the text may quote a document.
func failureName(failure error) string {
	text, parenthesized := strings.CutPrefix(failure.Error(), "(")
	if name, _, closed := strings.Cut(text, ")"); parenthesized && closed {
		return name
	}
	return "no answer"
}

// commandMonitor makes a span of every command that is sent within a span, a
// retry included. It records the command's name and collection, never its
// content (https://opentelemetry.io/docs/specs/semconv/database/mongodb/).
func commandMonitor(tracer trace.Tracer) *event.CommandMonitor {
	var running sync.Map // commandKey → trace.Span; the driver ends each command
	end := func(finished event.CommandFinishedEvent, failure error) {
		span, ok := running.LoadAndDelete(commandKey{finished.ConnectionID, finished.RequestID})
		if !ok {
			return
		}
		if failure != nil {
			span.(trace.Span).SetStatus(codes.Error, failureName(failure))
		}
		span.(trace.Span).End()
	}
	return &event.CommandMonitor{
		Started: func(ctx context.Context, e *event.CommandStartedEvent) {
			if !trace.SpanContextFromContext(ctx).IsValid() {
				return
			}
			name, collection := "mongodb."+e.CommandName, ""
			if target, ok := e.Command.Lookup(e.CommandName).StringValueOK(); ok {
				collection = target
				name += " " + target
			}
			_, span := tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
				attribute.String("db.system.name", "mongodb"), attribute.String("db.namespace", e.DatabaseName),
				attribute.String("db.operation.name", e.CommandName), attribute.String("db.collection.name", collection),
				attribute.String("network.peer.address", e.ConnectionID)))
			running.Store(commandKey{e.ConnectionID, e.RequestID}, span)
		},
		Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) { end(e.CommandFinishedEvent, nil) },
		Failed: func(_ context.Context, e *event.CommandFailedEvent) {
			end(e.CommandFinishedEvent, e.Failure)
		},
	}
}
