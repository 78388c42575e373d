package database

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/observe"
)

func TestAConflictIsAResultOfItsOwnAndAMissingDocumentIsNoFailure(t *testing.T) {
	recorder, registry := observe.New(observe.Config{Namespace: "pulse"}), prometheus.NewRegistry()
	recorder.Register(registry)
	engine := Observed(openForElections(t), recorder)
	lease := models.Lease{ID: "x", Holder: "one"}
	if err := engine.Insert(t.Context(), leases, &lease); err != nil {
		t.Fatal(err)
	}
	if err := engine.Insert(t.Context(), leases, &lease); !models.IsKind(err, models.KindConflict) {
		t.Fatal(err)
	}
	if err := engine.FindOne(t.Context(), leases, Query{Filter: bson.D{{Key: "_id", Value: "y"}}}, &lease); !models.IsKind(err, models.KindNotFound) {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 2 {
		t.Fatal(families, err)
	}
	got, sum := map[string]float64{}, 0.0
	for _, m := range families[1].GetMetric() { // labels are in order of their names
		n := m.GetCounter().GetValue()
		got[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = n
		sum += n
	}
	if sum != 3 || got["insert ok"] != 1 || got["insert conflict"] != 1 || got["find_one ok"] != 1 {
		t.Errorf("got %v", got)
	}
	if n, known := got["delete error"]; n != 0 || !known {
		t.Errorf("what has not happened does not begin at 0: %v", got)
	}
}
