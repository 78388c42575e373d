package composition_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/crypto/bcrypt"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/services"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/secret"
)

// askedCluster signals when its rooms are listed.
type askedCluster struct {
	services.Cluster
	asked chan struct{}
}

func (c askedCluster) Rooms(context.Context) ([]livekit.Room, error) {
	select {
	case c.asked <- struct{}{}:
	default:
	}
	return nil, context.Canceled
}

// leaseReader signals when the leases were read.
type leaseReader struct {
	shared
	read chan struct{}
}

func (e leaseReader) Find(ctx context.Context, c string, q database.Query, each func(bson.Raw) error) error {
	err := e.Engine.Find(ctx, c, q, each)
	if c == "leases" {
		select {
		case e.read <- struct{}{}:
		default:
		}
	}
	return err
}

// replica runs one worker of a process over a shared database.
func replica(t *testing.T, e leaseReader, name string) (asked chan struct{}) {
	t.Helper()
	asked = make(chan struct{}, 1)
	s := testkit.Must[*services.Services](t)(services.New(e, services.Config{
		Clusters: []livekit.Cluster{{URL: "wss://livekit.test.example", APIKey: "devkey", APISecret: secret.New("secret")}},
		Calls:    askedCluster{asked: asked}, DataKeys: []secret.Value{secret.New("data key")}, Peppers: []secret.Value{secret.New("pepper")},
		JWTKeys: []secret.Value{secret.New("jwt")}, BcryptCost: bcrypt.MinCost, ReconcileInterval: time.Minute, Now: time.Now,
	}))
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	for _, w := range s.Workers() {
		if w.Name == name {
			running.Go(func() { _ = w.Run(ctx) })
			return asked
		}
	}
	t.Fatalf("no worker %s", name)
	return nil
}

func TestOneReplicaReconcilesAtATime(t *testing.T) {
	engine := leaseReader{shared{testkit.NewEngine(t)}, make(chan struct{}, 1)}
	<-replica(t, engine, "reconciliation")
	select { // the first one's own reading
	case <-engine.read:
	default:
	}
	second := replica(t, engine, "reconciliation")
	<-engine.read
	select {
	case <-second:
		t.Error("the second replica reconciled too")
	case <-time.After(300 * time.Millisecond):
	}
}
