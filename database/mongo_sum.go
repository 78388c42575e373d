package database

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// Sum implements Engine with an aggregation: $match, $group, $sort. More than
// MaxGroups groups are an internal error.
func (m *Mongo) Sum(ctx context.Context, collection string, filter bson.D, field string, groupBy ...string) ([]Group, error) {
	c, err := m.collection(collection)
	if err != nil {
		return nil, err
	}
	if _, err := c.checkFilter(filter); err != nil {
		return nil, err
	}
	if err := c.checkSum(field, groupBy); err != nil {
		return nil, err
	}
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	cursor, err := c.handle.Aggregate(ctx, sumPipeline(filterOrAll(filter), field, groupBy))
	if err != nil {
		return nil, mongoError(c.declared, err)
	}
	defer closeCursor(ctx, cursor)
	var groups []Group
	for cursor.Next(ctx) {
		group, err := c.readGroup(cursor.Current, groupBy)
		if err != nil {
			return nil, models.Internal(fmt.Errorf("mongodb: sum of %s.%s: %w", collection, field, err))
		}
		if groups = addGroup(groups, group); len(groups) > MaxGroups {
			return nil, c.refuse("a sum with more than %d groups", MaxGroups)
		}
	}
	return groups, mongoError(c.declared, cursor.Err())
}

// sumPipeline groups by a document of the fields' values. Its own keys are
// numbered, as those of $group must not contain the dots that fields may.
func sumPipeline(filter bson.D, field string, groupBy []string) bson.A {
	var key any // null: one group of everything
	var order bson.D
	if len(groupBy) > 0 {
		var keys bson.D
		for i, g := range groupBy {
			keys = append(keys, bson.E{Key: sumKey(i), Value: "$" + g})
			order = append(order, bson.E{Key: "_id." + sumKey(i), Value: 1})
		}
		key = keys
	}
	pipeline := bson.A{
		bson.D{{Key: "$match", Value: filter}},
		bson.D{{Key: "$group", Value: bson.D{
			{Key: "_id", Value: key},
			{Key: "sum", Value: bson.D{{Key: "$sum", Value: "$" + field}}},
			{Key: "count", Value: bson.D{{Key: "$sum", Value: 1}}},
		}}},
	}
	if len(order) > 0 {
		pipeline = append(pipeline, bson.D{{Key: "$sort", Value: order}})
	}
	return pipeline
}

func sumKey(i int) string { return "k" + strconv.Itoa(i) }

// readGroup reads one row of the aggregation.
func (c mongoCollection) readGroup(row bson.Raw, groupBy []string) (Group, error) {
	g := Group{Keys: make([]any, len(groupBy))}
	for i, field := range groupBy {
		value, err := groupValue(c.kinds[field], row.Lookup("_id", sumKey(i)))
		if err != nil {
			return Group{}, err
		}
		g.Keys[i] = value
	}
	var ok bool
	if g.Sum, ok = row.Lookup("sum").AsFloat64OK(); !ok {
		return Group{}, fmt.Errorf("a sum that is a %s", row.Lookup("sum").Type)
	}
	if g.Count, ok = row.Lookup("count").AsInt64OK(); !ok {
		return Group{}, fmt.Errorf("a count that is a %s", row.Lookup("count").Type)
	}
	return g, nil
}

// groupValue brings a key to the type Group promises for its field's kind; nil
// where it is absent. Documents that others wrote may hold another kind.
func groupValue(kind FieldKind, v bson.RawValue) (any, error) {
	switch {
	case isAbsent(v) || v.Type == bson.TypeNull:
		return nil, nil
	case !hasKind(v, kind):
		return nil, fmt.Errorf("a group's key is a %s, not a %s", v.Type, kind)
	case kind == String:
		return v.StringValue(), nil
	case kind == Int:
		return v.AsInt64(), nil
	case kind == Float:
		return v.AsFloat64(), nil
	case kind == Bool:
		return v.Boolean(), nil
	default:
		return v.Time().UTC(), nil
	}
}

// addGroup appends a row, or adds it to the one before where they have the same
// keys: MongoDB keeps absent and null apart when it groups (though not when it
// sorts, so that such rows are neighbours), and a Group has nil for both.
func addGroup(groups []Group, g Group) []Group {
	if last := len(groups) - 1; last >= 0 && slices.Equal(groups[last].Keys, g.Keys) {
		groups[last].Sum += g.Sum
		groups[last].Count += g.Count
		return groups
	}
	return append(groups, g)
}
