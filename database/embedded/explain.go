package embedded

import (
	"context"
	"strings"

	"pulse-control-plane/database/engine"
)

// Explain returns how a query is executed (EXPLAIN QUERY PLAN). Updates and
// deletes with the same filter and sort are executed in the same way.
func (e *Engine) Explain(ctx context.Context, collection string, q engine.Query) (engine.Plan, error) {
	t, err := e.table(collection)
	if err != nil {
		return engine.Plan{}, err
	}
	f, order, err := t.CheckQuery(q, false)
	if err != nil {
		return engine.Plan{}, err
	}
	var b strings.Builder
	b.WriteString("EXPLAIN QUERY PLAN SELECT doc")
	args := t.selection(&b, f, order)
	var plan engine.Plan
	err = e.read(ctx, noTable, func(conn *sqliteConn) error {
		rows, err := conn.query(ctx, b.String(), args...)
		if err != nil {
			return err
		}
		for {
			row, err := rows.next()
			if err != nil || row == nil {
				return closeRows(rows, err)
			}
			detail, _ := row[3].(string)
			plan.Sorts = plan.Sorts || strings.Contains(detail, "TEMP B-TREE")
			if name, ok := t.indexIn(detail); ok {
				plan.Index = name
			}
		}
	})
	return plan, err
}

// indexIn returns the declared name of the index in one line of a plan, such as
// "SEARCH users USING INDEX users.email_1 (email=?)".
func (t *table) indexIn(detail string) (string, bool) {
	_, rest, ok := strings.Cut(detail, " INDEX ")
	if !ok {
		return "", false
	}
	name, _, _ := strings.Cut(rest, " ")
	if strings.HasPrefix(name, "sqlite_autoindex_") {
		return "_id_", true
	}
	return strings.TrimPrefix(name, t.StoredName()+"."), true
}
