// Package tracing exports OpenTelemetry traces to a collector, as OTLP over
// HTTP.
//
// It owns the export: batches, resource attributes and shutdown. It does not own
// spans, or the decision to trace.
//
// Invariants: a collector that does not answer costs spans, never a request;
// memory for waiting spans is bounded (2,048 of them).
package tracing
