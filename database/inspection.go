package database

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// Inspection reads the documents of all tenants, one by one, to describe or
// check a database as a whole.
type Inspection struct{ engine Engine }

// NewInspection returns the repository over an engine.
func NewInspection(e Engine) *Inspection { return &Inspection{e} }

// SchemaVersion reads the version of the stored data, 0 if there is none, or
// misconfigured if this binary is too old for it.
func (r *Inspection) SchemaVersion(ctx context.Context) (int64, error) {
	state, err := migrator{engine: r.engine, migrations: migrations()}.check(ctx)
	return state.Version, err
}

// EachChain calls each for every organization that has an audit trail, in order
// of their ids, with the last entry.
func (r *Inspection) EachChain(ctx context.Context, each func(head models.AuditEntry) error) error {
	logs := NewAuditLogs(r.engine)
	for after := ""; ; {
		next, err := one[models.AuditEntry](ctx, r.engine, auditLogs, Query{
			Filter: bson.D{{Key: "org_id", Value: bson.D{{Key: "$gt", Value: after}}}},
			Sort:   bson.D{{Key: "org_id", Value: 1}, {Key: "seq", Value: 1}},
		})
		if models.IsKind(err, models.KindNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		head, err := logs.Head(ctx, next.OrgID)
		if err != nil {
			return err
		}
		if err := each(head); err != nil {
			return err
		}
		after = string(next.OrgID)
	}
}
