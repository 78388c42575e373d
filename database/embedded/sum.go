package embedded

import (
	"context"
	"database/sql/driver"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

// Sum implements engine.Engine. Without matches it returns no groups.
func (e *Engine) Sum(ctx context.Context, collection string, raw bson.D, field string, groupBy ...string) ([]engine.Group, error) {
	t, err := e.table(collection)
	if err != nil {
		return nil, err
	}
	if err := t.CheckSum(field, groupBy); err != nil {
		return nil, err
	}
	f, err := t.CheckFilter(raw)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	// total() neither overflows nor returns NULL
	// (https://www.sqlite.org/lang_aggfunc.html#sumunc).
	b.WriteString("SELECT total(" + quoted(field) + "), count(*)")
	grouping := ""
	for i, g := range groupBy {
		b.WriteString(", " + quoted(g))
		if i > 0 {
			grouping += ", "
		}
		grouping += quoted(g)
	}
	args := t.selection(&b, f, nil)
	if grouping != "" {
		b.WriteString(" GROUP BY " + grouping + " ORDER BY " + grouping)
	}
	var groups []engine.Group
	err = e.read(ctx, t.set, func(conn *sqliteConn) error {
		rows, err := conn.query(ctx, b.String(), args...)
		if err != nil {
			return err
		}
		groups, err = t.readGroups(ctx, rows, groupBy)
		return closeRows(rows, err)
	})
	return groups, err
}

func (t *table) readGroups(ctx context.Context, rows *sqliteRows, groupBy []string) ([]engine.Group, error) {
	var groups []engine.Group
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		row, err := rows.next()
		if err != nil || row == nil {
			return groups, err
		}
		g := engine.Group{Sum: row[0].(float64), Count: row[1].(int64), Keys: make([]any, len(groupBy))}
		// Without GROUP BY SQLite returns one row even without matches.
		if g.Count == 0 {
			continue
		}
		if len(groups) == engine.MaxGroups {
			return nil, t.Refuse("a sum with more than %d groups", engine.MaxGroups)
		}
		for i, name := range groupBy {
			g.Keys[i] = groupKey(t.Kinds[name], row[2+i])
		}
		groups = append(groups, g)
	}
}

// groupKey converts a column's value to the type in Group.Keys.
func groupKey(kind engine.FieldKind, value driver.Value) any {
	n, isInt := value.(int64)
	switch {
	case isInt && kind == engine.Bool:
		return n != 0
	case isInt && kind == engine.Time:
		return time.UnixMilli(n).UTC()
	case isInt && kind == engine.Float:
		return float64(n)
	}
	return value
}
