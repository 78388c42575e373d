package mongo

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// Sum implements Engine with an aggregation: $match, $group, $sort. More than
// MaxGroups groups are an internal error.
func (m *Engine) Sum(ctx context.Context, collection string, filter bson.D, field string, groupBy ...string) ([]engine.Group, error) {
	c, err := m.collection(collection)
	if err != nil {
		return nil, err
	}
	if _, err := c.CheckFilter(filter); err != nil {
		return nil, err
	}
	if err := c.CheckSum(field, groupBy); err != nil {
		return nil, err
	}
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	cursor, err := c.handle.Aggregate(ctx, sumPipeline(filterOrAll(filter), field, groupBy))
	if err != nil {
		return nil, failure(c.Declared, err)
	}
	defer closeCursor(ctx, cursor)
	var groups []engine.Group
	for cursor.Next(ctx) {
		group, err := c.readGroup(cursor.Current, groupBy)
		if err != nil {
			return nil, models.Internal(fmt.Errorf("mongodb: sum of %s.%s: %w", collection, field, err))
		}
		if groups = addGroup(groups, group); len(groups) > engine.MaxGroups {
			return nil, c.Refuse("a sum with more than %d groups", engine.MaxGroups)
		}
	}
	return groups, failure(c.Declared, cursor.Err())
}

// sumPipeline groups by a document of the fields' values. The keys of that
// document are numbered: keys of $group must not contain dots.
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
func (c collection) readGroup(row bson.Raw, groupBy []string) (engine.Group, error) {
	g := engine.Group{Keys: make([]any, len(groupBy))}
	for i, field := range groupBy {
		value, err := groupValue(c.Kinds[field], row.Lookup("_id", sumKey(i)))
		if err != nil {
			return engine.Group{}, err
		}
		g.Keys[i] = value
	}
	var ok bool
	if g.Sum, ok = row.Lookup("sum").AsFloat64OK(); !ok {
		return engine.Group{}, fmt.Errorf("a sum that is a %s", row.Lookup("sum").Type)
	}
	if g.Count, ok = row.Lookup("count").AsInt64OK(); !ok {
		return engine.Group{}, fmt.Errorf("a count that is a %s", row.Lookup("count").Type)
	}
	return g, nil
}

// groupValue converts a key to the type in Group.Keys; nil if absent. Documents
// of other writers may hold another kind.
func groupValue(kind engine.FieldKind, v bson.RawValue) (any, error) {
	switch {
	case engine.IsAbsent(v) || v.Type == bson.TypeNull:
		return nil, nil
	case !engine.HasKind(v, kind):
		return nil, fmt.Errorf("a group's key is a %s, not a %s", v.Type, kind)
	case kind == engine.String:
		return v.StringValue(), nil
	case kind == engine.Int:
		return v.AsInt64(), nil
	case kind == engine.Float:
		return v.AsFloat64(), nil
	case kind == engine.Bool:
		return v.Boolean(), nil
	default:
		return v.Time().UTC(), nil
	}
}

// addGroup appends a row, or adds it to the previous row with the same keys:
// MongoDB groups absent and null separately but sorts them as equal, and a
// Group has nil for both.
func addGroup(groups []engine.Group, g engine.Group) []engine.Group {
	if last := len(groups) - 1; last >= 0 && slices.Equal(groups[last].Keys, g.Keys) {
		groups[last].Sum += g.Sum
		groups[last].Count += g.Count
		return groups
	}
	return append(groups, g)
}
