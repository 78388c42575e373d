package lookup

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Results counts how a cache answered. It is safe for concurrent use.
type Results struct{ Hits, Stale, Misses atomic.Uint64 }

// Register offers the results as pulse_cache_lookups_total with the labels cache and
// result: hit (a key that is remembered as unknown, too), stale (an old entry, because it
// is refreshed in the background or the database is down) and miss.
func (r *Results) Register(cache string, registry prometheus.Registerer) {
	for result, n := range map[string]*atomic.Uint64{"hit": &r.Hits, "stale": &r.Stale, "miss": &r.Misses} {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "pulse_cache_lookups_total",
			Help: "Look-ups in caches, by cache and result (hit, stale, miss).", ConstLabels: prometheus.Labels{"cache": cache, "result": result}},
			func() float64 { return float64(n.Load()) }))
	}
}

// Register offers how the cache answered; see Results.
func (d *Cache[V]) Register(cache string, registry prometheus.Registerer) {
	d.results.Register(cache, registry)
}
