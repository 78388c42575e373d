package ingress

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/clusters"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/secret"
)

// onTwoClusters has ingresses on two clusters of one region, whose servers are at one
// address, and the project they are of.
func onTwoClusters(t *testing.T, address string) (*Ingresses, *models.Project) {
	t.Helper()
	var list []livekit.Cluster
	for _, name := range []string{"one", "two"} {
		list = append(list, livekit.Cluster{Name: name, Region: "eu", URL: address, APIKey: "API" + name, APISecret: secret.New("secret"), Weight: 1})
	}
	set := testkit.Must[*clusters.Set](t)(clusters.New(list, nil, nil, zerolog.Nop(), time.Now))
	engine := testkit.NewEngine(t)
	project := &models.Project{ID: testkit.Project, Region: "eu"}
	if err := engine.Insert(t.Context(), "projects", project); err != nil {
		t.Fatal(err)
	}
	return &Ingresses{c: Config{Clusters: set, Store: database.NewIngresses(engine), Projects: database.NewProjects(engine),
		Placements: testkit.Must[*clusters.Placements](t)(clusters.NewPlacements(set, database.NewPlacements(engine), time.Now)), Now: time.Now}}, project
}

// keeps stores the record of an ingress into a room.
func (s *Ingresses) keeps(t *testing.T, p *models.Project, room, cluster string, open bool) *models.Ingress {
	t.Helper()
	record := &models.Ingress{ID: models.IngressID(ids.New(models.IngressPrefix)), ProjectID: p.ID, Cluster: cluster, InputType: models.IngressRTMP, RoomName: room, Confirmed: true, Open: open}
	record.IngressID = "IN_" + string(record.ID)
	if err := s.c.Store.Insert(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	return record
}

// others names the cluster that a new room would not go to.
func (s *Ingresses) others(t *testing.T, p *models.Project) string {
	t.Helper()
	if testkit.Must[*clusters.Member](t)(s.c.Placements.Of(t.Context(), p, "none")).Name == "one" {
		return "two"
	}
	return "one"
}

func TestARoomThatEndsStaysOnTheClusterOfAnyOfItsOpenIngresses(t *testing.T) {
	s, project := onTwoClusters(t, "wss://livekit.example.com")
	other := s.others(t, project)
	s.keeps(t, project, "hall", other, true)
	s.keeps(t, project, "hall", "one", false) // newer, and over
	s.keeps(t, project, "hall", "two", false)
	if err := s.keepRoom(t.Context(), &models.LiveKitEvent{ProjectID: project.ID, RoomName: "hall"}); err != nil {
		t.Fatal(err)
	}
	if m := testkit.Must[*clusters.Member](t)(s.c.Placements.Of(t.Context(), project, "hall")); m.Name != other {
		t.Errorf("it is on %s, its ingress on %s", m.Name, other)
	}
}

func TestAnIngressMovesIntoARoomThatIsOnNoClusterYet(t *testing.T) {
	s, project := onTwoClusters(t, "wss://livekit.example.com")
	record := s.keeps(t, project, "hall", s.others(t, project), true)
	if err := s.sameCluster(t.Context(), record, "stage"); err != nil {
		t.Fatal(err)
	}
	if m := testkit.Must[*clusters.Member](t)(s.c.Placements.Of(t.Context(), project, "stage")); m.Name != record.Cluster {
		t.Errorf("the room is on %s, its ingress on %s", m.Name, record.Cluster)
	}
	if _, err := s.c.Placements.For(t.Context(), project, "busy", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.sameCluster(t.Context(), record, "busy"); !models.HasCode(err, "room_on_another_cluster") {
		t.Errorf("a room on the other cluster: %v", err)
	}
}

func TestAClusterThatDoesNotAnswerIsAskedForItsDueIngressesOnceAPass(t *testing.T) {
	var asked atomic.Int64
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer away.Close()
	s, project := onTwoClusters(t, strings.Replace(away.URL, "http", "ws", 1))
	now := time.Now()
	for _, cluster := range []string{"one", "one", "one", "two", "two"} {
		record := s.keeps(t, project, "hall", cluster, false)
		if _, err := s.c.Store.Update(t.Context(), record, database.IngressChange{DueAt: &now}, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.lookAgain(t.Context()); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("the pass gives %v", err)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("two clusters were asked %d times", n)
	}
	if left, err := s.c.Store.Due(t.Context(), time.Now(), database.MaxBatch); err != nil || len(left) > 0 {
		t.Errorf("%d are still due before others, %v", len(left), err)
	}
}
