package embedded

import (
	"slices"
	"strings"

	"pulse-control-plane/database/engine"
)

// plan is what an index can serve. The engine selects the index itself: without
// statistics SQLite considers all equalities equally selective, so it could
// read a million documents by "is_deleted = 0" instead of a few by "org_id =
// ?". The plan depends on the declaration only and never changes as the data
// grows.
type plan struct {
	name   string
	fields []engine.SortKey
	unique bool
	// partial indexes are used only where SQLite selects them.
	partial bool
}

func planOf(t *table, ix engine.Index) plan {
	p := plan{name: t.indexName(ix), unique: ix.Unique, partial: ix.Partial}
	last := engine.SortKey{}
	named := false
	for _, key := range ix.Keys {
		field, direction := engine.IndexKey(key)
		last = engine.SortKey{Field: field, Descending: direction < 0}
		named = named || field == engine.IDField
		p.fields = append(p.fields, last)
	}
	if !ix.Unique && !named {
		p.fields = append(p.fields, engine.SortKey{Field: engine.IDField, Descending: last.Descending})
	}
	return p
}

// forgetPlan excludes an index that differs from its declaration.
func (t *table) forgetPlan(index string) {
	t.plans = slices.DeleteFunc(t.plans, func(p plan) bool { return p.name == t.StoredName()+"."+index })
}

// The value of a condition on the next key of an index. An equality narrows
// most, but one on a bool little. $in loses the order. A range ends the usable
// prefix; a range on "_id" is a cursor and narrows nothing. An index in the
// requested order saves a sort, but if little was narrowed before, walking in
// that order may read the whole collection for a few matches.
const (
	worthEqual = 10
	worthIn    = 6
	worthOrder = 5
	worthRange = 4
	worthBool  = 2
	worthWalk  = 1
)

// hint returns the INDEXED BY clause of a query, or "" where SQLite's own
// choice is right: by "_id", by all keys of a unique index, or without an
// index.
func (t *table) hint(f engine.Filter, order []engine.SortKey) string {
	if by := narrowing(f, engine.IDField); by == engine.Equal || by == engine.In {
		return ""
	}
	best, most := "", 0
	for _, p := range t.plans {
		worth, full := p.worth(t.Declared, f, order)
		if p.unique && full {
			return ""
		}
		// Of two equal indexes the one declared first is used.
		if !p.partial && worth > most {
			best, most = p.name, worth
		}
	}
	if best == "" {
		return ""
	}
	return " INDEXED BY " + quoted(best)
}

// worth rates an index for a query and reports whether the query has an
// equality on each of its keys.
func (p plan) worth(d *engine.Declared, f engine.Filter, order []engine.SortKey) (worth int, full bool) {
	prefix, ordered := 0, true
	for _, key := range p.fields {
		switch narrowing(f, key.Field) {
		case engine.Equal:
			if d.Kinds[key.Field] == engine.Bool {
				worth += worthBool
			} else {
				worth += worthEqual
			}
			prefix++
			continue
		case engine.In:
			worth += worthIn
			ordered = false
		case engine.Greater:
			if key.Field != engine.IDField {
				worth += worthRange
			}
		}
		break
	}
	if ordered && len(order) > 0 && p.serves(order, prefix) {
		if worth > worthBool {
			worth += worthOrder
		} else {
			worth += worthWalk
		}
	}
	return worth, prefix == len(p.fields)
}

// serves reports whether the keys after the equality prefix are in the
// requested order, forwards or backwards.
func (p plan) serves(order []engine.SortKey, prefix int) bool {
	rest := p.fields[prefix:]
	if len(order) > len(rest) {
		return false
	}
	for i, key := range order {
		if key.Field != rest[i].Field || (key.Descending != rest[i].Descending) != (order[0].Descending != rest[0].Descending) {
			return false
		}
	}
	return true
}

// narrowing returns how a filter narrows a field: $eq, $in, $gt for any range,
// or "".
func narrowing(f engine.Filter, field string) engine.Operator {
	var found engine.Operator
	for _, c := range f.All {
		if c.Field != field {
			continue
		}
		switch c.Op {
		case engine.Equal:
			return engine.Equal
		case engine.In:
			found = engine.In
		case engine.Greater, engine.GreaterEqual, engine.Less, engine.LessEqual:
			if found == "" {
				found = engine.Greater
			}
		}
	}
	return found
}

// where writes a checked filter as an SQL condition.
func where(f engine.Filter, b *strings.Builder, args []any) []any {
	if len(f.All) == 0 && len(f.Any) == 0 {
		return args
	}
	b.WriteString(" WHERE ")
	args = writeAll(f.All, b, args)
	if len(f.Any) == 0 {
		return args
	}
	if len(f.All) > 0 {
		b.WriteString(" AND ")
	}
	b.WriteByte('(')
	for i, alternative := range f.Any {
		if i > 0 {
			b.WriteString(" OR ")
		}
		b.WriteByte('(')
		args = writeAll(alternative, b, args)
		b.WriteByte(')')
	}
	b.WriteByte(')')
	return args
}

func writeAll(all engine.Conditions, b *strings.Builder, args []any) []any {
	for i, c := range all {
		if i > 0 {
			b.WriteString(" AND ")
		}
		args = writeCondition(c, b, args)
	}
	return args
}

// writeCondition relies on NULL (an absent field) comparing false with every
// value, as a missing field does on MongoDB. $ne matches a missing field: IS
// NOT.
func writeCondition(c engine.Condition, b *strings.Builder, args []any) []any {
	b.WriteByte('"')
	b.WriteString(c.Field)
	switch c.Op {
	case engine.Exists:
		if c.Value.(bool) {
			b.WriteString(`" IS NOT NULL`)
		} else {
			b.WriteString(`" IS NULL`)
		}
		return args
	case engine.In:
		// SQLite allows an empty list, which matches nothing. Repeating the
		// last value up to a power of two keeps the number of different
		// statements small.
		b.WriteString(`" IN (`)
		count := 1
		for count < len(c.Values) {
			count *= 2
		}
		for i := range count {
			if len(c.Values) == 0 {
				break
			}
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteByte('?')
			args = append(args, c.Values[min(i, len(c.Values)-1)])
		}
		b.WriteByte(')')
		return args
	case engine.Equal:
		b.WriteString(`" = ?`)
	case engine.NotEqual:
		b.WriteString(`" IS NOT ?`)
	case engine.Greater:
		b.WriteString(`" > ?`)
	case engine.GreaterEqual:
		b.WriteString(`" >= ?`)
	case engine.Less:
		b.WriteString(`" < ?`)
	case engine.LessEqual:
		b.WriteString(`" <= ?`)
	}
	return append(args, c.Value)
}
