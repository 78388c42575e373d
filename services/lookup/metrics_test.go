package lookup

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulse-control-plane/models"
)

func TestLookupsAreCountedByCacheAndResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backing{}
		c, registry := newCache(t, b), prometheus.NewRegistry()
		c.Register("things", registry)
		get(t, c, 0)
		get(t, c, 0)
		get(t, c, 0)
		time.Sleep(freshFor + time.Second) // the bubble's clock
		get(t, c, 0)
		synctest.Wait()
		b.fail(models.NotFound())
		for range 2 {
			if _, err := c.Get(t.Context(), "unknown"); !models.IsKind(err, models.KindNotFound) {
				t.Fatal(err)
			}
		}
		families, err := registry.Gather()
		if err != nil || len(families) != 1 || families[0].GetName() != "pulse_cache_lookups_total" {
			t.Fatal(families, err)
		}
		want := map[string]float64{"hit": 3, "stale": 1, "miss": 2}
		for _, m := range families[0].GetMetric() {
			cache, result := m.GetLabel()[0].GetValue(), m.GetLabel()[1].GetValue()
			if got := m.GetCounter().GetValue(); cache != "things" || got != want[result] {
				t.Errorf("%s %s is %v, want %v", cache, result, got, want[result])
			}
		}
	})
}
