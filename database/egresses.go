package database

import (
	"context"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const egresses = "egresses"

// egressesCollection holds the records of egresses.
func egressesCollection() Collection {
	return Collection{
		Name: egresses,
		Fields: []Field{
			{Name: "egress_id", Kind: String}, {Name: "project_id", Kind: String}, {Name: "room_name", Kind: String},
			{Name: "status", Kind: String}, {Name: "open", Kind: Bool}, {Name: "stop_asked", Kind: Bool}, {Name: "version", Kind: Int},
			{Name: "recorded_sid", Kind: String}, {Name: "due_at", Kind: Time}, {Name: "asked.actor.kind", Kind: String},
		},
		Indexes: []Index{
			{Keys: []string{"egress_id"}, Unique: true, Partial: true},
			{Keys: []string{"project_id", "_id"}},
			{Keys: []string{"project_id", "status", "_id"}},
			{Keys: []string{"project_id", "room_name", "_id"}},
			{Keys: []string{"project_id", "room_name", "status", "_id"}},
			{Keys: []string{"project_id", "open", "_id"}},
			{Keys: []string{"open", "_id"}},
			{Keys: []string{"stop_asked", "open", "_id"}},
			{Keys: []string{"recorded_sid"}, Unique: true, Partial: true},
			{Keys: []string{"open", "project_id", "due_at"}},
			{Keys: []string{"open", "asked.actor.kind"}},
		},
	}
}

// Egresses is the repository of egresses.
type Egresses struct{ engine Engine }

// NewEgresses returns the repository over an engine.
func NewEgresses(e Engine) *Egresses { return &Egresses{e} }

// Insert stores a new record; conflict if its ids are taken.
func (r *Egresses) Insert(ctx context.Context, e *models.Egress) error {
	return r.engine.Insert(ctx, egresses, e)
}

// Get reads an egress of a project by either of its ids, or not_found.
func (r *Egresses) Get(ctx context.Context, p models.ProjectID, id string) (models.Egress, error) {
	filter := bson.D{{Key: "project_id", Value: string(p)}}
	if strings.HasPrefix(id, models.EgressPrefix) {
		filter = append(filter, bson.E{Key: "_id", Value: id})
	} else {
		filter = append(filter, bson.E{Key: "egress_id", Value: id})
	}
	return one[models.Egress](ctx, r.engine, egresses, Query{Filter: filter})
}

// Named reads those of up to MaxBatch egresses of all tenants that are stored, by
// LiveKit's ids, for the process that works on LiveKit's events.
func (r *Egresses) Named(ctx context.Context, ids []string) ([]models.Egress, error) {
	return many[models.Egress](ctx, r.engine, egresses, Query{
		Filter: bson.D{{Key: "egress_id", Value: bson.D{{Key: "$in", Value: ids}}}}, Limit: MaxBatch})
}

// EgressFilter narrows a list of egresses; zero fields narrow nothing.
type EgressFilter struct {
	Status   models.EgressStatus
	RoomName string
}

// List reads a page of a project's egresses, newest first.
func (r *Egresses) List(ctx context.Context, p models.ProjectID, f EgressFilter, at Page) ([]models.Egress, error) {
	filter := bson.D{{Key: "project_id", Value: string(p)}}
	if f.RoomName != "" {
		filter = append(filter, bson.E{Key: "room_name", Value: f.RoomName})
	}
	if f.Status != "" {
		filter = append(filter, bson.E{Key: "status", Value: string(f.Status)})
	}
	return page[models.Egress](ctx, r.engine, egresses, filter, at)
}

// WithIDs reads those of up to MaxBatch egresses of all tenants that are stored, by
// Pulse's ids, for the process that works on LiveKit's events.
func (r *Egresses) WithIDs(ctx context.Context, ids []string) ([]models.Egress, error) {
	return many[models.Egress](ctx, r.engine, egresses, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, Limit: MaxBatch})
}

// ToStop reads up to limit egresses of all tenants whose stop was requested and
// that have not ended.
func (r *Egresses) ToStop(ctx context.Context, limit int64) ([]models.Egress, error) {
	return many[models.Egress](ctx, r.engine, egresses, Query{
		Filter: bson.D{{Key: "stop_asked", Value: true}, {Key: "open", Value: true}}, Sort: bson.D{{Key: "_id", Value: 1}}, Limit: limit})
}

// CountOpen counts the egresses of a project that have not ended, up to limit.
func (r *Egresses) CountOpen(ctx context.Context, p models.ProjectID, limit int64) (int64, error) {
	return r.engine.Count(ctx, egresses, bson.D{{Key: "project_id", Value: string(p)}, {Key: "open", Value: true}}, limit)
}

// Open reads up to limit egresses of all tenants that have not ended with ids after
// one, in order of ids, for reconciliation.
func (r *Egresses) Open(ctx context.Context, after models.EgressID, limit int64) ([]models.Egress, error) {
	return many[models.Egress](ctx, r.engine, egresses, Query{
		Filter: bson.D{{Key: "open", Value: true}, {Key: "_id", Value: bson.D{{Key: "$gt", Value: string(after)}}}},
		Sort:   bson.D{{Key: "_id", Value: 1}}, Limit: limit})
}

// Asking reads up to limit egresses of all tenants that have ended and still have
// Asked.
func (r *Egresses) Asking(ctx context.Context, limit int64) ([]models.Egress, error) {
	return many[models.Egress](ctx, r.engine, egresses, Query{
		Filter: bson.D{{Key: "open", Value: false}, {Key: "asked.actor.kind", Value: bson.D{{Key: "$gt", Value: ""}}}}, Limit: limit})
}

// EgressChange is a partial update; nil keeps a field.
type EgressChange struct {
	EgressID  *string
	Status    *models.EgressStatus
	StopAsked *bool
	Layout    *string
	Outputs   *[]models.EgressOutput
	StartedAt *time.Time
	// EndedAt is as in models.Egress; the zero time takes it away.
	EndedAt    *time.Time
	Error      *string
	Results    *[]models.EgressResult
	Presumed   *bool
	CDNBaseURL *string
	// SilentAt is as in models.Egress; the zero time takes it away.
	SilentAt *time.Time
	// Begun is true if no worker has to start it any more.
	Begun bool
	// Entered is true if the audit entry of its start is stored: it takes Asked away.
	Entered bool
}

// Update changes an egress of a project, as it was read, and returns it; not_found
// if it was changed since.
func (r *Egresses) Update(ctx context.Context, was *models.Egress, c EgressChange, now time.Time) (models.Egress, error) {
	set := fields{{Key: "updated_at", Value: now}}
	setIf(&set, "egress_id", c.EgressID)
	setIf(&set, "status", c.Status)
	if c.Status != nil {
		set = append(set, bson.E{Key: "open", Value: !c.Status.Final()})
	}
	setIf(&set, "stop_asked", c.StopAsked)
	setIf(&set, "layout", c.Layout)
	setIf(&set, "outputs", c.Outputs)
	setIf(&set, "started_at", c.StartedAt)
	setIf(&set, "error", c.Error)
	setIf(&set, "results", c.Results)
	setIf(&set, "presumed", c.Presumed)
	setIf(&set, "cdn_base_url", c.CDNBaseURL)
	unset := setTimes(&set, map[string]*time.Time{"ended_at": c.EndedAt, "silent_at": c.SilentAt})
	if c.Begun {
		unset = append(unset, bson.E{Key: "due_at", Value: ""})
	}
	if c.Entered {
		unset = append(unset, bson.E{Key: "asked", Value: ""})
	}
	update := append(set.update(), bson.E{Key: "$inc", Value: bson.D{{Key: "version", Value: int64(1)}}})
	if len(unset) > 0 {
		update = append(update, bson.E{Key: "$unset", Value: unset})
	}
	return changed[models.Egress](ctx, r.engine, egresses,
		bson.D{{Key: "_id", Value: string(was.ID)}, {Key: "project_id", Value: string(was.ProjectID)}, {Key: "version", Value: was.Version}}, update)
}

// NextDue returns the project after another, in order of their ids, that has an egress
// for a worker to start; not_found if none has.
func (r *Egresses) NextDue(ctx context.Context, after models.ProjectID, now time.Time) (models.ProjectID, error) {
	found, err := one[models.Egress](ctx, r.engine, egresses, Query{
		Filter: bson.D{{Key: "open", Value: true}, {Key: "project_id", Value: bson.D{{Key: "$gt", Value: string(after)}}}, {Key: "due_at", Value: bson.D{{Key: "$lte", Value: now}}}},
		Sort:   bson.D{{Key: "project_id", Value: 1}}})
	return found.ProjectID, err
}

// ClaimDue returns an egress of a project that a worker is to start, the one that is
// due longest first, and delays it until a time by which the worker has started it or
// died; not_found if none is due.
func (r *Egresses) ClaimDue(ctx context.Context, p models.ProjectID, now, until time.Time) (models.Egress, error) {
	var out models.Egress
	err := r.engine.FindOneAndUpdate(ctx, egresses,
		bson.D{{Key: "open", Value: true}, {Key: "project_id", Value: string(p)}, {Key: "due_at", Value: bson.D{{Key: "$lte", Value: now}}}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "due_at", Value: until}}}, {Key: "$inc", Value: bson.D{{Key: "attempts", Value: int64(1)}, {Key: "version", Value: int64(1)}}}},
		FindAndUpdateOptions{Sort: bson.D{{Key: "due_at", Value: 1}}}, &out)
	return out, err
}

// Discard deletes the record of a start that was refused.
func (r *Egresses) Discard(ctx context.Context, p models.ProjectID, id models.EgressID) error {
	_, err := r.engine.Delete(ctx, egresses, bson.D{{Key: "_id", Value: string(id)}, {Key: "project_id", Value: string(p)}}, 1)
	return err
}
