package counters

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"

	"pulse-control-plane/models"
)

const (
	// shownProjects have time series of their own; the others share one.
	shownProjects = 50
	// candidateProjects bounds the projects whose activity is remembered to choose
	// those that are shown.
	candidateProjects = 10 * shownProjects
	// rankEvery is how often they are chosen; an activity counts half after it.
	rankEvery = time.Minute
	// shownBonus keeps two projects that are about as active from taking turns.
	shownBonus = 1.25
	// otherProjects is the label of those that are not shown.
	otherProjects = "other"
)

// ProjectMetrics counts the usage of each project for Prometheus, for the projects that
// are most active now; the rest is counted as "other". Every series only grows:
// what a project did before it was shown stays in "other".
type ProjectMetrics struct {
	usage *prometheus.Desc
	mu    sync.Mutex
	shown map[models.ProjectID]*projectActivity
	other map[models.Meter]float64
	// candidates are the activities of projects that are not shown.
	candidates *lru.LRU[models.ProjectID, float64]
	rankedAt   time.Time
}

type projectActivity struct {
	score  float64
	counts map[models.Meter]float64
}

// NewProjectMetrics counts nothing yet.
func NewProjectMetrics() (*ProjectMetrics, error) {
	candidates, err := lru.NewLRU[models.ProjectID, float64](candidateProjects, nil)
	return &ProjectMetrics{
		usage: prometheus.NewDesc("pulse_project_usage_total",
			"What this process counted of a project's meter; of all but the 50 most active projects as project other.", []string{"project_id", "meter"}, nil),
		shown: map[models.ProjectID]*projectActivity{}, other: map[models.Meter]float64{}, candidates: candidates,
	}, err
}

// add counts n of a project's meter.
func (m *ProjectMetrics) add(p models.ProjectID, meter models.Meter, n float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	activity := m.shown[p]
	if activity == nil && len(m.shown) < shownProjects {
		score, _ := m.candidates.Peek(p)
		activity = m.show(p, score)
	}
	if activity == nil {
		score, _ := m.candidates.Get(p)
		m.candidates.Add(p, score+n)
		m.other[meter] += n
		return
	}
	activity.score += n
	activity.counts[meter] += n
}

func (m *ProjectMetrics) show(p models.ProjectID, score float64) *projectActivity {
	activity := &projectActivity{score: score, counts: map[models.Meter]float64{}}
	m.shown[p] = activity
	m.candidates.Remove(p)
	return activity
}

// rank chooses which projects are shown, if it was not done within rankEvery.
func (m *ProjectMetrics) rank(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.rankedAt) < rankEvery {
		return
	}
	m.rankedAt = now
	byScore := slices.SortedFunc(maps.Keys(m.shown), func(a, b models.ProjectID) int { return cmp.Compare(m.shown[a].score, m.shown[b].score) })
	rising := m.candidates.Keys()
	slices.SortFunc(rising, func(a, b models.ProjectID) int {
		one, _ := m.candidates.Peek(a)
		other, _ := m.candidates.Peek(b)
		return cmp.Compare(other, one)
	})
	for i, least := range byScore {
		if i >= len(rising) {
			break
		}
		score, _ := m.candidates.Peek(rising[i])
		hidden := m.shown[least].score
		if score <= shownBonus*hidden {
			break
		}
		delete(m.shown, least)
		m.show(rising[i], score)
		m.candidates.Add(least, hidden)
	}
	for _, activity := range m.shown {
		activity.score /= 2
	}
	for _, p := range m.candidates.Keys() {
		score, _ := m.candidates.Peek(p)
		m.candidates.Add(p, score/2)
	}
}

// Describe implements prometheus.Collector.
func (m *ProjectMetrics) Describe(out chan<- *prometheus.Desc) { out <- m.usage }

// Collect implements prometheus.Collector.
func (m *ProjectMetrics) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, activity := range m.shown {
		for meter, n := range activity.counts {
			out <- prometheus.MustNewConstMetric(m.usage, prometheus.CounterValue, n, string(p), string(meter))
		}
	}
	for meter, n := range m.other {
		out <- prometheus.MustNewConstMetric(m.usage, prometheus.CounterValue, n, otherProjects, string(meter))
	}
}
