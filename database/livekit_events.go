package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const liveKitEvents = "livekit_events"

// EventRetention is how long LiveKit events are kept: as long as the usage
// facts they prove, plus a week for late facts.
const EventRetention = RawUsageRetention + 7*24*time.Hour

// liveKitEventsCollection is the inbox of LiveKit events and the proof of
// usage.
func liveKitEventsCollection() Collection {
	retention := EventRetention
	return Collection{
		Name: liveKitEvents,
		Fields: []Field{
			{Name: "state", Kind: String}, {Name: "shard", Kind: Int}, {Name: "seq", Kind: Int}, {Name: "room_key", Kind: String}, {Name: "due_at", Kind: Time}, {Name: "received_at", Kind: Time},
			{Name: "project_id", Kind: String},
		},
		Indexes: []Index{
			{Keys: []string{"state", "shard", "seq"}},
			{Keys: []string{"received_at"}, ExpireAfter: &retention},
		},
	}
}

// LiveKitEvents is the repository of the inbox. It covers all tenants: a
// cluster sends events before their tenant is known.
type LiveKitEvents struct{ engine Engine }

// NewLiveKitEvents returns the repository over an engine.
func NewLiveKitEvents(e Engine) *LiveKitEvents { return &LiveKitEvents{e} }

// Insert stores an event; conflict if it is stored already.
func (r *LiveKitEvents) Insert(ctx context.Context, e *models.LiveKitEvent) error {
	return r.engine.Insert(ctx, liveKitEvents, e)
}

// InsertMany stores up to MaxBatch events and returns the indexes of those that are
// stored already; they do not change.
func (r *LiveKitEvents) InsertMany(ctx context.Context, events []models.LiveKitEvent) (present []int, err error) {
	docs := make([]any, len(events))
	for i := range events {
		docs[i] = &events[i]
	}
	return r.engine.InsertMany(ctx, liveKitEvents, docs)
}

// Due reads the pending events of a shard that are due, in order of arrival.
func (r *LiveKitEvents) Due(ctx context.Context, shard int64, now time.Time, limit int64) ([]models.LiveKitEvent, error) {
	return many[models.LiveKitEvent](ctx, r.engine, liveKitEvents, Query{
		Filter: bson.D{
			{Key: "state", Value: string(models.EventPending)}, {Key: "shard", Value: shard},
			{Key: "due_at", Value: bson.D{{Key: "$lte", Value: now}}},
		},
		Sort: bson.D{{Key: "seq", Value: 1}}, Limit: limit,
	})
}

// Ready gives those of some shards that have pending events which may be tried
// now.
func (r *LiveKitEvents) Ready(ctx context.Context, shards []int64, now time.Time) ([]int64, error) {
	groups, err := r.engine.Sum(ctx, liveKitEvents, bson.D{
		{Key: "state", Value: string(models.EventPending)}, {Key: "shard", Value: bson.D{{Key: "$in", Value: shards}}},
		{Key: "due_at", Value: bson.D{{Key: "$lte", Value: now}}},
	}, "shard", "shard")
	if err != nil {
		return nil, err
	}
	var out []int64
	for _, g := range groups {
		if shard, ok := g.Keys[0].(int64); ok {
			out = append(out, shard)
		}
	}
	return out, nil
}

// Resume makes the pending events of a shard that wait be tried now.
func (r *LiveKitEvents) Resume(ctx context.Context, shard int64) error {
	_, err := r.engine.Update(ctx, liveKitEvents, bson.D{
		{Key: "state", Value: string(models.EventPending)}, {Key: "shard", Value: shard},
		{Key: "due_at", Value: bson.D{{Key: "$gt", Value: models.DueAtOnce()}}},
	}, fields{{Key: "due_at", Value: models.DueAtOnce()}}.update(), UpdateOptions{Many: true})
	return err
}

// Done marks up to MaxBatch events as processed.
func (r *LiveKitEvents) Done(ctx context.Context, events []string) error {
	_, err := r.engine.Update(ctx, liveKitEvents, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: events}}}},
		fields{{Key: "state", Value: string(models.EventDone)}}.update(), UpdateOptions{Many: true})
	return err
}

// Postpone delays the pending events of a room until a time.
func (r *LiveKitEvents) Postpone(ctx context.Context, shard int64, roomKey string, until time.Time) error {
	_, err := r.engine.Update(ctx, liveKitEvents, bson.D{
		{Key: "state", Value: string(models.EventPending)}, {Key: "shard", Value: shard}, {Key: "room_key", Value: roomKey},
	}, fields{{Key: "due_at", Value: until}}.update(), UpdateOptions{Many: true})
	return err
}

// Failed counts a failed attempt at a pending event and sets its state;
// not_found if it is no longer pending.
func (r *LiveKitEvents) Failed(ctx context.Context, id string, state models.EventState, reason string) (models.LiveKitEvent, error) {
	return changed[models.LiveKitEvent](ctx, r.engine, liveKitEvents,
		bson.D{{Key: "_id", Value: id}, {Key: "state", Value: string(models.EventPending)}},
		bson.D{{Key: "$inc", Value: bson.D{{Key: "attempts", Value: int64(1)}}},
			{Key: "$set", Value: bson.D{{Key: "state", Value: string(state)}, {Key: "last_error", Value: reason}}}})
}

// CountIn counts the events in a state, up to limit.
func (r *LiveKitEvents) CountIn(ctx context.Context, state models.EventState, limit int64) (int64, error) {
	return r.engine.Count(ctx, liveKitEvents, bson.D{{Key: "state", Value: string(state)}}, limit)
}

// OldestIn gives when the oldest event of those shards in a state was received, zero
// if there is none. It asks for the first of each shard.
func (r *LiveKitEvents) OldestIn(ctx context.Context, state models.EventState, shards int64) (oldest time.Time, err error) {
	for shard := range shards {
		first, err := one[models.LiveKitEvent](ctx, r.engine, liveKitEvents, Query{
			Filter: bson.D{{Key: "state", Value: string(state)}, {Key: "shard", Value: shard}}, Sort: bson.D{{Key: "seq", Value: 1}},
		})
		if models.IsKind(err, models.KindNotFound) {
			continue
		}
		if err != nil {
			return time.Time{}, err
		}
		if oldest.IsZero() || first.ReceivedAt.Before(oldest) {
			oldest = first.ReceivedAt
		}
	}
	return oldest, nil
}

// LastPending gives the greatest number of the pending events of those shards, 0 if
// there is none. It asks for the last of each shard.
func (r *LiveKitEvents) LastPending(ctx context.Context, shards int64) (seq int64, err error) {
	for shard := range shards {
		last, err := one[models.LiveKitEvent](ctx, r.engine, liveKitEvents, Query{
			Filter: bson.D{{Key: "state", Value: string(models.EventPending)}, {Key: "shard", Value: shard}}, Sort: bson.D{{Key: "seq", Value: -1}},
		})
		if err != nil && !models.IsKind(err, models.KindNotFound) {
			return 0, err
		}
		seq = max(seq, last.Seq)
	}
	return seq, nil
}

// Revive makes up to limit dead events pending and due, with no attempt counted,
// and returns how many. Those of a shard are revived in order of arrival.
func (r *LiveKitEvents) Revive(ctx context.Context, limit int64) (int64, error) {
	dead := bson.D{{Key: "state", Value: string(models.EventDead)}}
	found, err := many[models.LiveKitEvent](ctx, r.engine, liveKitEvents, Query{
		Filter: dead, Sort: bson.D{{Key: "shard", Value: 1}, {Key: "seq", Value: 1}}, Limit: min(limit, MaxBatch),
	})
	if err != nil || len(found) == 0 {
		return 0, err
	}
	ids := make([]string, len(found))
	for i := range found {
		ids[i] = found[i].ID
	}
	return r.engine.Update(ctx, liveKitEvents, append(bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, dead...), fields{
		{Key: "state", Value: string(models.EventPending)}, {Key: "due_at", Value: models.DueAtOnce()}, {Key: "attempts", Value: int64(0)},
	}.update(), UpdateOptions{Many: true})
}

// Get reads up to MaxBatch events of a project by their ids.
func (r *LiveKitEvents) Get(ctx context.Context, p models.ProjectID, ids []string) ([]models.LiveKitEvent, error) {
	return many[models.LiveKitEvent](ctx, r.engine, liveKitEvents, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}, {Key: "project_id", Value: string(p)}},
		Limit:  MaxBatch,
	})
}

// Named reads an event of any tenant, for a caller that then checks whose it is;
// or not_found.
func (r *LiveKitEvents) Named(ctx context.Context, id string) (models.LiveKitEvent, error) {
	return one[models.LiveKitEvent](ctx, r.engine, liveKitEvents, Query{Filter: bson.D{{Key: "_id", Value: id}}})
}
