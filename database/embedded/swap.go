package embedded

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

// Swap implements engine.Engine.
func (e *Engine) Swap(ctx context.Context, collection, id string, before, after bson.D) (swapped bool, err error) {
	u, err := e.prepareUpdate(collection, bson.D{{Key: engine.IDField, Value: id}}, bson.D{{Key: "$set", Value: after}}, nil, false)
	if err != nil {
		return false, err
	}
	read, err := u.t.CheckSwap(before, after)
	if err != nil {
		return false, err
	}
	statement := "SELECT rowid, doc FROM " + quoted(u.t.StoredName()) + " WHERE " + quoted(engine.IDField) + " = ?"
	kept := context.WithoutCancel(ctx)
	err = e.writer.do(ctx, u.t.set, func(conn *sqliteConn) error {
		rows, err := storedRows(kept, conn, statement, id)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, value := range read {
			if !rows[0].doc.Lookup(value.Path...).Equal(value.Value) {
				return nil
			}
		}
		swapped = true
		_, err = u.change(kept, conn, rows[0])
		return err
	})
	return swapped && err == nil, err
}
