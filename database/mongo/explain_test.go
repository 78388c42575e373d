package mongo

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

func TestExplainNamesTheIndexAndTheSortOfThePlan(t *testing.T) {
	fetch := func(below bson.D) bson.D {
		return bson.D{{Key: "stage", Value: "FETCH"}, {Key: "inputStage", Value: below}}
	}
	scan := bson.D{{Key: "stage", Value: "IXSCAN"}, {Key: "indexName", Value: "org_id_1_born_-1"}}
	for name, c := range map[string]struct {
		winning bson.D
		want    engine.Plan
	}{
		"index":      {fetch(scan), engine.Plan{Index: "org_id_1_born_-1"}},
		"sort":       {bson.D{{Key: "stage", Value: "SORT"}, {Key: "inputStage", Value: fetch(scan)}}, engine.Plan{Index: "org_id_1_born_-1", Sorts: true}},
		"id":         {bson.D{{Key: "stage", Value: "IDHACK"}}, engine.Plan{Index: "_id_"}},
		"scan":       {bson.D{{Key: "stage", Value: "COLLSCAN"}}, engine.Plan{}},
		"slot-based": {bson.D{{Key: "queryPlan", Value: fetch(scan)}, {Key: "slotBasedPlan", Value: bson.D{}}}, engine.Plan{Index: "org_id_1_born_-1"}},
		"merge": {fetch(bson.D{{Key: "stage", Value: "SORT_MERGE"}, {Key: "inputStages", Value: bson.A{scan, scan}}}),
			engine.Plan{Index: "org_id_1_born_-1"}},
		"express": {bson.D{{Key: "stage", Value: "EXPRESS_IXSCAN"}, {Key: "indexName", Value: "email_1"}}, engine.Plan{Index: "email_1"}},
	} {
		s := newWireServer(t, func(bson.Raw) any {
			return bson.D{{Key: "ok", Value: 1}, {Key: "queryPlanner", Value: bson.D{{Key: "winningPlan", Value: c.winning}}}}
		})
		got, err := openWire(t, s, "").Explain(t.Context(), "people", engine.Query{
			Filter: bson.D{{Key: "org_id", Value: "o"}}, Sort: bson.D{{Key: "born", Value: -1}}, Limit: 5})
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
		if sent := s.commands("explain"); len(sent) != 1 || commandField(sent[0], "explain", "find") != `"people"` || commandField(sent[0], "explain", "limit") == "" {
			t.Errorf("%s: sent %s", name, sent)
		}
	}
}
