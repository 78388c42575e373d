package clusters

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	lk "github.com/livekit/protocol/livekit"
	"github.com/rs/zerolog"
	"github.com/twitchtv/twirp"

	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/secret"
)

const clusterSecret = "secret-of-the-cluster-in-the-tests-0123456789"

// roomsOnly is LiveKit's room service, as far as a probe asks.
type roomsOnly struct {
	lk.RoomService
	participants atomic.Uint32
	away         atomic.Bool
}

func (s *roomsOnly) ListRooms(context.Context, *lk.ListRoomsRequest) (*lk.ListRoomsResponse, error) {
	if s.away.Load() {
		return nil, twirp.InternalErrorWith(errors.New("away"))
	}
	return &lk.ListRoomsResponse{Rooms: []*lk.Room{{NumParticipants: s.participants.Load()}}}, nil
}

func (s *roomsOnly) DeleteRoom(context.Context, *lk.DeleteRoomRequest) (*lk.DeleteRoomResponse, error) {
	if s.away.Load() {
		return nil, twirp.InternalErrorWith(errors.New("away"))
	}
	return &lk.DeleteRoomResponse{}, nil
}

// startCluster serves a cluster that trusts clusterSecret alone.
func startCluster(t *testing.T, name, region string) (*roomsOnly, livekit.Cluster) {
	t.Helper()
	service := new(roomsOnly)
	rooms := lk.NewRoomServiceServer(service)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := auth.ParseAPIToken(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if err == nil {
			_, _, err = token.Verify(clusterSecret)
		}
		if err != nil {
			_ = twirp.WriteError(w, twirp.NewError(twirp.Unauthenticated, "invalid token"))
			return
		}
		rooms.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return service, livekit.Cluster{Name: name, Region: region, URL: "wss://" + name + ".example.com", APIURL: server.URL,
		APIKey: "API" + name, APISecret: secret.New(clusterSecret), Weight: 1}
}

func newClusters(t *testing.T, log *strings.Builder, fallback map[string][]string, list ...livekit.Cluster) *Set {
	t.Helper()
	c, err := New(list, fallback, nil, zerolog.New(zerolog.SyncWriter(log)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *Set) probed(t *testing.T) *Set {
	t.Helper()
	if err := c.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAProbeDistinguishesAWrongKeyFromAClusterThatIsDown(t *testing.T) {
	_, fine := startCluster(t, "fine", "eu")
	_, wrong := startCluster(t, "wrong", "eu")
	away, down := startCluster(t, "down", "us")
	wrong.APISecret = secret.New("another secret than the cluster's, 0123456789")
	away.away.Store(true)
	var log strings.Builder
	c := newClusters(t, &log, nil, fine, wrong, down).probed(t)
	for name, want := range map[string]State{"fine": Operational, "wrong": WrongKey, "down": Down} {
		if got := c.Named(name).Health().State; got != want {
			t.Errorf("%s is %s", name, got)
		}
	}
	if !strings.Contains(log.String(), `"cluster":"wrong"`) || !strings.Contains(log.String(), "cluster is wrong_key") {
		t.Errorf("the log does not name it: %s", &log)
	}
	log.Reset()
	if c.probed(t); log.Len() > 0 {
		t.Errorf("what is unchanged is logged again: %s", &log)
	}
	if got := c.Regions(); len(got) != 2 || got[0] != (Region{"eu", Operational}) || got[1] != (Region{"us", Down}) {
		t.Errorf("regions are %v", got)
	}
}

func TestANewRoomGoesToTheLeastLoadedUsableClusterOfItsRegionThenToTheFallback(t *testing.T) {
	a, one := startCluster(t, "one", "eu")
	b, two := startCluster(t, "two", "eu")
	_, far := startCluster(t, "far", "us")
	_, other := startCluster(t, "other", "ap")
	two.Weight = 3
	a.participants.Store(10)
	b.participants.Store(20)
	c := newClusters(t, new(strings.Builder), map[string][]string{"eu": {"us"}}, other, one, two, far).probed(t)
	chosen := func(want string) {
		t.Helper()
		if got := c.Choose("eu").Name; got != want {
			t.Errorf("chose %s, want %s", got, want)
		}
	}
	chosen("two") // 20 of 3 is less than 10 of 1
	b.participants.Store(60)
	c.probed(t)
	chosen("one")
	a.away.Store(true)
	c.probed(t)
	chosen("two")
	b.away.Store(true)
	c.probed(t)
	chosen("far")
	if got := c.Choose("nowhere").Name; got != "other" {
		t.Errorf("a region without clusters goes to %s", got)
	}
}

func TestReplacingClustersKeepsTheHealthOfUnchangedOnesAndRefusesInvalidSets(t *testing.T) {
	_, one := startCluster(t, "one", "eu")
	_, two := startCluster(t, "two", "eu")
	c := newClusters(t, new(strings.Builder), nil, one).probed(t)
	if err := c.Replace([]livekit.Cluster{one, two}, nil); err != nil {
		t.Fatal(err)
	}
	if c.Named("one").Health().State != Operational || c.Named("two").Health().State != Unknown {
		t.Error("health was not kept")
	}
	clash := two
	clash.APIKey = one.APIKey
	for _, list := range [][]livekit.Cluster{nil, {one, one}, {one, clash}} {
		if c.Replace(list, nil) == nil || len(c.All()) != 2 {
			t.Errorf("%d clusters were taken", len(list))
		}
	}
}

func TestEveryKeyOfAClusterIsKnownWhileItsKeysRotate(t *testing.T) {
	_, one := startCluster(t, "one", "eu")
	one.Older = []livekit.KeyPair{{Key: "APIold", Secret: secret.New("old secret")}}
	c := newClusters(t, new(strings.Builder), nil, one)
	if c.OfKey("APIold").Name != "one" || string(c.Secret("APIold")) != "old secret" || string(c.Secret("APIone")) != clusterSecret || c.Secret("other") != nil {
		t.Error("a key is not known")
	}
}
