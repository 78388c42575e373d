package rooms

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/secret"
)

// listing is a cluster that has no rooms, or does not answer.
func listing(t *testing.T, name string, away bool) livekit.Cluster {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if away {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/protobuf") // an empty message
	}))
	t.Cleanup(server.Close)
	return livekit.Cluster{Name: name, Region: "eu", URL: "wss://" + name + ".example.com", APIURL: server.URL, APIKey: "API" + name, APISecret: secret.New("secret")}
}

func TestAClusterThatIsDownHidesNoRoomsOfTheOthers(t *testing.T) {
	list := func(all ...livekit.Cluster) error {
		t.Helper()
		clusters := testkit.Must[*livekit.Clusters](t)(livekit.NewClusters(all, nil, nil, zerolog.Nop(), time.Now))
		if err := clusters.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := &Rooms{c: Config{Clusters: clusters, Store: database.NewRooms(testkit.NewEngine(t)), Cursors: cursor.New([]byte("cursors")), Now: time.Now},
			lists: newRoomLists(time.Now)}
		actor := &models.Principal{Kind: models.CallerServerKey, Scopes: []models.Scope{models.ScopeAll}, Project: &models.Project{ID: testkit.Project}}
		_, err := s.List(context.WithoutCancel(t.Context()), actor, "", paging.Request{Limit: 10})
		return err
	}
	if err := list(listing(t, "one", false), listing(t, "two", true)); err != nil {
		t.Errorf("one of two is down: %v", err)
	}
	if err := list(listing(t, "one", true), listing(t, "two", true)); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("both are down: %v", err)
	}
}
