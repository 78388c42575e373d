package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const (
	auditLogs = "audit_logs"
	// auditSeqTaken is the conflict of two processes that append at the same
	// time.
	auditSeqTaken = "audit_seq_taken"
)

// auditLogsCollection holds the audit trail: one hash chain for each
// organization.
func auditLogsCollection() Collection {
	return Collection{
		Name: auditLogs,
		Fields: []Field{
			{Name: "org_id", Kind: String}, {Name: "seq", Kind: Int}, {Name: "at", Kind: Time}, {Name: "actor.id", Kind: String}, {Name: "action", Kind: String},
			{Name: "target.id", Kind: String}, {Name: "outcome", Kind: String}, {Name: "tell_at", Kind: Time},
		},
		Indexes: []Index{
			{Keys: []string{"org_id", "seq"}, Unique: true, ConflictCode: auditSeqTaken},
			{Keys: []string{"org_id", "at"}},
			{Keys: []string{"org_id", "actor.id", "seq"}},
			{Keys: []string{"org_id", "action", "seq"}},
			{Keys: []string{"org_id", "target.id", "seq"}},
			{Keys: []string{"tell_at"}},
		},
	}
}

// AuditLogs is the repository of the audit trail. It deletes nothing, and
// changes only the outcome of an entry and whether its event is stored.
type AuditLogs struct{ engine Engine }

// NewAuditLogs returns the repository over an engine.
func NewAuditLogs(e Engine) *AuditLogs { return &AuditLogs{e} }

// Append stores the next entry of an organization; conflict if another process
// appended first, or an entry with its id is stored.
func (r *AuditLogs) Append(ctx context.Context, e *models.AuditEntry) error {
	return r.engine.Insert(ctx, auditLogs, e)
}

// Complete stores the outcome of an entry and its TellAt, once; not_found if it is
// stored already.
func (r *AuditLogs) Complete(ctx context.Context, e *models.AuditEntry) error {
	set := fields{
		{Key: "outcome", Value: e.Outcome}, {Key: "code", Value: e.Code},
		{Key: "completed_at", Value: e.CompletedAt}, {Key: "outcome_hash", Value: e.OutcomeHash},
	}
	setIf(&set, "tell_at", e.TellAt)
	update := set.update()
	if e.TellAt == nil {
		update = append(update, noTellAt())
	}
	_, err := changed[models.AuditEntry](ctx, r.engine, auditLogs, bson.D{
		{Key: "_id", Value: string(e.ID)}, {Key: "org_id", Value: string(e.OrgID)},
		{Key: "outcome", Value: string(models.AuditPending)},
	}, update)
	return err
}

func noTellAt() bson.E {
	return bson.E{Key: "$unset", Value: bson.D{{Key: "tell_at", Value: ""}}}
}

// Untold reads up to limit entries of all organizations whose TellAt is not after
// a time, the longest due first.
func (r *AuditLogs) Untold(ctx context.Context, until time.Time, limit int64) ([]models.AuditEntry, error) {
	return many[models.AuditEntry](ctx, r.engine, auditLogs, Query{
		Filter: bson.D{{Key: "tell_at", Value: bson.D{{Key: "$lte", Value: until}}}},
		Sort:   bson.D{{Key: "tell_at", Value: 1}}, Limit: limit,
	})
}

// Told clears the TellAt of up to MaxBatch entries.
func (r *AuditLogs) Told(ctx context.Context, ids []models.AuditID) error {
	_, err := r.engine.Update(ctx, auditLogs, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}},
		bson.D{noTellAt()}, UpdateOptions{Many: true})
	return err
}

// Get reads an entry of an organization, or not_found.
func (r *AuditLogs) Get(ctx context.Context, org models.OrganizationID, id models.AuditID) (models.AuditEntry, error) {
	return one[models.AuditEntry](ctx, r.engine, auditLogs, Query{
		Filter: bson.D{{Key: "_id", Value: string(id)}, {Key: "org_id", Value: string(org)}},
	})
}

// Head reads the last entry of an organization, or not_found.
func (r *AuditLogs) Head(ctx context.Context, org models.OrganizationID) (models.AuditEntry, error) {
	return one[models.AuditEntry](ctx, r.engine, auditLogs, Query{
		Filter: bson.D{{Key: "org_id", Value: string(org)}}, Sort: bson.D{{Key: "seq", Value: -1}},
	})
}

// Numbered reads the entries with these numbers, at most MaxBatch.
func (r *AuditLogs) Numbered(ctx context.Context, org models.OrganizationID, seqs []int64) ([]models.AuditEntry, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	return many[models.AuditEntry](ctx, r.engine, auditLogs, Query{
		Filter: bson.D{{Key: "org_id", Value: string(org)}, {Key: "seq", Value: bson.D{{Key: "$in", Value: seqs}}}},
		Limit:  int64(len(seqs)),
	})
}

// AuditFilter narrows a list; empty fields do not. From is inclusive, Until is
// exclusive.
type AuditFilter struct {
	Actor, Action, Target string
	From, Until           *time.Time
}

// Empty reports whether only the time narrows the list.
func (f AuditFilter) Empty() bool { return f.Actor == "" && f.Action == "" && f.Target == "" }

func (f AuditFilter) of(org models.OrganizationID, seq bson.D) bson.D {
	filter := bson.D{{Key: "org_id", Value: string(org)}}
	for _, equal := range []struct{ field, value string }{{"actor.id", f.Actor}, {"action", f.Action}, {"target.id", f.Target}} {
		if equal.value != "" {
			filter = append(filter, bson.E{Key: equal.field, Value: equal.value})
		}
	}
	between := bson.D{}
	if f.From != nil {
		between = append(between, bson.E{Key: "$gte", Value: *f.From})
	}
	if f.Until != nil {
		between = append(between, bson.E{Key: "$lt", Value: *f.Until})
	}
	if len(between) > 0 {
		filter = append(filter, bson.E{Key: "at", Value: between})
	}
	if len(seq) > 0 {
		filter = append(filter, bson.E{Key: "seq", Value: seq})
	}
	return filter
}

// Before reads up to limit entries below a sequence number, newest first; 0
// starts at the newest.
func (r *AuditLogs) Before(ctx context.Context, org models.OrganizationID, f AuditFilter, seq, limit int64) ([]models.AuditEntry, error) {
	var below bson.D
	if seq > 0 {
		below = bson.D{{Key: "$lt", Value: seq}}
	}
	return many[models.AuditEntry](ctx, r.engine, auditLogs, Query{
		Filter: f.of(org, below), Sort: bson.D{{Key: "seq", Value: -1}}, Limit: limit,
	})
}

// After reads up to limit entries in (seq, last], oldest first.
func (r *AuditLogs) After(ctx context.Context, org models.OrganizationID, f AuditFilter, seq, last, limit int64) ([]models.AuditEntry, error) {
	out := make([]models.AuditEntry, 0, min(limit, last-seq))
	err := r.engine.Find(ctx, auditLogs, Query{
		Filter: f.of(org, bson.D{{Key: "$gt", Value: seq}, {Key: "$lte", Value: last}}),
		Sort:   bson.D{{Key: "seq", Value: 1}}, Limit: limit,
	}, func(raw bson.Raw) error {
		entry, err := auditEntryOf(raw)
		out = append(out, entry)
		return err
	})
	return out, err
}
