package webhooks

import (
	"context"
	"slices"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/events"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/required"
)

// fanned is the sequence that holds up to which event deliveries were made.
const fanned = "events|fanned"

const (
	// fanBatch is how many events are fanned out together.
	fanBatch = 500
	// ownersAtOnce have at most database.MaxBatch endpoints.
	ownersAtOnce = database.MaxBatch / models.MaxEndpoints
)

// Fanout makes the deliveries of events: one document an event and endpoint.
type Fanout struct{ c FanoutConfig }

// FanoutConfig of NewFanout; every field is required.
type FanoutConfig struct {
	Log        *events.Log
	Endpoints  *database.Endpoints
	Deliveries *database.Deliveries
	Sequences  *database.Sequences
	// Wake has the deliveries of endpoints sent.
	Wake func(ids ...models.EndpointID)
	Now  func() time.Time
}

// NewFanout returns the fan-out. It fails if a required field is missing.
func NewFanout(c FanoutConfig) (*Fanout, error) { return &Fanout{c}, required.Fields(c) }

// Pass fans out the events behind the stored position and then moves it; one
// process at a time does. It returns how many events it worked on. Deliveries that
// a pass made before it died are met again and left as they are.
func (f *Fanout) Pass(ctx context.Context) (int, error) {
	position, err := f.c.Sequences.Last(ctx, fanned)
	if err != nil {
		return 0, err
	}
	list, err := f.c.Log.After(ctx, position, fanBatch)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	endpoints, err := f.endpointsOf(ctx, list)
	if err != nil {
		return 0, err
	}
	made, now := []models.Delivery{}, f.c.Now().UTC()
	var woken []models.EndpointID
	for i := range list {
		e := &list[i]
		for _, owner := range ownersOf(e) {
			for _, endpoint := range endpoints[owner] {
				if !hears(&endpoint, e) {
					continue
				}
				made = append(made, deliveryOf(e, &endpoint, now))
				if !slices.Contains(woken, endpoint.ID) {
					woken = append(woken, endpoint.ID)
				}
			}
		}
	}
	for chunk := range slices.Chunk(made, database.MaxBatch) {
		if err := f.c.Deliveries.InsertMany(ctx, chunk); err != nil {
			return 0, err
		}
	}
	if err := f.c.Sequences.Reach(ctx, fanned, list[len(list)-1].Seq); err != nil {
		return 0, err
	}
	f.c.Wake(woken...)
	return len(list), nil
}

// endpointsOf reads the endpoints of the owners of events, by owner.
func (f *Fanout) endpointsOf(ctx context.Context, list []models.Event) (map[string][]models.Endpoint, error) {
	var owners []string
	known := map[string]bool{}
	for i := range list {
		for _, owner := range ownersOf(&list[i]) {
			if !known[owner] {
				known[owner] = true
				owners = append(owners, owner)
			}
		}
	}
	out := map[string][]models.Endpoint{}
	for chunk := range slices.Chunk(owners, ownersAtOnce) {
		found, err := f.c.Endpoints.Of(ctx, chunk)
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			out[e.Owner] = append(out[e.Owner], e)
		}
	}
	return out, nil
}

// ownersOf gives the owners of endpoints that receive an event: its project and its organization.
func ownersOf(e *models.Event) []string {
	var out []string
	if e.Type == models.EventGap {
		return out
	}
	if e.ProjectID != "" {
		out = append(out, string(e.ProjectID))
	}
	if e.OrgID != "" {
		out = append(out, string(e.OrgID))
	}
	return out
}

// hears reports whether an event of an endpoint's owner is for it.
func hears(endpoint *models.Endpoint, e *models.Event) bool {
	if e.Type == models.EventGap || !endpoint.Enabled || endpoint.IsDeleted {
		return false
	}
	if e.Only != "" {
		return e.Only == endpoint.ID
	}
	return slices.ContainsFunc(endpoint.Events, func(pattern string) bool { return models.EventMatches(pattern, e.Type) })
}

// deliveryOf is the delivery of an event to an endpoint, due at once.
func deliveryOf(e *models.Event, endpoint *models.Endpoint, now time.Time) models.Delivery {
	return models.Delivery{
		ID: models.DeliveryID(ids.Derived(models.DeliveryPrefix, e.At, e.ID, string(endpoint.ID))), EndpointID: endpoint.ID, OrgID: endpoint.OrgID, Owner: endpoint.Owner,
		EventID: e.ID, EventType: e.Type, Seq: e.Seq, Order: e.Order, Shard: models.ShardOfEndpoint(endpoint.ID),
		State: models.DeliveryPending, DueAt: models.DueAtOnce(), CreatedAt: now, UpdatedAt: now,
	}
}
