package webhooks

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"pulse-control-plane/models"
)

// begin waits until a request to the endpoint may be under way, and has a
// delivery sent.
func (r *round) begin(ctx context.Context, d *models.Delivery) error {
	for r.sending >= r.limit() || r.open >= maxOpen {
		select {
		case s := <-r.done:
			if err := r.after(ctx, s); err != nil {
				return err
			}
		case <-ctx.Done():
		}
		if r.stopped || ctx.Err() != nil {
			return nil
		}
	}
	if r.w.c.Now().Sub(r.readAt) >= freshFor {
		if err := r.read(ctx); err != nil || r.stopped {
			return err
		}
	}
	event := r.events[d.EventID]
	if event == nil { // the first of a room need not be what was read as due
		if err := r.load(ctx, []string{d.EventID}); err != nil {
			return err
		}
		event = r.events[d.EventID]
	}
	pool := r.pool()
	select {
	case pool <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	if !r.w.shares.Join(r.shard) {
		<-pool
		r.stopped = true // another process takes over
		return nil
	}
	r.busy[d.ID] = true
	r.sending++
	r.open++
	a := attempt{w: r.w, endpoint: r.endpoint, keys: r.keys, event: event, delivery: *d}
	go func() {
		defer r.w.shares.End(r.shard)
		out := a.send(ctx)
		<-pool
		r.done <- step{delivery: &a.delivery, result: &out}
		r.done <- step{delivery: &a.delivery, result: &out, stored: true, err: a.store(ctx, &out)}
	}()
	return nil
}

// attempt is one request under way.
type attempt struct {
	w        *Worker
	endpoint models.Endpoint
	keys     [][]byte
	// event is nil where the payload has expired.
	event    *models.Event
	delivery models.Delivery
}

// send makes the request. When the process stops, it may end within a short time.
func (a *attempt) send(ctx context.Context) (out result) {
	defer func() {
		if p := recover(); p != nil {
			a.w.c.Site.Log.Error().Err(panicked(p)).Str("delivery_id", string(a.delivery.ID)).Msg("webhooks: an attempt failed")
			out = result{attempt: models.Attempt{At: a.w.c.Now(), URL: a.endpoint.URL, Error: errorNoRequest}}
		}
	}()
	if a.event == nil {
		return result{attempt: models.Attempt{At: a.w.c.Now(), URL: a.endpoint.URL, Error: errorExpired}, final: true}
	}
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(finishing)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-sending.Done():
		}
	})
	defer stop()
	observed, span := a.trace(sending)
	out = send(observed, a.w.c.Client, a.w.c.Now, &a.endpoint, a.keys, a.event)
	traced(span, &out)
	return out
}

// trace begins a span of the attempt; it is nil if nothing is traced. The endpoint
// hears nothing of it: it belongs to a tenant.
func (a *attempt) trace(ctx context.Context) (context.Context, trace.Span) {
	if a.w.c.Site.Tracer == nil {
		return ctx, nil
	}
	return a.w.c.Site.Tracer.Start(ctx, "webhook attempt", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("pulse.project_id", string(a.endpoint.ProjectID)), attribute.String("pulse.endpoint_id", string(a.endpoint.ID)),
		attribute.String("pulse.delivery_id", string(a.delivery.ID)), attribute.String("pulse.event_type", string(a.event.Type))))
}

// traced ends the span of an attempt with its outcome: codes, no text of the
// endpoint's.
func traced(span trace.Span, out *result) {
	if span == nil {
		return
	}
	if out.attempt.Status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", out.attempt.Status))
	}
	if !out.ok {
		span.SetStatus(codes.Error, out.attempt.Error)
	}
	span.End()
}

// store stores the outcome, also of a request that ended while the process
// stops. While the database is away it tries again.
func (a *attempt) store(ctx context.Context, out *result) error {
	if out.aborted {
		return nil
	}
	a.w.metrics.attempted(out)
	next := after(&a.delivery, out, a.w.c.Now().UTC(), a.w.c.Random())
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.w.storeFor)
	defer cancel()
	for {
		_, err := a.w.c.Deliveries.Attempted(bounded, &a.delivery, &next)
		if err == nil || !models.IsKind(err, models.KindUnavailable) {
			return err
		}
		select {
		case <-bounded.Done():
			return err
		case <-time.After(laneRetry / 4):
		}
	}
}
