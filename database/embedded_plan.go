package database

import (
	"slices"
	"strings"
)

// plan is what an index can serve. The engine chooses the index itself and
// tells SQLite: without statistics SQLite takes all equalities for equally
// selective, and "is_deleted = 0" would then be as good a way into a million
// documents as "org_id = ?". Chosen from the declaration, a query's plan also
// never changes as the data grows.
type plan struct {
	name   string
	fields []sortKey
	unique bool
	// partial indexes are only used where SQLite finds that itself.
	partial bool
}

func planOf(t *table, ix Index) plan {
	p := plan{name: t.indexName(ix), unique: ix.Unique, partial: ix.Partial}
	last := sortKey{}
	named := false
	for _, key := range ix.Keys {
		field, direction := indexKey(key)
		last = sortKey{field, direction < 0}
		named = named || field == idField
		p.fields = append(p.fields, last)
	}
	if !ix.Unique && !named {
		p.fields = append(p.fields, sortKey{idField, last.descending})
	}
	return p
}

// forgetPlan keeps an index that exists otherwise than declared from being
// chosen.
func (t *table) forgetPlan(index string) {
	t.plans = slices.DeleteFunc(t.plans, func(p plan) bool { return p.name == t.Name+"."+index })
}

// What a condition on the next key of an index is worth. An equality narrows
// most, but one of a bool little; a list of values loses the order; a range
// ends the prefix, and one of "_id" is a cursor, which narrows nothing. The
// order asked for saves a sort, but where little was narrowed before, walking
// in that order may pass the whole collection for a few matches.
const (
	worthEqual = 10
	worthIn    = 6
	worthOrder = 5
	worthRange = 4
	worthBool  = 2
	worthWalk  = 1
)

// hint is the INDEXED BY clause for a question, or nothing where SQLite's own
// choice is right: by "_id", by all keys of a unique index, or by none.
func (t *table) hint(f filter, order []sortKey) string {
	if by := narrowing(f, idField); by == opEqual || by == opIn {
		return ""
	}
	best, most := "", 0
	for _, p := range t.plans {
		worth, full := p.worth(t.declared, f, order)
		if p.unique && full {
			return ""
		}
		// The earlier declared wins a tie.
		if !p.partial && worth > most {
			best, most = p.name, worth
		}
	}
	if best == "" {
		return ""
	}
	return " INDEXED BY " + quoted(best)
}

// worth says how well an index serves a question, and whether the question
// names all its keys by equality.
func (p plan) worth(d *declared, f filter, order []sortKey) (worth int, full bool) {
	prefix, ordered := 0, true
	for _, key := range p.fields {
		switch narrowing(f, key.field) {
		case opEqual:
			if d.kinds[key.field] == Bool {
				worth += worthBool
			} else {
				worth += worthEqual
			}
			prefix++
			continue
		case opIn:
			worth += worthIn
			ordered = false
		case opGreater:
			if key.field != idField {
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

// serves tells whether the keys after a prefix held equal come in the order
// asked for, forwards or backwards.
func (p plan) serves(order []sortKey, prefix int) bool {
	rest := p.fields[prefix:]
	if len(order) > len(rest) {
		return false
	}
	for i, key := range order {
		if key.field != rest[i].field || (key.descending != rest[i].descending) != (order[0].descending != rest[0].descending) {
			return false
		}
	}
	return true
}

// narrowing is how a filter narrows a field by an index: $eq, $in, $gt for any
// range, or not at all.
func narrowing(f filter, field string) operator {
	var found operator
	for _, c := range f.all {
		if c.field != field {
			continue
		}
		switch c.op {
		case opEqual:
			return opEqual
		case opIn:
			found = opIn
		case opGreater, opGreaterEqual, opLess, opLessEqual:
			if found == "" {
				found = opGreater
			}
		}
	}
	return found
}

// where writes a checked filter as an SQL condition with its arguments.
func (f filter) where(b *strings.Builder, args []any) []any {
	if len(f.all) == 0 && len(f.any) == 0 {
		return args
	}
	b.WriteString(" WHERE ")
	args = f.all.write(b, args)
	if len(f.any) == 0 {
		return args
	}
	if len(f.all) > 0 {
		b.WriteString(" AND ")
	}
	b.WriteByte('(')
	for i, alternative := range f.any {
		if i > 0 {
			b.WriteString(" OR ")
		}
		b.WriteByte('(')
		args = alternative.write(b, args)
		b.WriteByte(')')
	}
	b.WriteByte(')')
	return args
}

func (all conditions) write(b *strings.Builder, args []any) []any {
	for i, c := range all {
		if i > 0 {
			b.WriteString(" AND ")
		}
		args = c.write(b, args)
	}
	return args
}

// write relies on NULL, an absent field, being neither equal to nor before nor
// after any value, as a missing field on MongoDB; $ne, which does match it, is
// IS NOT.
func (c condition) write(b *strings.Builder, args []any) []any {
	b.WriteByte('"')
	b.WriteString(c.field)
	switch c.op {
	case opExists:
		if c.value.(bool) {
			b.WriteString(`" IS NOT NULL`)
		} else {
			b.WriteString(`" IS NULL`)
		}
		return args
	case opIn:
		// An empty list is allowed in SQLite and matches nothing. The number
		// of places is rounded up to a power of two by repeating the last
		// value, so that few different statements are prepared.
		b.WriteString(`" IN (`)
		places := 1
		for places < len(c.values) {
			places *= 2
		}
		for i := range places {
			if len(c.values) == 0 {
				break
			}
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteByte('?')
			args = append(args, c.values[min(i, len(c.values)-1)])
		}
		b.WriteByte(')')
		return args
	case opEqual:
		b.WriteString(`" = ?`)
	case opNotEqual:
		b.WriteString(`" IS NOT ?`)
	case opGreater:
		b.WriteString(`" > ?`)
	case opGreaterEqual:
		b.WriteString(`" >= ?`)
	case opLess:
		b.WriteString(`" < ?`)
	case opLessEqual:
		b.WriteString(`" <= ?`)
	}
	return append(args, c.value)
}
