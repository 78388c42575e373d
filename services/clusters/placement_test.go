package clusters

import (
	"strings"
	"sync"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

// hall's project is in the region of the tests' clusters.
func hall() *models.Project { return &models.Project{ID: "prj_1", Region: "eu"} }

func TestReplicasThatAssignARoomAtOnceAgree(t *testing.T) {
	_, one := startCluster(t, "one", "eu")
	_, two := startCluster(t, "two", "eu")
	engine := testkit.NewEngine(t)
	var replicas []*Placements
	for n := range 4 {
		c := newClusters(t, new(strings.Builder), nil, one, two).probed(t)
		// Each replica believes that another cluster is the emptier one.
		c.Named([]string{"one", "two"}[n%2]).health.Store(&Health{State: Operational, Participants: 100})
		replicas = append(replicas, testkit.Must[*Placements](t)(NewPlacements(c, database.NewPlacements(engine), time.Now)))
	}
	names := make([]string, len(replicas))
	var all sync.WaitGroup
	for n, p := range replicas {
		all.Go(func() {
			m, err := p.For(t.Context(), hall(), "hall", time.Now().Add(time.Hour))
			if err != nil {
				t.Error(err)
				return
			}
			names[n] = m.Name
		})
	}
	all.Wait()
	for _, name := range names[1:] {
		if name != names[0] {
			t.Fatalf("replicas assign the room on %v", names)
		}
	}
}

func TestARoomStaysOnItsClusterUntilThatIsDownAndIsPlacedAnewWhenItEnded(t *testing.T) {
	a, one := startCluster(t, "one", "eu")
	_, two := startCluster(t, "two", "eu")
	clock := testkit.NewClock()
	c := newClusters(t, new(strings.Builder), nil, one, two).probed(t)
	p := testkit.Must[*Placements](t)(NewPlacements(c, database.NewPlacements(testkit.NewEngine(t)), clock.Now))
	on := func(want string) {
		t.Helper()
		clock.Advance(placementFresh)
		m, err := p.For(t.Context(), hall(), "hall", time.Now().Add(time.Hour))
		if err != nil || m.Name != want {
			t.Fatalf("the room is on %v, %v; want %s", m, err, want)
		}
	}
	on("one")
	a.participants.Store(1000)
	c.probed(t)
	on("one") // however full its cluster is
	a.away.Store(true)
	c.probed(t)
	on("two")
	a.away.Store(false)
	a.participants.Store(0)
	c.probed(t)
	on("two") // the room is there now
	if err := p.Ended(t.Context(), "APItwo", "prj_1_hall", clock.Now()); err != nil {
		t.Fatal(err)
	}
	c.Named("two").health.Store(&Health{State: Operational, Participants: 5})
	on("one")
}

func TestTheEndOfAnEarlierRoomReleasesNoLaterOne(t *testing.T) {
	_, one := startCluster(t, "one", "eu")
	_, two := startCluster(t, "two", "eu")
	clock := testkit.NewClock()
	c := newClusters(t, new(strings.Builder), nil, one, two).probed(t)
	store := database.NewPlacements(testkit.NewEngine(t))
	p := testkit.Must[*Placements](t)(NewPlacements(c, store, clock.Now))
	ended := clock.Now()
	clock.Advance(time.Second)
	m := testkit.Must[*Member](t)(p.For(t.Context(), hall(), "hall", time.Now().Add(time.Hour)))
	if err := p.Ended(t.Context(), m.APIKey, "prj_1_hall", ended); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), "prj_1_hall"); err != nil {
		t.Errorf("the later room lost its placement: %v", err)
	}
}

func TestThePlacementOfARoomWithoutParticipantsExpiresSoonAfterItsToken(t *testing.T) {
	_, one := startCluster(t, "one", "eu")
	_, two := startCluster(t, "two", "eu")
	c := newClusters(t, new(strings.Builder), nil, one, two).probed(t)
	store := database.NewPlacements(testkit.NewEngine(t))
	p := testkit.Must[*Placements](t)(NewPlacements(c, store, time.Now))
	until := time.Now().Add(15 * time.Minute).UTC().Truncate(time.Millisecond)
	kept := func(want time.Time) {
		t.Helper()
		placed := testkit.Must[models.RoomPlacement](t)(store.Get(t.Context(), "prj_1_hall"))
		if !placed.ExpiresAt.Equal(want) {
			t.Errorf("kept until %s, want %s", placed.ExpiresAt, want)
		}
	}
	testkit.Must[*Member](t)(p.For(t.Context(), hall(), "hall", until))
	kept(until.Add(models.PlacementSpare))
	later := until.Add(2 * time.Hour)
	testkit.Must[*Member](t)(p.For(t.Context(), hall(), "hall", later))
	kept(later.Add(models.PlacementSpare))
	if err := p.Joined(t.Context(), "prj_1_hall", until); err != nil {
		t.Fatal(err)
	}
	kept(until.Add(models.PlacementJoined))
}
