package clusters

import (
	"strings"
	"testing"
)

func TestACallFailsOnlyIfItsOwnClusterDoes(t *testing.T) {
	_, one := startCluster(t, "one", "eu")
	away, two := startCluster(t, "two", "us")
	away.away.Store(true)
	calls := NewCalls(newClusters(t, new(strings.Builder), nil, one, two))
	for key, want := range map[string]string{"APIone": "", "APItwo": "cluster two", "no cluster's": "cluster two"} {
		err := calls.Of(key).EndRoom(t.Context(), "prj_1_hall")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "cluster one")) {
			t.Errorf("the cluster of key %s: %v", key, err)
		}
	}
}
