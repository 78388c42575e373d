package livekit

import (
	"strings"
	"testing"
)

func TestListsAreOfEveryClusterAndFailWhileOneIsAway(t *testing.T) {
	_, one := startCluster(t, "one", "eu")
	away, two := startCluster(t, "two", "us")
	calls := NewCalls(newClusters(t, new(strings.Builder), nil, one, two))
	rooms, err := calls.Rooms(t.Context())
	if err != nil || len(rooms) != 2 {
		t.Fatalf("%d rooms, %v", len(rooms), err)
	}
	away.away.Store(true)
	if rooms, err := calls.Rooms(t.Context()); err == nil {
		t.Errorf("a cluster that is away has %d rooms", len(rooms))
	}
}
