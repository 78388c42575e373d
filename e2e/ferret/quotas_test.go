package ferret_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/mongo"
	"pulse-control-plane/e2e/ferret"
	"pulse-control-plane/models"
	"pulse-control-plane/services"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/utils/secret"
)

// TestReplicasAdmitNoMoreThanTheLimitOnFerretDB lets two processes reserve slots at the same time in one wire-compatible
// database. It has no TTL: an expired slot remains until a process takes it over.
func TestReplicasAdmitNoMoreThanTheLimitOnFerretDB(t *testing.T) {
	server := ferret.Start(t)
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	replica := func() *quotas.Limits {
		engine, err := mongo.Open(t.Context(), server.URI, "pulse", ferretSchema(database.Schema()), mongo.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := engine.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		built, err := services.New(engine, services.Config{
			Clusters: []livekit.Cluster{{URL: "ws://127.0.0.1:1", APIKey: "devkey", APISecret: secret.New("secret")}},
			DataKeys: []secret.Value{secret.New("data key")}, Peppers: []secret.Value{secret.New("pepper")}, JWTKeys: []secret.Value{secret.New("jwt")},
			BcryptCost: 4, ReconcileInterval: time.Minute, Now: now,
		})
		if err != nil {
			t.Fatal(err)
		}
		return built.Limits
	}
	replicas := []*quotas.Limits{replica(), replica()}
	const limit = 6
	actor := &models.Principal{Kind: models.CallerServerKey, Project: &models.Project{ID: "prj_1"}, Quotas: models.Quotas{ConcurrentParticipants: limit}}
	burst := func(replicas []*quotas.Limits) (let int64) {
		var in atomic.Int64
		var all sync.WaitGroup
		for n := range 24 {
			all.Go(func() {
				err := replicas[n%len(replicas)].AdmitToken(t.Context(), actor, quotas.TokenRequest{
					RoomName: "hall", Identity: fmt.Sprint("person-", n), Until: now().Add(time.Hour)})
				switch {
				case err == nil:
					in.Add(1)
				case !models.IsKind(err, models.KindQuotaExceeded):
					t.Error(err)
				}
			})
		}
		all.Wait()
		return in.Load()
	}
	for range 2 { // admitted participants keep their slot on repeated requests
		if let := burst(replicas); let != limit {
			t.Errorf("%d were admitted", let)
		}
	}
	ahead.Store(int64(2 * time.Hour))
	// By one process: FerretDB finds and deletes a document in two steps, so two that take over the same slot at the same
	// time may both succeed. MongoDB's deletes are atomic.
	if let := burst(replicas[:1]); let != limit {
		t.Errorf("%d were admitted after every reservation had expired", let)
	}
}
