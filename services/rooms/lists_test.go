package rooms

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/clusters"
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
		clusters := testkit.Must[*clusters.Set](t)(clusters.New(all, nil, nil, zerolog.Nop(), time.Now))
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

func TestCallersOfOneSecondShareOneListOfACluster(t *testing.T) {
	cluster, asked := crowded(t)
	clock := testkit.NewClock()
	clusters := testkit.Must[*clusters.Set](t)(clusters.New([]livekit.Cluster{cluster}, nil, nil, zerolog.Nop(), clock.Now))
	s := &Rooms{c: Config{Clusters: clusters, Store: database.NewRooms(testkit.NewEngine(t)), Cursors: cursor.New([]byte("cursors")), Now: clock.Now}, lists: newRoomLists(clock.Now)}
	actor := &models.Principal{Kind: models.CallerServerKey, Scopes: []models.Scope{models.ScopeAll}, Project: &models.Project{ID: testkit.Project}}
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			page, err := s.List(t.Context(), actor, "", paging.Request{Limit: 100})
			if err != nil || len(page.Items) != 100 || page.Items[0].Name != "room-49990" || page.NextCursor == "" {
				t.Errorf("%d rooms, the first %+v, %v", len(page.Items), page.Items[:min(1, len(page.Items))], err)
			}
		})
	}
	callers.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("20 callers at once asked the cluster %d times", n)
	}
	clock.Advance(listFresh)
	seen := 0
	for cursor := ""; ; {
		page, err := s.List(t.Context(), actor, "", paging.Request{Limit: 100, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		seen += len(page.Items)
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if n := asked.Load(); n != 2 || seen != 5000 {
		t.Errorf("%d rooms of 5000, the cluster was asked %d times", seen, n)
	}
}
