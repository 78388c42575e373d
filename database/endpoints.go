package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const endpoints = "webhook_endpoints"

// EndpointSlotTaken is the code of the conflict of two endpoints in one slot.
const EndpointSlotTaken = "endpoint_slot_taken"

// endpointsCollection holds the URLs that events are sent to.
func endpointsCollection() Collection {
	return Collection{
		Name: endpoints,
		Fields: []Field{
			{Name: "owner", Kind: String}, {Name: "org_id", Kind: String}, {Name: "project_id", Kind: String},
			{Name: "is_deleted", Kind: Bool}, {Name: "enabled", Kind: Bool}, {Name: "recovering", Kind: Bool}, {Name: "updated_at", Kind: Time},
			{Name: "version", Kind: Int}, {Name: "recover_from", Kind: Int}, {Name: "slot", Kind: Int}, {Name: "announcing", Kind: Bool},
		},
		Indexes: []Index{
			{Keys: []string{"owner", "slot"}, Unique: true, Partial: true, ConflictCode: EndpointSlotTaken},
			{Keys: []string{"owner", "is_deleted"}}, {Keys: []string{"owner", "is_deleted", "_id"}},
			{Keys: []string{"recovering"}}, {Keys: []string{"announcing"}},
		},
		// A secret becomes the previous one as it is, so both are bound alike.
		Sealed: []Sealed{
			{Field: "secret", Purpose: "webhook secrets", BoundTo: "webhook endpoint {id}"},
			{Field: "previous_secret", Purpose: "webhook secrets", BoundTo: "webhook endpoint {id}"},
		},
	}
}

// Endpoints is the repository of endpoints.
type Endpoints struct{ engine Engine }

// NewEndpoints returns the repository over an engine.
func NewEndpoints(e Engine) *Endpoints { return &Endpoints{e} }

// own finds an endpoint of a tenant.
func (r *Endpoints) own(t models.Tenant, id models.EndpointID) (bson.D, error) {
	filter, err := ofOrganization(t)
	if err != nil {
		return nil, err
	}
	if project := t.Project(); project != "" {
		filter = append(filter, bson.E{Key: "project_id", Value: string(project)})
	}
	return append(filter, bson.E{Key: "_id", Value: string(id)}, alive()), nil
}

// List reads a page of the endpoints of a project or organization.
func (r *Endpoints) List(ctx context.Context, owner string, p Page) ([]models.Endpoint, error) {
	return page[models.Endpoint](ctx, r.engine, endpoints, bson.D{{Key: "owner", Value: owner}, alive()}, p)
}

// Insert stores a new endpoint; conflict EndpointSlotTaken.
func (r *Endpoints) Insert(ctx context.Context, e *models.Endpoint) error {
	return insertOnce(ctx, r.engine, endpoints, e, string(e.ID))
}

// Get reads one endpoint of a tenant, or not_found.
func (r *Endpoints) Get(ctx context.Context, t models.Tenant, id models.EndpointID) (models.Endpoint, error) {
	filter, err := r.own(t, id)
	if err != nil {
		return models.Endpoint{}, err
	}
	return one[models.Endpoint](ctx, r.engine, endpoints, Query{Filter: filter})
}

// Named reads one endpoint of any tenant, for the worker, or not_found if it is
// deleted.
func (r *Endpoints) Named(ctx context.Context, id models.EndpointID) (models.Endpoint, error) {
	return one[models.Endpoint](ctx, r.engine, endpoints, Query{Filter: bson.D{{Key: "_id", Value: string(id)}, alive()}})
}

// Of reads the endpoints of projects and organizations, for the fan-out. Owners
// times models.MaxEndpoints must not be more than MaxBatch.
func (r *Endpoints) Of(ctx context.Context, owners []string) ([]models.Endpoint, error) {
	return many[models.Endpoint](ctx, r.engine, endpoints, Query{
		Filter: bson.D{{Key: "owner", Value: bson.D{{Key: "$in", Value: owners}}}, alive()}, Limit: MaxBatch,
	})
}

// EndpointChange is a partial update; nil keeps a field. Enabling forgets why it
// was disabled and since when it failed, and makes what waits due.
type EndpointChange struct {
	URL, Description *string
	Events           *[]string
	Ordered, Enabled *bool
}

func (r *Endpoints) asRead(t models.Tenant, read *models.Endpoint) (bson.D, error) {
	filter, err := r.own(t, read.ID)
	return asRead(filter, read.Version, read.UpdatedAt), err
}

// Update changes an endpoint of a tenant, as it was read; conflict ChangedSince.
func (r *Endpoints) Update(ctx context.Context, t models.Tenant, read *models.Endpoint, c EndpointChange, now time.Time) (models.Endpoint, error) {
	filter, err := r.asRead(t, read)
	if err != nil {
		return models.Endpoint{}, err
	}
	set := fields{{Key: "updated_at", Value: now}}
	setIf(&set, "url", c.URL)
	setIf(&set, "description", c.Description)
	setIf(&set, "events", c.Events)
	setIf(&set, "ordered", c.Ordered)
	setIf(&set, "enabled", c.Enabled)
	if c.Enabled != nil && *c.Enabled {
		set = append(set, bson.E{Key: "recovering", Value: true})
	}
	update := set.update()
	if c.Enabled != nil && *c.Enabled {
		update = append(update, bson.E{Key: "$unset", Value: bson.D{
			{Key: "disabled_reason", Value: ""}, {Key: "disabled_at", Value: ""}, {Key: "failing_since", Value: ""}}})
	}
	return changedAsRead[models.Endpoint](ctx, r.engine, endpoints, filter, update)
}

// EndpointSecrets are the fresh secret of an endpoint, sealed, and until when its
// present one signs too.
type EndpointSecrets struct {
	Fresh         string
	PreviousUntil time.Time
}

// SetSecrets replaces the secret of an endpoint of a tenant as it was read;
// conflict ChangedSince.
func (r *Endpoints) SetSecrets(ctx context.Context, t models.Tenant, read *models.Endpoint, s EndpointSecrets, now time.Time) (models.Endpoint, error) {
	filter, err := r.asRead(t, read)
	if err != nil {
		return models.Endpoint{}, err
	}
	return changedAsRead[models.Endpoint](ctx, r.engine, endpoints, filter, fields{
		{Key: "secret", Value: s.Fresh}, {Key: "previous_secret", Value: read.Secret}, {Key: "previous_until", Value: s.PreviousUntil}, {Key: "updated_at", Value: now},
	}.update())
}

// Remove deletes an endpoint of a tenant, as it was read; conflict ChangedSince.
func (r *Endpoints) Remove(ctx context.Context, t models.Tenant, read *models.Endpoint, now time.Time) error {
	filter, err := r.asRead(t, read)
	if err != nil {
		return err
	}
	_, err = changedAsRead[models.Endpoint](ctx, r.engine, endpoints, filter, append(fields{
		{Key: "is_deleted", Value: true}, {Key: "enabled", Value: false}, {Key: "recovering", Value: false}, {Key: "announcing", Value: false}, {Key: "updated_at", Value: now},
	}.update(), bson.E{Key: "$unset", Value: bson.D{{Key: "slot", Value: ""}, {Key: "secret", Value: ""}, {Key: "previous_secret", Value: ""}}}))
	return err
}

// Failing notes when an endpoint began to fail, or with nil that it works.
func (r *Endpoints) Failing(ctx context.Context, id models.EndpointID, since *time.Time) error {
	update := bson.D{{Key: "$unset", Value: bson.D{{Key: "failing_since", Value: ""}}}}
	if since != nil {
		update = fields{{Key: "failing_since", Value: *since}}.update()
	}
	_, err := r.engine.Update(ctx, endpoints, bson.D{{Key: "_id", Value: string(id)}}, update, UpdateOptions{})
	return err
}

// Disable disables an endpoint as it was read; false if it has been changed or
// disabled since.
func (r *Endpoints) Disable(ctx context.Context, read *models.Endpoint, reason string, now time.Time) (bool, error) {
	_, err := changedAsRead[models.Endpoint](ctx, r.engine, endpoints, asRead(bson.D{
		{Key: "_id", Value: string(read.ID)}, {Key: "enabled", Value: true},
	}, read.Version, read.UpdatedAt), fields{{Key: "enabled", Value: false}, {Key: "disabled_reason", Value: reason}, {Key: "disabled_at", Value: now}, {Key: "announcing", Value: true}, {Key: "updated_at", Value: now}}.update())
	if models.HasCode(err, ChangedSince) {
		return false, nil
	}
	return err == nil, err
}

// Announcing reads up to limit endpoints that Pulse disabled and whose owners
// were not told.
func (r *Endpoints) Announcing(ctx context.Context, limit int64) ([]models.Endpoint, error) {
	return many[models.Endpoint](ctx, r.engine, endpoints, Query{Filter: bson.D{{Key: "announcing", Value: true}}, Limit: limit})
}

// Announced stores that the owner was informed that an endpoint, as it was read, is
// disabled.
func (r *Endpoints) Announced(ctx context.Context, read *models.Endpoint) error {
	_, err := r.engine.Update(ctx, endpoints, asRead(bson.D{{Key: "_id", Value: string(read.ID)}}, read.Version, read.UpdatedAt),
		fields{{Key: "announcing", Value: false}}.update(), UpdateOptions{})
	return err
}

// Recover has what an endpoint of a tenant missed since a time delivered.
func (r *Endpoints) Recover(ctx context.Context, t models.Tenant, id models.EndpointID, since time.Time) (models.Endpoint, error) {
	filter, err := r.own(t, id)
	if err != nil {
		return models.Endpoint{}, err
	}
	return changed[models.Endpoint](ctx, r.engine, endpoints, filter,
		fields{{Key: "recovering", Value: true}, {Key: "recover_since", Value: since}, {Key: "recover_from", Value: int64(0)}}.update())
}

// Recovering reads up to limit endpoints for which something is recovered.
func (r *Endpoints) Recovering(ctx context.Context, limit int64) ([]models.Endpoint, error) {
	return many[models.Endpoint](ctx, r.engine, endpoints, Query{Filter: bson.D{{Key: "recovering", Value: true}}, Limit: limit})
}

// Recovered notes up to which number of event an endpoint, as it was read, was
// recovered, and whether that is all.
func (r *Endpoints) Recovered(ctx context.Context, read *models.Endpoint, upTo int64, all bool) error {
	update := fields{{Key: "recover_from", Value: upTo}, {Key: "recovering", Value: !all}}.update()
	if all {
		update = append(update, bson.E{Key: "$unset", Value: bson.D{{Key: "recover_since", Value: ""}}})
	}
	_, err := r.engine.Update(ctx, endpoints, bson.D{
		{Key: "_id", Value: string(read.ID)}, {Key: "recovering", Value: true}, {Key: "recover_from", Value: read.RecoverFrom},
	}, update, UpdateOptions{})
	return err
}
