package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

// Explain returns how the server executes a query (the command explain).
func (m *Engine) Explain(ctx context.Context, collection string, q engine.Query) (engine.Plan, error) {
	c, err := m.collection(collection)
	if err != nil {
		return engine.Plan{}, err
	}
	if _, _, err := c.CheckQuery(q, false); err != nil {
		return engine.Plan{}, err
	}
	find := bson.D{{Key: "find", Value: c.StoredName()}, {Key: "filter", Value: filterOrAll(q.Filter)}}
	if len(q.Sort) > 0 {
		find = append(find, bson.E{Key: "sort", Value: q.Sort})
	}
	if q.Limit > 0 {
		find = append(find, bson.E{Key: "limit", Value: q.Limit})
	}
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	var answer struct {
		Planner struct {
			Winning bson.Raw `bson:"winningPlan"`
		} `bson:"queryPlanner"`
	}
	err = m.db.RunCommand(ctx, bson.D{{Key: "explain", Value: find}, {Key: "verbosity", Value: "queryPlanner"}}).Decode(&answer)
	if err != nil {
		return engine.Plan{}, failure(nil, err)
	}
	var plan engine.Plan
	readStages(answer.Planner.Winning, &plan)
	return plan, nil
}

// readStages reads a stage of a plan and the stages below it: inputStage,
// inputStages (of OR and SORT_MERGE), and queryPlan of the slot-based engine.
func readStages(stage bson.Raw, plan *engine.Plan) {
	name, _ := stage.Lookup("stage").StringValueOK()
	switch name {
	case "SORT":
		plan.Sorts = true
	case "IDHACK", "CLUSTERED_IXSCAN", "EXPRESS_CLUSTERED_IXSCAN":
		plan.Index = "_id_"
	}
	if index, ok := stage.Lookup("indexName").StringValueOK(); ok {
		plan.Index = index
	}
	for _, below := range []string{"inputStage", "queryPlan"} {
		if next, ok := stage.Lookup(below).DocumentOK(); ok {
			readStages(next, plan)
		}
	}
	if several, ok := stage.Lookup("inputStages").ArrayOK(); ok {
		values, err := several.Values()
		if err != nil {
			return
		}
		for _, v := range values {
			if next, ok := v.DocumentOK(); ok {
				readStages(next, plan)
			}
		}
	}
}
