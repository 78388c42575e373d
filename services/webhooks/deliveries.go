package webhooks

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/events"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/utils/intent"
)

// DeliveryDetails is a delivery with the body of its requests, nil once that has
// expired.
type DeliveryDetails struct {
	models.Delivery
	Body []byte
}

// DeliveryQuery narrows a list of deliveries. Of an endpoint, no owner need be
// named.
type DeliveryQuery struct {
	Owner    Owner
	Endpoint models.EndpointID
	State    models.DeliveryState
}

// Deliveries reads a page of deliveries, those of the latest events first.
func (s *Endpoints) Deliveries(ctx context.Context, actor *models.Principal, q DeliveryQuery, p paging.Request) (paging.Page[models.Delivery], error) {
	scope := database.DeliveryScope{Endpoint: q.Endpoint, State: q.State}
	if q.Endpoint != "" {
		e, err := s.find(ctx, actor, models.ActionWebhooksRead, q.Endpoint)
		if err != nil {
			return paging.Page[models.Delivery]{}, err
		}
		if q.Owner.Project != "" && q.Owner.Project != e.ProjectID || q.Owner.Org != "" && q.Owner.Org != e.OrgID {
			return paging.Page[models.Delivery]{}, models.NotFound()
		}
		scope.Owner = e.Owner
	} else {
		owner, err := s.owner(ctx, actor, models.ActionWebhooksRead, q.Owner)
		if err != nil {
			return paging.Page[models.Delivery]{}, err
		}
		scope.Owner = owner.key()
	}
	list := "deliveries|" + scope.Owner + "|" + string(q.Endpoint) + "|" + string(q.State)
	return paging.ByID(s.c.Cursors, actor, list, p, func(at database.Page) ([]models.Delivery, error) {
		return s.c.Deliveries.List(ctx, scope, at)
	}, func(d models.Delivery) string { return string(d.ID) })
}

// Delivery reads a delivery, or not_found.
func (s *Endpoints) Delivery(ctx context.Context, actor *models.Principal, id models.DeliveryID) (DeliveryDetails, error) {
	d, err := s.delivery(ctx, actor, models.ActionWebhooksRead, id)
	if err != nil {
		return DeliveryDetails{}, err
	}
	out := DeliveryDetails{Delivery: d}
	found, err := s.c.Events.Stored(ctx, []string{d.EventID})
	if err == nil && len(found) > 0 {
		out.Body, err = events.Encode(&found[0])
	}
	return out, err
}

// delivery reads a delivery that a caller may act on.
func (s *Endpoints) delivery(ctx context.Context, actor *models.Principal, action models.Action, id models.DeliveryID) (models.Delivery, error) {
	if err := actor.May(action); err != nil {
		return models.Delivery{}, err
	}
	d, err := s.c.Deliveries.Get(ctx, actor.Tenant(), id)
	if err != nil {
		return models.Delivery{}, err
	}
	if d.Owner == string(d.OrgID) {
		return d, mayOrganization(actor)
	}
	if actor.Project == nil {
		_, err = s.c.Projects.Get(ctx, actor.Tenant(), models.ProjectID(d.Owner))
	}
	return d, err
}

// Retry has a delivery sent again at once, whatever became of it. conflict
// endpoint_disabled; not_found if the endpoint is deleted.
func (s *Endpoints) Retry(ctx context.Context, actor *models.Principal, id models.DeliveryID) (d models.Delivery, err error) {
	if d, err = s.delivery(ctx, actor, models.ActionWebhooksWrite, id); err != nil {
		return models.Delivery{}, err
	}
	e, err := s.c.Endpoints.Get(ctx, actor.Tenant(), d.EndpointID)
	if err != nil {
		return models.Delivery{}, err
	}
	if err := enabled(&e); err != nil {
		return models.Delivery{}, err
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{OrgID: d.OrgID, Action: "webhooks.delivery_retried", Type: "delivery", ID: string(id),
		After: map[string]any{"endpoint_id": d.EndpointID, "event_id": d.EventID}})
	if err != nil {
		return models.Delivery{}, err
	}
	defer entry.End(ctx, &err)
	if d, err = s.c.Deliveries.Retry(ctx, actor.Tenant(), id, s.c.Now().UTC()); err != nil {
		return models.Delivery{}, err
	}
	s.c.Wake(e.ID)
	return d, nil
}

func enabled(e *models.Endpoint) error {
	if !e.Enabled {
		return models.Conflict("endpoint_disabled", "This webhook endpoint is disabled; enable it first.")
	}
	return nil
}

// Test sends an event of type webhook.test to an endpoint alone. conflict
// endpoint_disabled.
func (s *Endpoints) Test(ctx context.Context, actor *models.Principal, id models.EndpointID) (d models.Delivery, err error) {
	e, err := s.find(ctx, actor, models.ActionWebhooksWrite, id)
	if err != nil {
		return models.Delivery{}, err
	}
	if err := enabled(&e); err != nil {
		return models.Delivery{}, err
	}
	data, err := json.Marshal(struct {
		EndpointID models.EndpointID `json:"endpoint_id"`
	}{id})
	if err != nil {
		return models.Delivery{}, models.Internal(err)
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{OrgID: e.OrgID, Action: "webhooks.endpoint_tested", Type: "endpoint", ID: string(id)})
	if err != nil {
		return models.Delivery{}, err
	}
	defer entry.End(ctx, &err)
	now := s.c.Now().UTC().Truncate(time.Millisecond)
	event := models.Event{ID: intent.ID(ctx, models.EventPrefix), Type: events.EndpointTest, OrgID: e.OrgID, ProjectID: e.ProjectID, Only: id, At: now, Data: string(data)}
	if err := s.c.Log.Record(ctx, &event); err != nil {
		return models.Delivery{}, err
	}
	list, err := s.send(ctx, event.ID, []models.Endpoint{e})
	if err != nil {
		return models.Delivery{}, err
	}
	return list[0], nil
}

// Resend has an event sent again to the endpoints that receive it: those of its
// project or organization that the caller may act on, or one of them. not_found;
// conflict no_endpoint if no enabled endpoint receives it.
func (s *Endpoints) Resend(ctx context.Context, actor *models.Principal, event string, only models.EndpointID) (list []models.Delivery, err error) {
	if err := actor.May(models.ActionWebhooksWrite); err != nil {
		return nil, err
	}
	e, err := s.c.Events.Get(ctx, actor.Tenant(), event)
	if err != nil {
		return nil, err
	}
	if only != "" {
		if _, err := s.find(ctx, actor, models.ActionWebhooksWrite, only); err != nil {
			return nil, err
		}
	}
	var owners []string
	for _, owner := range ownersOf(&e) {
		if owner == string(e.ProjectID) || mayOrganization(actor) == nil {
			owners = append(owners, owner)
		}
	}
	var found []models.Endpoint
	if len(owners) > 0 {
		if found, err = s.c.Endpoints.Of(ctx, owners); err != nil {
			return nil, err
		}
	}
	var hearing []models.Endpoint
	for i := range found {
		if hears(&found[i], &e) && (only == "" || only == found[i].ID) {
			hearing = append(hearing, found[i])
		}
	}
	if len(hearing) == 0 {
		return nil, models.Conflict("no_endpoint", "No enabled webhook endpoint is subscribed to this event.")
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{OrgID: e.OrgID, Action: "webhooks.event_resent", Type: "event", ID: e.ID,
		After: map[string]any{"project_id": e.ProjectID, "endpoints": len(hearing)}})
	if err != nil {
		return nil, err
	}
	defer entry.End(ctx, &err)
	return s.send(ctx, e.ID, hearing)
}

// send makes the deliveries of a stored event to endpoints and has them sent now.
func (s *Endpoints) send(ctx context.Context, event string, to []models.Endpoint) ([]models.Delivery, error) {
	stored, err := s.c.Events.Stored(ctx, []string{event})
	if err != nil {
		return nil, err
	}
	if len(stored) == 0 {
		return nil, models.NotFound()
	}
	now := s.c.Now().UTC()
	list := make([]models.Delivery, len(to))
	known := make([]models.DeliveryID, len(to))
	for i := range to {
		list[i] = deliveryOf(&stored[0], &to[i], now)
		known[i] = list[i].ID
	}
	if err := s.c.Deliveries.InsertMany(ctx, list); err != nil {
		return nil, err
	}
	for i := range to { // those that were there are sent again
		if list[i], err = s.c.Deliveries.Retry(ctx, models.TenantOf(to[i].OrgID), known[i], now); err != nil {
			return nil, err
		}
		s.c.Wake(to[i].ID)
	}
	return list, nil
}

// Recover has everything delivered to an endpoint that happened since a time,
// within models.EventsKept, and was not delivered. conflict endpoint_disabled.
func (s *Endpoints) Recover(ctx context.Context, actor *models.Principal, id models.EndpointID, since time.Time) (e models.Endpoint, err error) {
	if e, err = s.find(ctx, actor, models.ActionWebhooksWrite, id); err != nil {
		return models.Endpoint{}, err
	}
	if err := enabled(&e); err != nil {
		return models.Endpoint{}, err
	}
	now := s.c.Now()
	if since.After(now) || since.Before(now.Add(-models.EventsKept)) {
		return models.Endpoint{}, models.Invalid(models.FieldError{Location: "since", Message: "must be within the last 30 days"})
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{OrgID: e.OrgID, Action: "webhooks.endpoint_recovered", Type: "endpoint", ID: string(id),
		After: map[string]any{"since": since.UTC()}})
	if err != nil {
		return models.Endpoint{}, err
	}
	defer entry.End(ctx, &err)
	if e, err = s.c.Endpoints.Recover(ctx, actor.Tenant(), id, since.UTC()); err != nil {
		return models.Endpoint{}, err
	}
	s.c.Recover()
	return e, nil
}
