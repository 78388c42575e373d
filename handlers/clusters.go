package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/services/clusters"
)

// Clusters serves /v1/regions and /v1/clusters.
type Clusters struct{ service *clusters.Set }

// NewClusters makes the handlers of a set of clusters.
func NewClusters(s *clusters.Set) *Clusters { return &Clusters{s} }

// Region is a region that projects may be in.
type Region struct {
	Name   string `json:"name"`
	Status string `json:"status"`
}

// Regions returns the regions.
func (h *Clusters) Regions(c *gin.Context) error {
	out := RegionList{Items: []Region{}}
	for _, r := range h.service.Regions() {
		out.Items = append(out.Items, Region{r.Name, regionStatus(r.State)})
	}
	return answer(c, http.StatusOK, out)
}

// RegionList is the list of regions.
type RegionList struct {
	Items []Region `json:"items"`
}

// regionStatus is a state in the words of the status page.
func regionStatus(s clusters.State) string {
	if s == clusters.Down {
		return "down"
	}
	return "operational"
}

// Cluster is a LiveKit cluster. Secrets are never shown.
type Cluster struct {
	Name         string     `json:"name"`
	Region       string     `json:"region"`
	URL          string     `json:"url"`
	APIURL       string     `json:"api_url"`
	Weight       int        `json:"weight"`
	Status       string     `json:"status"`
	LatencyMS    float64    `json:"latency_ms"`
	CheckedAt    *time.Time `json:"checked_at"`
	Rooms        int        `json:"rooms"`
	Participants int        `json:"participants"`
	LastEventAt  *time.Time `json:"last_event_at"`
	KeyIDs       []string   `json:"key_ids"`
}

// ClusterList is the list of clusters, the default one first.
type ClusterList struct {
	Items []Cluster `json:"items"`
}

// List returns the clusters.
func (h *Clusters) List(c *gin.Context) error {
	clusters, err := h.service.List(actor(c))
	if err != nil {
		return err
	}
	out := ClusterList{Items: make([]Cluster, 0, len(clusters))}
	for _, m := range clusters {
		health := m.Health()
		out.Items = append(out.Items, Cluster{
			Name: m.Name, Region: m.Region, URL: m.URL, APIURL: m.CallURL(), Weight: max(m.Weight, 1), Status: string(health.State),
			LatencyMS: float64(health.Latency.Microseconds()) / 1000, CheckedAt: instantUnlessZero(health.CheckedAt),
			Rooms: health.Rooms, Participants: health.Participants, LastEventAt: instantUnlessZero(health.LastEvent), KeyIDs: m.KeyIDs(),
		})
	}
	return answer(c, http.StatusOK, out)
}
