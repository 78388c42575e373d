package clusters

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/livekitevents"
	"pulse-control-plane/utils/observe"
)

// State is how a cluster answered its last probe.
type State string

// The states. A cluster is Unknown until its first probe has ended; it takes new
// rooms then as if it were Operational.
const (
	Unknown     State = "unknown"
	Operational State = "operational"
	WrongKey    State = "wrong_key"
	Down        State = "down"
)

// Health is what is known of a cluster.
type Health struct {
	State     State
	CheckedAt time.Time
	Latency   time.Duration
	// Rooms and Participants are those of all tenants; 0 unless Operational.
	Rooms, Participants int
	// LastEvent is when an event of the cluster came last; zero if none has.
	LastEvent time.Time
}

// Member is a cluster of a Set.
type Member struct {
	livekit.Cluster
	Client *livekit.Client
	Signer *livekit.Signer

	health    atomic.Pointer[Health]
	lastEvent atomic.Int64 // Unix milliseconds
}

func newMember(c livekit.Cluster, r *observe.Recorder) *Member {
	m := &Member{Cluster: c, Client: livekit.NewClient([]livekit.Cluster{c}, r), Signer: livekit.NewSigner(c)}
	m.health.Store(&Health{State: Unknown})
	return m
}

// Health is the last probe's result.
func (m *Member) Health() Health {
	h := *m.health.Load()
	if at := m.lastEvent.Load(); at > 0 {
		h.LastEvent = time.UnixMilli(at).UTC()
	}
	return h
}

// Usable reports whether the cluster may take new rooms.
func (m *Member) Usable() bool {
	state := m.health.Load().State
	return state == Operational || state == Unknown
}

// Heard notes that an event of the cluster came at a time.
func (m *Member) Heard(at time.Time) { m.lastEvent.Store(at.UnixMilli()) }

// Set is the LiveKit clusters of the installation, the one of LIVEKIT_HOST
// first. It is safe for concurrent use; Replace changes them while it is used.
type Set struct {
	recorder *observe.Recorder
	log      zerolog.Logger
	now      func() time.Time
	replace  sync.Mutex
	current  atomic.Pointer[clusterSet]
}

type clusterSet struct {
	members  []*Member
	byName   map[string]*Member
	byKey    map[string]*Member
	secrets  map[string][]byte
	verifier livekitevents.Verifier
	fallback map[string][]string
}

// New makes the set. list must not be empty; names and keys must be
// unique. fallback names the regions that take a region's new rooms while none of
// its own clusters is usable. recorder may be nil.
func New(list []livekit.Cluster, fallback map[string][]string, recorder *observe.Recorder, log zerolog.Logger, now func() time.Time) (*Set, error) {
	c := &Set{recorder: recorder, log: log, now: now}
	return c, c.Replace(list, fallback)
}

// Replace sets other clusters. Those that stay as they were keep their health; on
// an error everything stays.
func (c *Set) Replace(list []livekit.Cluster, fallback map[string][]string) error {
	c.replace.Lock()
	defer c.replace.Unlock()
	if len(list) == 0 {
		return errors.New("livekit: no cluster")
	}
	before := c.current.Load()
	set := &clusterSet{byName: map[string]*Member{}, byKey: map[string]*Member{}, secrets: map[string][]byte{}, fallback: maps.Clone(fallback)}
	for _, cluster := range list {
		m := newMember(cluster, c.recorder)
		if before != nil {
			if old := before.byName[cluster.Name]; old != nil && reflect.DeepEqual(old.Cluster, cluster) {
				m = old
			} else if old != nil {
				m.lastEvent.Store(old.lastEvent.Load())
			}
		}
		if set.byName[cluster.Name] != nil {
			return fmt.Errorf("livekit: two clusters are called %q", cluster.Name)
		}
		set.members, set.byName[cluster.Name] = append(set.members, m), m
		for _, pair := range cluster.Pairs() {
			if set.byKey[pair.Key] != nil {
				return fmt.Errorf("livekit: clusters %q and %q have the same key", set.byKey[pair.Key].Name, cluster.Name)
			}
			set.byKey[pair.Key], set.secrets[pair.Key] = m, []byte(pair.Secret.Reveal())
		}
	}
	set.verifier = livekitevents.NewVerifier(list)
	c.current.Store(set)
	return nil
}

// All are the clusters, the default one first.
func (c *Set) All() []*Member { return c.current.Load().members }

// List is All for the operator; forbidden for everybody else.
func (c *Set) List(actor *models.Principal) ([]*Member, error) {
	if err := actor.May(models.ActionOperations); err != nil {
		return nil, err
	}
	return c.All(), nil
}

// KeyIDs are the API keys of the cluster, without secrets.
func (m *Member) KeyIDs() []string {
	ids := make([]string, 0, 1+len(m.Older))
	for _, pair := range m.Pairs() {
		ids = append(ids, pair.Key)
	}
	return ids
}

// Check answers nil while the cluster's last probe succeeded, or before it had
// one; unavailable otherwise.
func (m *Member) Check(context.Context) error {
	if !m.Usable() {
		return models.Unavailable(fmt.Errorf("cluster %s is %s", m.Name, m.health.Load().State))
	}
	return nil
}

// Default is the first cluster.
func (c *Set) Default() *Member { return c.current.Load().members[0] }

// Named finds a cluster, or nil.
func (c *Set) Named(name string) *Member { return c.current.Load().byName[name] }

// OfKey finds the cluster that has an API key, or nil.
func (c *Set) OfKey(key string) *Member { return c.current.Load().byKey[key] }

// Verifier checks events that a key of the clusters signed.
func (c *Set) Verifier() livekitevents.Verifier { return c.current.Load().verifier }

// Secret is that of an API key; empty for a key of no cluster.
func (c *Set) Secret(key string) []byte { return c.current.Load().secrets[key] }

// Parse reads a token that a key of one of the clusters signed, as livekit.Parse.
func (c *Set) Parse(token string, now time.Time) (*livekit.Claims, string) {
	return livekit.Parse(token, c.Secret, now)
}

// Region is a region and how its clusters are.
type Region struct {
	Name  string
	State State
}

// Regions lists the regions by name. A region is operational while one of its
// clusters is usable.
func (c *Set) Regions() []Region {
	usable := map[string]bool{}
	for _, m := range c.All() {
		usable[m.Region] = usable[m.Region] || m.Usable()
	}
	out := make([]Region, 0, len(usable))
	for _, name := range slices.Sorted(maps.Keys(usable)) {
		r := Region{Name: name, State: Operational}
		if !usable[name] {
			r.State = Down
		}
		out = append(out, r)
	}
	return out
}

// HasRegion reports whether a cluster is in a region.
func (c *Set) HasRegion(name string) bool {
	return slices.ContainsFunc(c.All(), func(m *Member) bool { return m.Region == name })
}

// Choose returns the cluster that takes a new room of a region: the usable one
// with the fewest participants for its weight, else one of the fallback regions
// in their order, else the default cluster.
func (c *Set) Choose(region string) *Member {
	set := c.current.Load()
	if len(set.members) == 1 {
		return set.members[0]
	}
	for _, name := range append([]string{region}, set.fallback[region]...) {
		if best := set.leastLoaded(name); best != nil {
			return best
		}
	}
	if set.byRegion(region) == 0 { // a region no cluster is in any more
		if best := set.leastLoaded(set.members[0].Region); best != nil {
			return best
		}
	}
	return set.members[0]
}

func (s *clusterSet) byRegion(region string) (n int) {
	for _, m := range s.members {
		if m.Region == region {
			n++
		}
	}
	return n
}

func (s *clusterSet) leastLoaded(region string) (best *Member) {
	load := func(m *Member) float64 {
		return float64(m.health.Load().Participants+1) / float64(max(m.Weight, 1))
	}
	for _, m := range s.members {
		if m.Region == region && m.Usable() && (best == nil || load(m) < load(best)) {
			best = m
		}
	}
	return best
}

// Probe asks every cluster whether it answers and trusts Pulse's key, all at
// once. It is the pass of a worker; changes are logged.
func (c *Set) Probe(ctx context.Context) error {
	var all sync.WaitGroup
	for _, m := range c.All() {
		all.Go(func() { c.probe(ctx, m) })
	}
	all.Wait()
	return nil
}

func (c *Set) probe(ctx context.Context, m *Member) {
	began := c.now()
	h := Health{State: Operational, CheckedAt: began}
	rooms, participants, err := m.Client.Load(ctx)
	switch {
	case ctx.Err() != nil:
		return // the process stops
	case err == nil:
		h.Rooms, h.Participants = rooms, participants
	case livekit.Refused(err):
		h.State = WrongKey
	default:
		h.State = Down
	}
	h.Latency = c.now().Sub(began)
	before := m.health.Swap(&h)
	if before.State == h.State {
		return
	}
	line := c.log.Info()
	if h.State != Operational {
		line = c.log.Error().Err(err)
	}
	line.Str("cluster", m.Name).Str("url", m.CallURL()).Str("was", string(before.State)).Msg("livekit: cluster is " + string(h.State))
}
