package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const events = "events"

// eventsCollection holds what happened, in order of arrival. A number is given
// to one event only.
func eventsCollection() Collection {
	kept := models.EventsKept
	return Collection{
		Name: events,
		Fields: []Field{
			{Name: "seq", Kind: Int}, {Name: "type", Kind: String}, {Name: "family", Kind: String}, {Name: "org_id", Kind: String},
			{Name: "project_id", Kind: String}, {Name: "at", Kind: Time}, {Name: "received_at", Kind: Time},
		},
		Indexes: []Index{
			{Keys: []string{"seq"}, Unique: true},
			{Keys: []string{"received_at"}, ExpireAfter: &kept},
			{Keys: []string{"project_id", "seq"}}, {Keys: []string{"project_id", "family", "seq"}}, {Keys: []string{"project_id", "type", "seq"}},
			{Keys: []string{"org_id", "seq"}}, {Keys: []string{"org_id", "family", "seq"}}, {Keys: []string{"org_id", "type", "seq"}},
		},
	}
}

// Events is the repository of events.
type Events struct{ engine Engine }

// NewEvents returns the repository over an engine.
func NewEvents(e Engine) *Events { return &Events{e} }

// InsertMany stores up to MaxBatch events. It gives the indexes of those whose
// id or number is taken.
func (r *Events) InsertMany(ctx context.Context, list []models.Event) ([]int, error) {
	docs := make([]any, len(list))
	for i := range list {
		docs[i] = &list[i]
	}
	return r.engine.InsertMany(ctx, events, docs)
}

// Stored gives those of up to MaxBatch ids that are stored, for the process that
// stores events of all tenants.
func (r *Events) Stored(ctx context.Context, ids []string) ([]models.Event, error) {
	return many[models.Event](ctx, r.engine, events, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, Limit: MaxBatch,
	})
}

// After reads up to limit events of all tenants, gaps included, with numbers
// above seq, in order of arrival.
func (r *Events) After(ctx context.Context, seq, limit int64) ([]models.Event, error) {
	return many[models.Event](ctx, r.engine, events, Query{
		Filter: bson.D{{Key: "seq", Value: bson.D{{Key: "$gt", Value: seq}}}}, Sort: bson.D{{Key: "seq", Value: 1}}, Limit: limit,
	})
}

// FirstSince gives the number of the event that was received first at or after a
// time, 0 if there is none.
func (r *Events) FirstSince(ctx context.Context, at time.Time) (int64, error) {
	e, err := one[models.Event](ctx, r.engine, events, Query{
		Filter: bson.D{{Key: "received_at", Value: bson.D{{Key: "$gte", Value: at}}}}, Sort: bson.D{{Key: "received_at", Value: 1}},
	})
	if models.IsKind(err, models.KindNotFound) {
		return 0, nil
	}
	return e.Seq, err
}

// EventsOf says whose events are meant: a project's, or else an organization's,
// or everybody's.
type EventsOf struct {
	Project models.ProjectID
	Org     models.OrganizationID
}

func (o EventsOf) filter() bson.D {
	switch {
	case o.Project != "":
		return bson.D{{Key: "project_id", Value: string(o.Project)}}
	case o.Org != "":
		return bson.D{{Key: "org_id", Value: string(o.Org)}}
	}
	return bson.D{}
}

// Get reads one event of a tenant, or not_found.
func (r *Events) Get(ctx context.Context, t models.Tenant, id string) (models.Event, error) {
	org, all := t.Organization()
	filter := bson.D{{Key: "_id", Value: id}}
	switch project := t.Project(); {
	case project != "":
		filter = append(filter, bson.E{Key: "project_id", Value: string(project)})
	case all:
		filter = append(filter, bson.E{Key: "type", Value: bson.D{{Key: "$ne", Value: models.EventGap}}})
	case org == "":
		return models.Event{}, models.NotFound()
	default:
		filter = append(filter, bson.E{Key: "org_id", Value: string(org)})
	}
	return one[models.Event](ctx, r.engine, events, Query{Filter: filter})
}

// Following reads up to limit events of a tenant with numbers in (after, upTo],
// in order of arrival.
func (r *Events) Following(ctx context.Context, of EventsOf, after, upTo, limit int64) ([]models.Event, error) {
	return many[models.Event](ctx, r.engine, events, Query{
		Filter: append(of.filter(), bson.E{Key: "seq", Value: bson.D{{Key: "$gt", Value: after}, {Key: "$lte", Value: upTo}}}),
		Sort:   bson.D{{Key: "seq", Value: 1}}, Limit: limit,
	})
}

// EventFilter narrows a list of events: a type or family, and [Start, End) of
// when they happened. Zero fields narrow nothing.
type EventFilter struct {
	Type, Family string
	Start, End   time.Time
	// Above leaves events with greater numbers.
	Above int64
}

func (f EventFilter) kind() bson.D {
	switch {
	case f.Type != "":
		return bson.D{{Key: "type", Value: f.Type}}
	case f.Family != "":
		return bson.D{{Key: "family", Value: f.Family}}
	}
	return nil
}

// Next reads up to limit events of a tenant of a type or family with numbers in
// (after, upTo], in order of arrival.
func (r *Events) Next(ctx context.Context, of EventsOf, f EventFilter, after, upTo, limit int64) ([]models.Event, error) {
	return many[models.Event](ctx, r.engine, events, Query{
		Filter: append(append(of.filter(), f.kind()...), bson.E{Key: "seq", Value: bson.D{{Key: "$gt", Value: after}, {Key: "$lte", Value: upTo}}}),
		Sort:   bson.D{{Key: "seq", Value: 1}}, Limit: limit,
	})
}

// List reads up to limit events of a project or organization with numbers below
// before (from the latest if 0), latest arrival first.
func (r *Events) List(ctx context.Context, of EventsOf, f EventFilter, before, limit int64) ([]models.Event, error) {
	filter := of.filter()
	if len(filter) == 0 {
		filter = bson.D{{Key: "org_id", Value: ""}}
	}
	filter = append(filter, f.kind()...)
	var at bson.D
	if !f.Start.IsZero() {
		at = append(at, bson.E{Key: "$gte", Value: f.Start})
	}
	if !f.End.IsZero() {
		at = append(at, bson.E{Key: "$lt", Value: f.End})
	}
	if at != nil {
		filter = append(filter, bson.E{Key: "at", Value: at})
	}
	var seq bson.D
	if before > 0 {
		seq = append(seq, bson.E{Key: "$lt", Value: before})
	}
	if f.Above > 0 {
		seq = append(seq, bson.E{Key: "$gt", Value: f.Above})
	}
	if seq != nil {
		filter = append(filter, bson.E{Key: "seq", Value: seq})
	}
	return many[models.Event](ctx, r.engine, events, Query{Filter: filter, Sort: bson.D{{Key: "seq", Value: -1}}, Limit: limit})
}
