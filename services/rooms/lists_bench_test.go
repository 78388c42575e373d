package rooms

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	lk "github.com/livekit/protocol/livekit"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/clusters"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/secret"
)

// crowded is a cluster with 50,000 rooms, of which 5,000 are the test project's. asked
// counts its lists.
func crowded(t testing.TB) (cluster livekit.Cluster, asked *atomic.Int64) {
	t.Helper()
	const all, every = 50_000, 10
	list := &lk.ListRoomsResponse{}
	for n := range all {
		project := models.ProjectID(fmt.Sprintf("prj_01a2154c-257f-72dc-be52-%012d", n))
		if n%every == 0 {
			project = testkit.Project
		}
		r := &lk.Room{Name: models.QualifyRoom(project, fmt.Sprintf("room-%d", n)), Sid: fmt.Sprintf("RM_%010d", n), EmptyTimeout: 300, DepartureTimeout: 20,
			CreationTime: 1_790_000_000, CreationTimeMs: 1_790_000_000_000 + int64(n), TurnPassword: "0123456789012345678901234567890123456789", NumParticipants: 3, Metadata: `{"topic":"daily"}`}
		for _, mime := range []string{"audio/opus", "audio/red", "video/VP8", "video/H264", "video/VP9", "video/AV1", "video/H265", "video/rtx", "audio/PCMU", "audio/PCMA"} {
			r.EnabledCodecs = append(r.EnabledCodecs, &lk.Codec{Mime: mime})
		}
		list.Rooms = append(list.Rooms, r)
	}
	body, err := proto.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/protobuf")
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	return livekit.Cluster{Name: "default", Region: "eu", URL: "wss://livekit.example.com", APIURL: server.URL, APIKey: "API", APISecret: secret.New("secret")}, asked
}

// BenchmarkListingAProjectsRoomsOnACrowdedCluster measures a page read from the
// cluster and one from the list in memory, and as livekit-ms the time the cluster's
// answer takes by itself.
func BenchmarkListingAProjectsRoomsOnACrowdedCluster(b *testing.B) {
	cluster, _ := crowded(b)
	clusters := testkit.Must[*clusters.Set](b)(clusters.New([]livekit.Cluster{cluster}, nil, nil, zerolog.Nop(), time.Now))
	s := &Rooms{c: Config{Clusters: clusters, Store: database.NewRooms(testkit.NewEngine(b)), Cursors: cursor.New([]byte("cursors")), Now: time.Now}, lists: newRoomLists(time.Now)}
	actor := &models.Principal{Kind: models.CallerServerKey, Scopes: []models.Scope{models.ScopeAll}, Project: &models.Project{ID: testkit.Project}}
	list := func() {
		if page, err := s.List(context.Background(), actor, "", paging.Request{Limit: 100}); err != nil || len(page.Items) != 100 {
			b.Fatal(len(page.Items), err)
		}
	}
	b.Run("fresh", func(b *testing.B) {
		for b.Loop() {
			s.lists.forget("default")
			list()
		}
	})
	b.Run("cached", func(b *testing.B) {
		for b.Loop() {
			list()
		}
	})
	b.Run("livekit", func(b *testing.B) {
		for b.Loop() {
			res, err := http.Post(cluster.APIURL, "application/protobuf", nil)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadAll(res.Body); err != nil {
				b.Fatal(err)
			}
			res.Body.Close()
		}
	})
}
