package webhooks

import (
	"context"
	"fmt"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// round is one run of a lane. It belongs to one goroutine; attempts run beside it
// and report on done.
type round struct {
	*lane
	endpoint models.Endpoint
	keys     [][]byte
	readAt   time.Time

	// queue are deliveries to be sent; rooms those of an ordered endpoint.
	queue []models.Delivery
	rooms map[string]*room
	// ready are rooms whose first delivery is to be looked at.
	ready []string
	// position is up to which event deliveries are known to be made.
	position int64
	// busy are deliveries under way; events the payloads of what was read.
	busy   map[models.DeliveryID]bool
	events map[string]*models.Event
	// sending requests are under way, open ones have no stored outcome.
	sending, open int
	done          chan step
	// exhausted means that what was due at lookedAt has been taken.
	exhausted bool
	lookedAt  time.Time
	// early is set when something is due that could not be sent yet.
	early, stopped bool
}

// room is what waits for one room of an ordered endpoint.
type room struct {
	sending bool
	// due are deliveries that were read as due.
	due []models.DeliveryID
}

// step is what an attempt reports: that the request ended, then that the outcome
// is stored.
type step struct {
	delivery *models.Delivery
	result   *result
	stored   bool
	err      error
}

// read reads the endpoint; stopped if nothing is to be sent to it.
func (r *round) read(ctx context.Context) error {
	e, err := r.w.c.Endpoints.Named(ctx, r.id)
	if models.IsKind(err, models.KindNotFound) {
		r.stopped = true
		return r.drop(ctx)
	}
	if err != nil {
		return err
	}
	r.endpoint, r.readAt, r.stopped = e, r.w.c.Now(), !e.Enabled
	if !e.Enabled {
		return nil
	}
	r.keys, err = r.w.secrets.keys(&e, r.readAt)
	return err
}

// drop ends the deliveries of a deleted endpoint.
func (r *round) drop(ctx context.Context) error {
	for ctx.Err() == nil {
		ids, err := r.w.c.Deliveries.Waiting(ctx, r.id, time.Time{}, database.MaxBatch)
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := r.w.c.Deliveries.Drop(ctx, ids, r.w.c.Now().UTC()); err != nil {
			return err
		}
	}
	return nil
}

// take gives a delivery that may be sent now, nil if there is none.
func (r *round) take(ctx context.Context) (*models.Delivery, error) {
	if !r.exhausted && len(r.queue)+len(r.ready) == 0 {
		if err := r.refill(ctx); err != nil {
			return nil, err
		}
	}
	for len(r.ready) > 0 {
		name := r.ready[0]
		r.ready = r.ready[1:]
		d, err := r.first(ctx, name)
		if err != nil || d != nil {
			return d, err
		}
	}
	if len(r.queue) == 0 {
		return nil, nil
	}
	d := r.queue[0]
	r.queue = r.queue[1:]
	return &d, nil
}

// refill reads what is due and not under way.
func (r *round) refill(ctx context.Context) error {
	limit := int64(dueRead)
	if r.endpoint.Ordered {
		limit = dueReadOrdered
		var err error
		if r.position, err = r.w.c.Sequences.Last(ctx, fanned); err != nil {
			return err
		}
	}
	r.lookedAt = r.w.c.Now()
	list, err := r.w.c.Deliveries.Due(ctx, r.id, r.lookedAt, limit)
	if err != nil {
		return err
	}
	clear(r.events)
	r.early = false
	var wanted []string
	for i := range list {
		d := &list[i]
		if r.busy[d.ID] {
			continue
		}
		if r.endpoint.Ordered && d.Order != "" {
			if !r.wants(d) {
				continue
			}
		} else {
			r.queue = append(r.queue, *d)
		}
		wanted = append(wanted, d.EventID)
	}
	r.exhausted = int64(len(list)) < limit || len(wanted) == 0
	return r.load(ctx, wanted)
}

// wants notes a due delivery of a room; false if the room is busy with an earlier
// one.
func (r *round) wants(d *models.Delivery) bool {
	waiting := r.rooms[d.Order]
	if waiting == nil {
		waiting = &room{}
		r.rooms[d.Order] = waiting
	}
	if waiting.sending {
		return false
	}
	if len(waiting.due) == 0 {
		r.ready = append(r.ready, d.Order)
	}
	waiting.due = append(waiting.due, d.ID)
	return true
}

// first gives the first pending delivery of a room, if it may be sent now. If it
// waits to be tried again, those behind it wait as long.
func (r *round) first(ctx context.Context, name string) (*models.Delivery, error) {
	waiting := r.rooms[name]
	d, err := r.w.c.Deliveries.First(ctx, r.id, name)
	if models.IsKind(err, models.KindNotFound) {
		delete(r.rooms, name)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch {
	case r.busy[d.ID]:
		return nil, nil
	case d.Seq > r.position:
		// An earlier one may be about to be made.
		delete(r.rooms, name)
		r.early = true
		return nil, nil
	case d.Tries > 0 && d.DueAt.After(r.w.c.Now()):
		delete(r.rooms, name)
		if len(waiting.due) == 0 {
			return nil, nil
		}
		return nil, r.w.c.Deliveries.SetDue(ctx, waiting.due, d.DueAt)
	}
	waiting.sending, waiting.due = true, nil
	return &d, nil
}

// load reads the payloads of events.
func (r *round) load(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	found, err := r.w.c.Events.Stored(ctx, ids)
	for i := range found {
		r.events[found[i].ID] = &found[i]
	}
	return err
}

// nextDue returns when the lane has to look again, when nothing is under way.
func (r *round) nextDue(ctx context.Context) (time.Time, error) {
	if r.early {
		return r.w.c.Now().Add(tick), nil
	}
	next, err := r.w.c.Deliveries.NextDue(ctx, r.id)
	now := r.w.c.Now()
	if latest := now.Add(maxRetryAfter); err == nil && next.After(latest) {
		// No wait is that long: the clock was ahead when it began.
		ids, err := r.w.c.Deliveries.Waiting(ctx, r.id, latest, database.MaxBatch)
		if err != nil {
			return now, err
		}
		return now, r.w.c.Deliveries.SetDue(ctx, ids, models.DueAtOnce())
	}
	return next, err
}

// wait waits for an attempt, for being woken, or until it is time to look for
// what became due.
func (r *round) wait(ctx context.Context) error {
	again := time.NewTimer(looksAgain)
	defer again.Stop()
	select {
	case s := <-r.done:
		return r.after(ctx, s)
	case <-r.bell:
		r.exhausted = false
	case <-again.C:
		r.exhausted = false
	case <-ctx.Done():
	}
	return nil
}

// after takes in what an attempt reports.
func (r *round) after(ctx context.Context, s step) error {
	if !s.stored {
		r.sending--
		return nil
	}
	r.open--
	delete(r.busy, s.delivery.ID)
	if waiting := r.rooms[s.delivery.Order]; waiting != nil && waiting.sending {
		waiting.sending = false
		r.ready = append(r.ready, s.delivery.Order)
	}
	if s.err != nil || s.result.aborted {
		return s.err
	}
	return r.judge(ctx, s.result)
}

// judge draws conclusions about the endpoint.
func (r *round) judge(ctx context.Context, got *result) error {
	e := &r.endpoint
	r.slow = time.Duration(got.attempt.Millis)*time.Millisecond > slowAfter
	if got.ok {
		r.proved, r.failures = true, 0
		if e.FailingSince == nil {
			return nil
		}
		e.FailingSince = nil
		return r.w.c.Endpoints.Failing(ctx, r.id, nil)
	}
	r.failures++
	now := r.w.c.Now().UTC()
	reason := ""
	switch {
	case got.gone:
		reason = models.EndpointGone
	case e.FailingSince == nil:
		e.FailingSince = &now
		return r.w.c.Endpoints.Failing(ctx, r.id, &now)
	case now.Sub(*e.FailingSince) >= disableAfter:
		reason = models.EndpointFailing
	}
	if reason == "" || r.stopped {
		return nil
	}
	disabled, err := r.w.c.Endpoints.Disable(ctx, e, reason, now)
	if err != nil {
		return err
	}
	if !disabled { // it has been changed meanwhile
		return r.read(ctx)
	}
	r.stopped = true
	r.w.c.Site.Log.Warn().Str("endpoint_id", string(r.id)).Str("reason", reason).Msg("webhooks: an endpoint was disabled")
	return nil
}

// drain waits for the attempts under way.
func (r *round) drain() {
	for r.open > 0 {
		s := <-r.done
		if s.stored {
			r.open--
		} else {
			r.sending--
		}
	}
}

// panicked makes an error of a panic.
func panicked(p any) error { return models.Internal(fmt.Errorf("panic: %v", p)) }
