package database

import (
	"context"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const ingresses = "ingresses"

// ingressesCollection holds the records of ingresses.
func ingressesCollection() Collection {
	return Collection{
		Name: ingresses,
		Fields: []Field{
			{Name: "ingress_id", Kind: String}, {Name: "project_id", Kind: String}, {Name: "room_name", Kind: String}, {Name: "status", Kind: String},
			{Name: "confirmed", Kind: Bool}, {Name: "open", Kind: Bool}, {Name: "version", Kind: Int}, {Name: "due_at", Kind: Time},
		},
		Indexes: []Index{
			{Keys: []string{"ingress_id"}, Unique: true, Partial: true},
			{Keys: []string{"project_id", "confirmed", "_id"}},
			{Keys: []string{"project_id", "confirmed", "status", "_id"}},
			{Keys: []string{"project_id", "confirmed", "room_name", "_id"}},
			{Keys: []string{"project_id", "confirmed", "room_name", "status", "_id"}},
			{Keys: []string{"project_id", "open"}},
			{Keys: []string{"open", "_id"}},
			{Keys: []string{"due_at"}},
		},
	}
}

// Ingresses is the repository of ingresses.
type Ingresses struct{ engine Engine }

// NewIngresses returns the repository over an engine.
func NewIngresses(e Engine) *Ingresses { return &Ingresses{e} }

// Insert stores a new record; conflict if its ids are taken.
func (r *Ingresses) Insert(ctx context.Context, i *models.Ingress) error {
	return r.engine.Insert(ctx, ingresses, i)
}

// Get reads an ingress of a project by either of its ids, or not_found.
func (r *Ingresses) Get(ctx context.Context, p models.ProjectID, id string) (models.Ingress, error) {
	field := "ingress_id"
	if strings.HasPrefix(id, models.IngressPrefix) {
		field = "_id"
	}
	return one[models.Ingress](ctx, r.engine, ingresses, Query{Filter: bson.D{{Key: "project_id", Value: string(p)}, {Key: field, Value: id}}})
}

// Named reads those of up to MaxBatch ingresses of all tenants that are stored, by
// LiveKit's ids, for the process that works on LiveKit's events.
func (r *Ingresses) Named(ctx context.Context, ids []string) ([]models.Ingress, error) {
	return many[models.Ingress](ctx, r.engine, ingresses, Query{
		Filter: bson.D{{Key: "ingress_id", Value: bson.D{{Key: "$in", Value: ids}}}}, Limit: MaxBatch})
}

// IngressFilter narrows a list of ingresses; zero fields narrow nothing.
type IngressFilter struct {
	Status   models.IngressStatus
	RoomName string
}

// List reads a page of a project's ingresses that LiveKit has made, newest first.
func (r *Ingresses) List(ctx context.Context, p models.ProjectID, f IngressFilter, at Page) ([]models.Ingress, error) {
	filter := bson.D{{Key: "project_id", Value: string(p)}, {Key: "confirmed", Value: true}}
	if f.RoomName != "" {
		filter = append(filter, bson.E{Key: "room_name", Value: f.RoomName})
	}
	if f.Status != "" {
		filter = append(filter, bson.E{Key: "status", Value: string(f.Status)})
	}
	return page[models.Ingress](ctx, r.engine, ingresses, filter, at)
}

// CountOpen counts the ingresses of a project that may publish, up to limit.
func (r *Ingresses) CountOpen(ctx context.Context, p models.ProjectID, limit int64) (int64, error) {
	return r.engine.Count(ctx, ingresses, bson.D{{Key: "project_id", Value: string(p)}, {Key: "open", Value: true}}, limit)
}

// Open reads up to limit ingresses of all tenants that may publish with ids after
// one, in order of ids, for reconciliation.
func (r *Ingresses) Open(ctx context.Context, after models.IngressID, limit int64) ([]models.Ingress, error) {
	return many[models.Ingress](ctx, r.engine, ingresses, Query{
		Filter: bson.D{{Key: "open", Value: true}, {Key: "_id", Value: bson.D{{Key: "$gt", Value: string(after)}}}},
		Sort:   bson.D{{Key: "_id", Value: 1}}, Limit: limit})
}

// Due reads up to limit ingresses of all tenants that Pulse is to look at again, those
// first that are due longest.
func (r *Ingresses) Due(ctx context.Context, now time.Time, limit int64) ([]models.Ingress, error) {
	return many[models.Ingress](ctx, r.engine, ingresses, Query{
		Filter: bson.D{{Key: "due_at", Value: bson.D{{Key: "$lte", Value: now}}}}, Sort: bson.D{{Key: "due_at", Value: 1}}, Limit: limit})
}

// IngressChange is a partial update; nil keeps a field.
type IngressChange struct {
	IngressID           *string
	Name                *string
	RoomName            *string
	ParticipantIdentity *string
	ParticipantName     *string
	ParticipantMetadata *string
	URL                 *string
	EnableTranscoding   *bool
	Enabled             *bool
	Audio               *models.IngressAudio
	Video               *models.IngressVideo
	Status              *models.IngressStatus
	Error               *string
	StartedAt           *time.Time
	EndedAt             *time.Time
	StateAt             *time.Time
	Confirmed           *bool
	Open                *bool
	DeleteAsked         *bool
	DueAt               *time.Time
}

// Update changes an ingress of a project, as it was read, and returns it; not_found
// if it was changed since. A zero EndedAt or DueAt takes the time away.
func (r *Ingresses) Update(ctx context.Context, was *models.Ingress, c IngressChange, now time.Time) (models.Ingress, error) {
	set := fields{{Key: "updated_at", Value: now}}
	setIf(&set, "ingress_id", c.IngressID)
	setIf(&set, "name", c.Name)
	setIf(&set, "room_name", c.RoomName)
	setIf(&set, "participant_identity", c.ParticipantIdentity)
	setIf(&set, "participant_name", c.ParticipantName)
	setIf(&set, "participant_metadata", c.ParticipantMetadata)
	setIf(&set, "url", c.URL)
	setIf(&set, "enable_transcoding", c.EnableTranscoding)
	setIf(&set, "enabled", c.Enabled)
	setIf(&set, "audio", c.Audio)
	setIf(&set, "video", c.Video)
	setIf(&set, "status", c.Status)
	setIf(&set, "error", c.Error)
	setIf(&set, "started_at", c.StartedAt)
	setIf(&set, "state_at", c.StateAt)
	setIf(&set, "confirmed", c.Confirmed)
	setIf(&set, "open", c.Open)
	setIf(&set, "delete_asked", c.DeleteAsked)
	unset := setTimes(&set, map[string]*time.Time{"ended_at": c.EndedAt, "due_at": c.DueAt})
	update := append(set.update(), bson.E{Key: "$inc", Value: bson.D{{Key: "version", Value: int64(1)}}})
	if len(unset) > 0 {
		update = append(update, bson.E{Key: "$unset", Value: unset})
	}
	return changed[models.Ingress](ctx, r.engine, ingresses,
		bson.D{{Key: "_id", Value: string(was.ID)}, {Key: "project_id", Value: string(was.ProjectID)}, {Key: "version", Value: was.Version}}, update)
}

// Delete removes an ingress of a project; one that is not there is not an error.
func (r *Ingresses) Delete(ctx context.Context, p models.ProjectID, id models.IngressID) error {
	_, err := r.engine.Delete(ctx, ingresses, bson.D{{Key: "_id", Value: string(id)}, {Key: "project_id", Value: string(p)}}, 1)
	return err
}
