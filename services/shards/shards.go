package shards

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/required"
)

const (
	// TTL is how long shards stay with a process that died; PassInterval is how
	// often Pass renews leases and looks at those of others. A process that stops
	// is noticed within TTL and two passes.
	TTL          = 2500 * time.Millisecond
	PassInterval = time.Second
	// forgottenAfter is how long the lease of a process that died is kept: each
	// restart of a pod leaves one, under a name of its own.
	forgottenAfter = time.Hour
)

// Shares divides the shards of one kind of work fairly among the processes that
// do it. Each process keeps a lease as a member and one for each shard it has; no
// process compares another's clock with its own, but only how long by its own
// clock a lease has stood still.
type Shares struct {
	c Config
	// member and shard begin the ids of the leases of processes and of shards.
	member, shard string

	mu sync.Mutex
	// seen are the leases of others and since when they stand still.
	seen map[string]stillLease
	// until is when a shard is no longer this process's, unless it is renewed;
	// leaving are those to be given to others after the batch under way.
	until   []time.Time
	leaving []bool
	// busy is how much is under way in each shard.
	busy []int
}

// Config of New; every field is required.
type Config struct {
	// Name is the work that is shared; it begins the ids of the leases.
	Name string
	// Count is the number of shards, numbered from 0.
	Count  int64
	Leases *database.Leases
	// Holder names this process among replicas.
	Holder string
	Now    func() time.Time
	// Gained is called before a shard is worked on that another process had; if it
	// fails, the shard is not worked on yet.
	Gained func(ctx context.Context, shard int64) error
}

type stillLease struct {
	holder string
	term   int64
	since  time.Time
}

// New returns the shares of a process that has no shard yet. It fails if a
// required field is missing.
func New(c Config) (*Shares, error) {
	if err := required.Fields(c); err != nil {
		return nil, err
	}
	shard := c.Name + "|"
	return &Shares{c: c, shard: shard, member: shard + "member|", seen: map[string]stillLease{},
		until: make([]time.Time, c.Count), leaving: make([]bool, c.Count), busy: make([]int, c.Count)}, nil
}

func (s *Shares) lease(shard int64) string { return s.shard + strconv.FormatInt(shard, 10) }

// Begin reports whether a shard may be worked on now, and keeps it from being
// given away until End is called.
func (s *Shares) Begin(shard int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy[shard] == 0 && s.join(shard)
}

// Join is Begin for work of which several pieces may be under way in a shard; each
// calls End.
func (s *Shares) Join(shard int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.join(shard)
}

func (s *Shares) join(shard int64) bool {
	if s.leaving[shard] || !s.c.Now().Before(s.until[shard]) {
		return false
	}
	s.busy[shard]++
	return true
}

// End lets a shard that Begin or Join kept be given away again.
func (s *Shares) End(shard int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[shard]--
}

// Own gives the shards of this process.
func (s *Shares) Own() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []int64
	now := s.c.Now()
	for shard := range s.c.Count {
		if now.Before(s.until[shard]) && !s.leaving[shard] {
			out = append(out, shard)
		}
	}
	return out
}

// Idle gives the shards of this process that are not being worked on.
func (s *Shares) Idle() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []int64
	now := s.c.Now()
	for shard := range s.c.Count {
		if now.Before(s.until[shard]) && s.busy[shard] == 0 {
			out = append(out, shard)
		}
	}
	return out
}

// Register offers how many shards this process has as a metric with the work's name.
func (s *Shares) Register(registry prometheus.Registerer) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pulse_shards_held",
		Help: "Shards of divided work whose leases this process has.", ConstLabels: prometheus.Labels{"work": s.c.Name}},
		func() float64 { return float64(len(s.Own())) }))
}

// Pass renews what this process has, gives back what is more than its share and
// takes what is less and free. It gives the shards that are newly its own.
func (s *Shares) Pass(ctx context.Context) (taken []int64, err error) {
	asked := s.c.Now()
	list, err := s.c.Leases.List(ctx, s.shard)
	if err != nil {
		return nil, err
	}
	mine, free, members, dead := s.look(list, asked)
	renewed := []string{s.member + s.c.Holder}
	if !slices.ContainsFunc(list, func(l models.Lease) bool { return l.ID == renewed[0] }) {
		if _, err := s.c.Leases.Take(ctx, &models.Lease{ID: renewed[0]}, s.c.Holder, TTL); err != nil {
			return nil, err
		}
	}
	for _, shard := range mine {
		renewed = append(renewed, s.lease(shard))
	}
	n, err := s.c.Leases.Renew(ctx, renewed, s.c.Holder, TTL)
	if err != nil {
		return nil, err
	}
	if n < int64(len(renewed)) {
		return nil, nil // one was taken since it was read; the next pass knows which
	}
	if taken, err = s.believe(ctx, mine, asked); err != nil {
		return taken, err
	}
	share := (int(s.c.Count) + members - 1) / members
	if err := s.giveBack(ctx, mine, len(mine)-share); err != nil {
		return taken, err
	}
	for i := range free {
		if len(mine) >= share {
			break
		}
		got, err := s.c.Leases.Take(ctx, &free[i], s.c.Holder, TTL)
		if err != nil {
			return taken, err
		}
		if !got {
			continue
		}
		shard, _ := s.shardOf(free[i].ID)
		mine = append(mine, shard)
		more, err := s.believe(ctx, []int64{shard}, asked)
		taken = append(taken, more...)
		if err != nil {
			return taken, err
		}
	}
	for i := range dead {
		if err := s.c.Leases.Forget(ctx, &dead[i]); err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// look sorts the leases into the shards of this process, those that nobody keeps
// alive, the number of processes that take part, this one included, and the leases
// of processes that died long ago.
func (s *Shares) look(list []models.Lease, now time.Time) (mine []int64, free []models.Lease, members int, dead []models.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	members = 1
	missing, still := map[int64]bool{}, map[string]stillLease{}
	for shard := range s.c.Count {
		missing[shard] = true
	}
	for i := range list {
		l := &list[i]
		shard, ofShard := s.shardOf(l.ID)
		delete(missing, shard)
		if l.Holder == s.c.Holder {
			if ofShard {
				mine = append(mine, shard)
			}
			continue
		}
		seen, known := s.seen[l.ID]
		if !known || seen.holder != l.Holder || seen.term != l.Term {
			seen = stillLease{l.Holder, l.Term, now}
		}
		still[l.ID] = seen
		stood := now.Sub(seen.since)
		alive := stood < TTL
		switch {
		case ofShard && !alive:
			free = append(free, *l)
		case strings.HasPrefix(l.ID, s.member) && alive:
			members++
		case strings.HasPrefix(l.ID, s.member) && stood >= forgottenAfter:
			dead = append(dead, *l)
		}
	}
	s.seen = still
	for shard := range missing {
		free = append(free, models.Lease{ID: s.lease(shard)})
	}
	return mine, free, members, dead
}

func (s *Shares) shardOf(id string) (int64, bool) {
	shard, err := strconv.ParseInt(strings.TrimPrefix(id, s.shard), 10, 64)
	if err != nil || shard < 0 || shard >= s.c.Count {
		return -1, false
	}
	return shard, true
}

// believe has this process rely on shards it asked for at a time, an eighth less
// long than the others do. What it had not before is prepared first.
func (s *Shares) believe(ctx context.Context, shards []int64, asked time.Time) (taken []int64, err error) {
	until := asked.Add(TTL - TTL/8)
	for _, shard := range shards {
		s.mu.Lock()
		had := asked.Before(s.until[shard])
		s.mu.Unlock()
		if !had {
			if err := s.c.Gained(ctx, shard); err != nil {
				return taken, err
			}
			taken = append(taken, shard)
		}
		s.mu.Lock()
		s.until[shard] = until
		s.mu.Unlock()
	}
	return taken, nil
}

// giveBack releases so many shards, those first that nothing is done in; a batch
// under way is finished, and the next pass releases its shard.
func (s *Shares) giveBack(ctx context.Context, mine []int64, extra int) error {
	s.mu.Lock()
	clear(s.leaving)
	var released []string
	for _, busy := range []bool{false, true} {
		for _, shard := range mine {
			if extra <= 0 || (s.busy[shard] > 0) != busy {
				continue
			}
			extra--
			if busy {
				s.leaving[shard] = true
				continue
			}
			s.until[shard] = time.Time{}
			released = append(released, s.lease(shard))
		}
	}
	s.mu.Unlock()
	if len(released) == 0 {
		return nil
	}
	return s.c.Leases.Release(ctx, released, s.c.Holder)
}

// Leave gives everything back when the process stops.
func (s *Shares) Leave(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := []string{s.member + s.c.Holder}
	for shard := range s.c.Count {
		s.until[shard] = time.Time{}
		ids = append(ids, s.lease(shard))
	}
	return s.c.Leases.Release(ctx, ids, s.c.Holder)
}
