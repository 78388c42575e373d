package database

import (
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const usageSessions = "usage_sessions"

// usageSessionsCollection holds the usage sessions.
func usageSessionsCollection() Collection {
	return Collection{
		Name: usageSessions,
		Fields: []Field{
			{Name: "project_id", Kind: String}, {Name: "subject", Kind: String}, {Name: "room_sid", Kind: String}, {Name: "room_name", Kind: String},
			{Name: "identity", Kind: String}, {Name: "kind", Kind: String}, {Name: "open", Kind: Bool}, {Name: "joined_at", Kind: Time}, {Name: "left_at", Kind: Time}, {Name: "version", Kind: Int},
			{Name: "name", Kind: String}, {Name: "meter", Kind: String},
		},
		Indexes: []Index{
			{Keys: []string{"project_id", "subject", "joined_at", "_id"}},
			{Keys: []string{"project_id", "subject", "left_at", "_id"}},
			{Keys: []string{"project_id", "identity", "joined_at", "_id"}},
			{Keys: []string{"project_id", "open", "_id"}},
			{Keys: []string{"room_sid", "open", "_id"}},
			{Keys: []string{"name"}},
			{Keys: []string{"open", "_id"}},
		},
	}
}

// UsageSessions is the repository of usage sessions.
type UsageSessions struct{ engine Engine }

// NewUsageSessions returns the repository over an engine.
func NewUsageSessions(e Engine) *UsageSessions { return &UsageSessions{e} }

// Named reads up to MaxBatch usage sessions of any tenant by their ids.
func (r *UsageSessions) Named(ctx context.Context, ids []string) ([]models.UsageSession, error) {
	return many[models.UsageSession](ctx, r.engine, usageSessions, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, Limit: MaxBatch,
	})
}

// InRoom reads a page, in order of ids, of the participants in a room of any
// tenant that are open, or have ended at a time or later.
func (r *UsageSessions) InRoom(ctx context.Context, roomSID string, open bool, since time.Time, after string, limit int64) ([]models.UsageSession, error) {
	filter := bson.D{
		{Key: "room_sid", Value: roomSID}, {Key: "open", Value: open}, {Key: "subject", Value: string(models.SubjectParticipant)},
		{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}},
	}
	if !open {
		filter = append(filter, bson.E{Key: "left_at", Value: bson.D{{Key: "$gte", Value: since}}})
	}
	return many[models.UsageSession](ctx, r.engine, usageSessions, Query{Filter: filter, Sort: bson.D{{Key: "_id", Value: 1}}, Limit: limit})
}

// maxNamed bounds the usage sessions of some names that are read at once.
const maxNamed = 10 * MaxBatch

// WithNames reads the usage sessions with up to MaxBatch names that are open or
// ended at a time or later, no more than ten times as many.
func (r *UsageSessions) WithNames(ctx context.Context, names []string, since time.Time) ([]models.UsageSession, error) {
	return many[models.UsageSession](ctx, r.engine, usageSessions, Query{
		Filter: bson.D{{Key: "name", Value: bson.D{{Key: "$in", Value: names}}}, {Key: "$or", Value: bson.A{
			bson.D{{Key: "open", Value: true}},
			bson.D{{Key: "left_at", Value: bson.D{{Key: "$gte", Value: since}}}},
		}}},
		Limit: maxNamed,
	})
}

// Open reads a page of the open usage sessions of all tenants, in order of ids.
func (r *UsageSessions) Open(ctx context.Context, after string, limit int64) ([]models.UsageSession, error) {
	return many[models.UsageSession](ctx, r.engine, usageSessions, Query{
		Filter: bson.D{{Key: "open", Value: true}, {Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}},
		Sort:   bson.D{{Key: "_id", Value: 1}}, Limit: limit,
	})
}

// Last reads the usage session of any tenant with the greatest id after one and up to
// another, or not_found.
func (r *UsageSessions) Last(ctx context.Context, after, last string) (models.UsageSession, error) {
	return one[models.UsageSession](ctx, r.engine, usageSessions, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}, {Key: "$lte", Value: last}}}}, Sort: bson.D{{Key: "_id", Value: -1}},
	})
}

// InsertMany stores up to MaxBatch new usage sessions and returns the indexes
// of those that exist already; they do not change.
func (r *UsageSessions) InsertMany(ctx context.Context, sessions []*models.UsageSession) (present []int, err error) {
	docs := make([]any, len(sessions))
	for i, s := range sessions {
		docs[i] = s
	}
	return r.engine.InsertMany(ctx, usageSessions, docs)
}

// Replace stores a usage session if its version is unchanged, and increments
// the version; conflict otherwise.
func (r *UsageSessions) Replace(ctx context.Context, s *models.UsageSession) error {
	next := *s
	next.Version++
	set, unset, err := replacement(&next, "joined_at", "left_at", "metered_from", "metered_to", "end_reason", "token_issued_at", "clamped", "meter", "name")
	if err != nil {
		return err
	}
	update := bson.D{{Key: "$set", Value: set}}
	if len(unset) > 0 {
		update = append(update, bson.E{Key: "$unset", Value: unset})
	}
	matched, err := r.engine.Update(ctx, usageSessions,
		bson.D{{Key: "_id", Value: s.ID}, {Key: "version", Value: s.Version}}, update, UpdateOptions{})
	if err != nil {
		return err
	}
	if matched == 0 {
		return models.Conflict("concurrent_change", "The session was changed at the same time.")
	}
	s.Version = next.Version
	return nil
}

// replacement returns the $set of a whole document and the $unset of its absent
// optional fields.
func replacement(doc any, optional ...string) (set, unset bson.D, err error) {
	raw, err := bson.Marshal(doc)
	if err != nil {
		return nil, nil, models.Internal(err)
	}
	elements, err := bson.Raw(raw).Elements()
	if err != nil {
		return nil, nil, models.Internal(err)
	}
	present := map[string]bool{}
	for _, e := range elements {
		present[e.Key()] = true
		if e.Key() != "_id" {
			set = append(set, bson.E{Key: e.Key(), Value: e.Value()})
		}
	}
	for _, name := range optional {
		if !present[name] {
			unset = append(unset, bson.E{Key: name, Value: ""})
		}
	}
	return set, unset, nil
}

// UsageSessionFilter narrows a list; empty fields do not.
type UsageSessionFilter struct {
	RoomName, Identity, RoomSID, Kind string
	// Subject is participants if empty.
	Subject models.Subject
	// Open leaves those that have not ended, or (false) those that have.
	Open *bool
	// Start and End leave those that joined in [Start, End).
	Start, End time.Time
	// JoinedBefore and AfterID identify the last usage session of the previous
	// page.
	JoinedBefore time.Time
	AfterID      string
}

// Get reads one usage session of a project, or not_found.
func (r *UsageSessions) Get(ctx context.Context, p models.ProjectID, id string) (models.UsageSession, error) {
	return one[models.UsageSession](ctx, r.engine, usageSessions, Query{
		Filter: bson.D{{Key: "_id", Value: id}, {Key: "project_id", Value: string(p)}},
	})
}

// List reads the usage sessions of a project, latest first.
func (r *UsageSessions) List(ctx context.Context, p models.ProjectID, f UsageSessionFilter, limit int64) ([]models.UsageSession, error) {
	subject := f.Subject
	if subject == "" {
		subject = models.SubjectParticipant
	}
	filter := bson.D{{Key: "project_id", Value: string(p)}, {Key: "subject", Value: string(subject)}}
	for _, field := range []struct{ name, value string }{
		{"room_name", f.RoomName}, {"identity", f.Identity}, {"room_sid", f.RoomSID}, {"kind", f.Kind},
	} {
		if field.value != "" {
			filter = append(filter, bson.E{Key: field.name, Value: field.value})
		}
	}
	if f.Open != nil {
		filter = append(filter, bson.E{Key: "open", Value: *f.Open})
	}
	var joined bson.D
	if !f.Start.IsZero() {
		joined = append(joined, bson.E{Key: "$gte", Value: f.Start})
	}
	if !f.End.IsZero() {
		joined = append(joined, bson.E{Key: "$lt", Value: f.End})
	}
	if f.AfterID != "" {
		joined = append(joined, bson.E{Key: "$lte", Value: f.JoinedBefore})
	}
	if len(joined) > 0 {
		filter = append(filter, bson.E{Key: "joined_at", Value: joined})
	}
	if f.AfterID != "" {
		filter = append(filter,
			bson.E{Key: "$or", Value: bson.A{
				bson.D{{Key: "joined_at", Value: bson.D{{Key: "$lt", Value: f.JoinedBefore}}}},
				bson.D{{Key: "_id", Value: bson.D{{Key: "$lt", Value: f.AfterID}}}},
			}})
	}
	return many[models.UsageSession](ctx, r.engine, usageSessions, Query{
		Filter: filter, Sort: bson.D{{Key: "joined_at", Value: -1}, {Key: "_id", Value: -1}}, Limit: limit,
	})
}

// EachOpen calls each for the open usage sessions of a project, up to limit. It
// reads them page by page, in order of their ids.
func (r *UsageSessions) EachOpen(ctx context.Context, p models.ProjectID, limit int64, each func(models.UsageSession) error) error {
	return pages(ctx, r.engine, usageSessions, bson.D{{Key: "project_id", Value: string(p)}, {Key: "open", Value: true}}, "_id", limit,
		func(s *models.UsageSession) string { return s.ID }, each)
}

// EachEnded calls each for the participants of a project that left after start
// and joined before end, up to limit. It reads them page by page, in the order
// in which they left.
func (r *UsageSessions) EachEnded(ctx context.Context, p models.ProjectID, start, end time.Time, limit int64, each func(models.UsageSession) error) error {
	filter := bson.D{
		{Key: "project_id", Value: string(p)}, {Key: "subject", Value: string(models.SubjectParticipant)},
		{Key: "joined_at", Value: bson.D{{Key: "$lt", Value: end}}},
	}
	left := bson.D{{Key: "left_at", Value: bson.D{{Key: "$gt", Value: start}}}}
	for limit > 0 {
		size := min(limit, MaxBatch)
		batch, err := many[models.UsageSession](ctx, r.engine, usageSessions, Query{
			Filter: append(slices.Clone(filter), left...),
			Sort:   bson.D{{Key: "left_at", Value: 1}, {Key: "_id", Value: 1}}, Limit: size,
		})
		if err != nil {
			return err
		}
		for i := range batch {
			if err := each(batch[i]); err != nil {
				return err
			}
		}
		if int64(len(batch)) < size {
			return nil
		}
		limit -= size
		last := batch[len(batch)-1]
		left = bson.D{
			{Key: "left_at", Value: bson.D{{Key: "$gte", Value: last.LeftAt}}},
			{Key: "$or", Value: bson.A{
				bson.D{{Key: "left_at", Value: bson.D{{Key: "$gt", Value: last.LeftAt}}}},
				bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: last.ID}}}},
			}},
		}
	}
	return nil
}

// JoinedIn reads a page of the participants of a project that joined in [start,
// end), in the order in which they did, after one of the page before.
func (r *UsageSessions) JoinedIn(ctx context.Context, p models.ProjectID, start, end time.Time, after *models.UsageSession, limit int64) ([]models.UsageSession, error) {
	if after == nil {
		return r.inOrder(ctx, p, "joined_at", start, end, "", limit)
	}
	return r.inOrder(ctx, p, "joined_at", after.JoinedAt, end, after.ID, limit)
}

// LeftIn does so for those that left.
func (r *UsageSessions) LeftIn(ctx context.Context, p models.ProjectID, start, end time.Time, after *models.UsageSession, limit int64) ([]models.UsageSession, error) {
	if after == nil {
		return r.inOrder(ctx, p, "left_at", start, end, "", limit)
	}
	return r.inOrder(ctx, p, "left_at", after.LeftAt, end, after.ID, limit)
}

// inOrder reads those with a time in [from, end); of those at from, the ones with
// ids after one.
func (r *UsageSessions) inOrder(ctx context.Context, p models.ProjectID, field string, from, end time.Time, afterID string, limit int64) ([]models.UsageSession, error) {
	filter := bson.D{
		{Key: "project_id", Value: string(p)}, {Key: "subject", Value: string(models.SubjectParticipant)},
		{Key: field, Value: bson.D{{Key: "$gte", Value: from}, {Key: "$lt", Value: end}}},
	}
	if afterID != "" {
		filter = append(filter, bson.E{Key: "$or", Value: bson.A{
			bson.D{{Key: field, Value: bson.D{{Key: "$gt", Value: from}}}},
			bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: afterID}}}},
		}})
	}
	return many[models.UsageSession](ctx, r.engine, usageSessions, Query{
		Filter: filter, Sort: bson.D{{Key: field, Value: 1}, {Key: "_id", Value: 1}}, Limit: limit,
	})
}

// OpenLike reads up to limit open usage sessions with the subject, room and
// identity of s.
func (r *UsageSessions) OpenLike(ctx context.Context, s *models.UsageSession, limit int64) ([]models.UsageSession, error) {
	filter := bson.D{{Key: "project_id", Value: string(s.ProjectID)}, {Key: "open", Value: true}, {Key: "subject", Value: string(s.Subject)},
		{Key: "room_name", Value: s.RoomName}}
	if s.Identity != "" {
		filter = append(filter, bson.E{Key: "identity", Value: s.Identity})
	}
	return many[models.UsageSession](ctx, r.engine, usageSessions, Query{Filter: filter, Limit: limit})
}

// OpenSubject reads up to limit open usage sessions of a subject in a project.
func (r *UsageSessions) OpenSubject(ctx context.Context, p models.ProjectID, subject models.Subject, limit int64) ([]models.UsageSession, error) {
	return many[models.UsageSession](ctx, r.engine, usageSessions, Query{
		Filter: bson.D{{Key: "project_id", Value: string(p)}, {Key: "open", Value: true}, {Key: "subject", Value: string(subject)}},
		Limit:  limit,
	})
}

// OpenProjects lists the projects of all tenants with an open usage session.
func (r *UsageSessions) OpenProjects(ctx context.Context) ([]models.ProjectID, error) {
	groups, err := r.engine.Sum(ctx, usageSessions, bson.D{{Key: "open", Value: true}}, "version", "project_id")
	if err != nil {
		return nil, err
	}
	out := make([]models.ProjectID, 0, len(groups))
	for _, g := range groups {
		if id, ok := g.Keys[0].(string); ok {
			out = append(out, models.ProjectID(id))
		}
	}
	return out, nil
}

// OpenOf reads up to limit of the open stays in a project of an identity, or of
// what LiveKit makes of it with "#" (models.TokenIdentities).
func (r *UsageSessions) OpenOf(ctx context.Context, p models.ProjectID, identity string, limit int64) ([]models.UsageSession, error) {
	return many[models.UsageSession](ctx, r.engine, usageSessions, Query{
		Filter: bson.D{{Key: "project_id", Value: string(p)}, {Key: "open", Value: true}, {Key: "$or", Value: bson.A{
			bson.D{{Key: "identity", Value: identity}},
			bson.D{{Key: "identity", Value: prefixed(identity + "#")}},
		}}},
		Limit: limit,
	})
}

// OpenOfSuffixed reads up to limit of the open sessions in a project of
// identities that begin with a text that ends in "#".
func (r *UsageSessions) OpenOfSuffixed(ctx context.Context, p models.ProjectID, prefix string, limit int64) ([]models.UsageSession, error) {
	beyond := prefix[:len(prefix)-1] + "$" // the character after "#"
	return many[models.UsageSession](ctx, r.engine, usageSessions, Query{
		Filter: bson.D{{Key: "project_id", Value: string(p)}, {Key: "open", Value: true},
			{Key: "identity", Value: bson.D{{Key: "$gte", Value: prefix}, {Key: "$lt", Value: beyond}}}},
		Limit: limit,
	})
}

// Span returns when a project's rooms and participants last began or ended, and
// when its first participant joined; zero times if there was none.
func (r *UsageSessions) Span(ctx context.Context, p models.ProjectID) (last, first time.Time, err error) {
	edge := func(subject models.Subject, field string, order int) (models.UsageSession, error) {
		filter := bson.D{{Key: "project_id", Value: string(p)}, {Key: "subject", Value: string(subject)}}
		if field == "left_at" {
			filter = append(filter, bson.E{Key: "open", Value: false})
		}
		found, err := many[models.UsageSession](ctx, r.engine, usageSessions, Query{Filter: filter, Sort: bson.D{{Key: field, Value: order}}, Limit: 1})
		if err != nil || len(found) == 0 {
			return models.UsageSession{}, err
		}
		return found[0], nil
	}
	for _, subject := range []models.Subject{models.SubjectRoom, models.SubjectParticipant} {
		for _, field := range []string{"joined_at", "left_at"} {
			s, err := edge(subject, field, -1)
			if err != nil {
				return last, first, err
			}
			last = slices.MaxFunc([]time.Time{last, s.JoinedAt, s.LeftAt}, time.Time.Compare)
		}
	}
	s, err := edge(models.SubjectParticipant, "joined_at", 1)
	return last, s.JoinedAt, err
}
