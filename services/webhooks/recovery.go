package webhooks

import (
	"context"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/required"
)

const (
	// recoveringAtOnce is for how many endpoints a pass recovers something.
	recoveringAtOnce = 20
	// recoverMargin is by how much processes' clocks may differ where a time is
	// looked for in the log, and recoverNumbers by how many events.
	recoverMargin  = 10 * time.Minute
	recoverNumbers = 1000
)

// Recovery has delivered what endpoints missed: when a tenant asks for it, and
// what waits when an endpoint is enabled.
type Recovery struct{ c RecoveryConfig }

// RecoveryConfig of NewRecovery; every field is required.
type RecoveryConfig struct {
	Events     *database.Events
	Endpoints  *database.Endpoints
	Deliveries *database.Deliveries
	Sequences  *database.Sequences
	// Wake has the deliveries of endpoints sent.
	Wake func(ids ...models.EndpointID)
	Now  func() time.Time
}

// NewRecovery returns the recovery. It fails if a required field is missing.
func NewRecovery(c RecoveryConfig) (*Recovery, error) { return &Recovery{c}, required.Fields(c) }

// Pass takes a step for each endpoint that recovers; one process at a time does.
// It tells for how many there is more to do.
func (r *Recovery) Pass(ctx context.Context) (int, error) {
	list, err := r.c.Endpoints.Recovering(ctx, recoveringAtOnce)
	if err != nil {
		return 0, err
	}
	for i := range list {
		if err := r.step(ctx, &list[i]); err != nil {
			return i, err
		}
		r.c.Wake(list[i].ID)
	}
	return len(list), nil
}

func (r *Recovery) step(ctx context.Context, e *models.Endpoint) error {
	waiting, err := r.c.Deliveries.Waiting(ctx, e.ID, r.c.Now(), database.MaxBatch)
	if err != nil {
		return err
	}
	if len(waiting) > 0 {
		if err := r.c.Deliveries.SetDue(ctx, waiting, models.DueAtOnce()); err != nil || len(waiting) == database.MaxBatch {
			return err
		}
	}
	if e.RecoverSince == nil {
		return r.c.Endpoints.Recovered(ctx, e, e.RecoverFrom, true)
	}
	from, upTo := e.RecoverFrom, int64(0)
	if from == 0 {
		first, err := r.c.Events.FirstSince(ctx, e.RecoverSince.Add(-recoverMargin))
		if err != nil {
			return err
		}
		if first == 0 { // nothing arrived since
			return r.c.Endpoints.Recovered(ctx, e, 0, true)
		}
		from = max(first-recoverNumbers, 0)
	}
	// What is behind the position is fanned out anyway.
	if upTo, err = r.c.Sequences.Last(ctx, fanned); err != nil {
		return err
	}
	of := database.EventsOf{Project: e.ProjectID, Org: e.OrgID}
	list, err := r.c.Events.Following(ctx, of, from, upTo, database.MaxBatch)
	if err != nil {
		return err
	}
	if err := r.deliver(ctx, e, list); err != nil {
		return err
	}
	all := len(list) < database.MaxBatch
	if !all {
		upTo = list[len(list)-1].Seq
	}
	return r.c.Endpoints.Recovered(ctx, e, upTo, all)
}

// deliver makes the deliveries of events that an endpoint missed, and those due
// that failed.
func (r *Recovery) deliver(ctx context.Context, e *models.Endpoint, list []models.Event) error {
	var missed []models.Delivery
	var ids []models.DeliveryID
	now := r.c.Now().UTC()
	for i := range list {
		if !list[i].At.Before(*e.RecoverSince) && hears(e, &list[i]) {
			d := deliveryOf(&list[i], e, now)
			missed, ids = append(missed, d), append(ids, d.ID)
		}
	}
	if len(missed) == 0 {
		return nil
	}
	if err := r.c.Deliveries.InsertMany(ctx, missed); err != nil {
		return err
	}
	return r.c.Deliveries.RetryFailed(ctx, e.Owner, ids, now)
}
