package database

import (
	"context"
	"database/sql/driver"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Sum implements Engine. Without matches there are no groups.
func (e *Embedded) Sum(ctx context.Context, collection string, raw bson.D, field string, groupBy ...string) ([]Group, error) {
	t, err := e.table(collection)
	if err != nil {
		return nil, err
	}
	if err := t.checkSum(field, groupBy); err != nil {
		return nil, err
	}
	f, err := t.checkFilter(raw)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	// total is a sum that neither overflows nor is null
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
	var groups []Group
	err = e.read(ctx, func(conn *sqliteConn) error {
		rows, err := conn.query(ctx, b.String(), args...)
		if err != nil {
			return err
		}
		groups, err = t.readGroups(ctx, rows, groupBy)
		return closeRows(rows, err)
	})
	return groups, err
}

func (t *table) readGroups(ctx context.Context, rows *sqliteRows, groupBy []string) ([]Group, error) {
	var groups []Group
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		row, err := rows.next()
		if err != nil || row == nil {
			return groups, err
		}
		g := Group{Sum: row[0].(float64), Count: row[1].(int64), Keys: make([]any, len(groupBy))}
		// Without GROUP BY there is a row even where nothing matched.
		if g.Count == 0 {
			continue
		}
		if len(groups) == MaxGroups {
			return nil, t.refuse("a sum with more than %d groups", MaxGroups)
		}
		for i, name := range groupBy {
			g.Keys[i] = groupKey(t.kinds[name], row[2+i])
		}
		groups = append(groups, g)
	}
}

// groupKey brings a column's value to the form of Group.Keys.
func groupKey(kind FieldKind, value driver.Value) any {
	n, isInt := value.(int64)
	switch {
	case isInt && kind == Bool:
		return n != 0
	case isInt && kind == Time:
		return time.UnixMilli(n).UTC()
	case isInt && kind == Float:
		return float64(n)
	}
	return value
}
