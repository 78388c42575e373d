package metering

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

const (
	// shareTTL is how long shards stay with a process that died; sharePass is
	// how often leases are renewed and looked at. A process that stops is noticed
	// within shareTTL and two passes.
	shareTTL  = 2500 * time.Millisecond
	sharePass = time.Second
	// Names of the leases: a shard, and a process that takes part.
	shareLease  = "inbox|"
	memberLease = shareLease + "member|"
)

// shares divides the shards of the inbox fairly among the processes that work on
// it. Each process keeps a lease as a member and one for each shard it has; no
// process compares another's clock with its own, but only how long by its own
// clock a lease has stood still.
type shares struct {
	leases *database.Leases
	holder string
	now    func() time.Time
	// gained is called before a shard is worked on that another process had.
	gained func(ctx context.Context, shard int64) error

	mu sync.Mutex
	// seen are the leases of others and since when they stand still.
	seen map[string]stillLease
	// until is when a shard is no longer this process's, unless it is renewed;
	// leaving are those to be given to others after the batch under way.
	until   [inboxShards]time.Time
	leaving [inboxShards]bool
	busy    [inboxShards]bool
}

type stillLease struct {
	holder string
	term   int64
	since  time.Time
}

func newShares(leases *database.Leases, holder string, now func() time.Time, gained func(context.Context, int64) error) *shares {
	return &shares{leases: leases, holder: holder, now: now, gained: gained, seen: map[string]stillLease{}}
}

func shardLease(shard int64) string { return shareLease + strconv.FormatInt(shard, 10) }

// begin tells whether a shard may be worked on now, and keeps it from being
// given away until end is called.
func (s *shares) begin(shard int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving[shard] || s.busy[shard] || !s.now().Before(s.until[shard]) {
		return false
	}
	s.busy[shard] = true
	return true
}

func (s *shares) end(shard int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[shard] = false
}

// idle gives the shards of this process that are not being worked on.
func (s *shares) idle() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []int64
	now := s.now()
	for shard := range int64(inboxShards) {
		if now.Before(s.until[shard]) && !s.busy[shard] {
			out = append(out, shard)
		}
	}
	return out
}

// pass renews what this process has, gives back what is more than its share and
// takes what is less and free. It gives the shards that are newly its own.
func (s *shares) pass(ctx context.Context) (taken []int64, err error) {
	asked := s.now()
	list, err := s.leases.List(ctx, shareLease)
	if err != nil {
		return nil, err
	}
	mine, free, members := s.look(list, asked)
	renewed := []string{memberLease + s.holder}
	if !slices.ContainsFunc(list, func(l models.Lease) bool { return l.ID == renewed[0] }) {
		if _, err := s.leases.Take(ctx, &models.Lease{ID: renewed[0]}, s.holder, shareTTL); err != nil {
			return nil, err
		}
	}
	for _, shard := range mine {
		renewed = append(renewed, shardLease(shard))
	}
	n, err := s.leases.Renew(ctx, renewed, s.holder, shareTTL)
	if err != nil {
		return nil, err
	}
	if n < int64(len(renewed)) {
		mine = nil // one was taken since it was read; the next pass knows which
	}
	if taken, err = s.believe(ctx, mine, asked); err != nil {
		return taken, err
	}
	share := (inboxShards + members - 1) / members
	if err := s.giveBack(ctx, mine, len(mine)-share); err != nil {
		return taken, err
	}
	for i := range free {
		if len(mine) >= share {
			break
		}
		got, err := s.leases.Take(ctx, &free[i], s.holder, shareTTL)
		if err != nil {
			return taken, err
		}
		if !got {
			continue
		}
		shard, _ := shardOfLease(free[i].ID)
		mine = append(mine, shard)
		more, err := s.believe(ctx, []int64{shard}, asked)
		taken = append(taken, more...)
		if err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// look sorts the leases into the shards of this process, those that nobody keeps
// alive, and the number of processes that take part, this one included.
func (s *shares) look(list []models.Lease, now time.Time) (mine []int64, free []models.Lease, members int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	members = 1
	missing, still := map[int64]bool{}, map[string]stillLease{}
	for shard := range int64(inboxShards) {
		missing[shard] = true
	}
	for i := range list {
		l := &list[i]
		shard, ofShard := shardOfLease(l.ID)
		delete(missing, shard)
		if l.Holder == s.holder {
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
		alive := now.Sub(seen.since) < shareTTL
		switch {
		case ofShard && !alive:
			free = append(free, *l)
		case strings.HasPrefix(l.ID, memberLease) && alive:
			members++
		}
	}
	s.seen = still
	for shard := range missing {
		free = append(free, models.Lease{ID: shardLease(shard)})
	}
	return mine, free, members
}

func shardOfLease(id string) (int64, bool) {
	shard, err := strconv.ParseInt(strings.TrimPrefix(id, shareLease), 10, 64)
	if err != nil || shard < 0 || shard >= inboxShards {
		return -1, false
	}
	return shard, true
}

// believe has this process rely on shards it asked for at a time, an eighth less
// long than the others do. What it had not before is prepared first.
func (s *shares) believe(ctx context.Context, shards []int64, asked time.Time) (taken []int64, err error) {
	until := asked.Add(shareTTL - shareTTL/8)
	for _, shard := range shards {
		s.mu.Lock()
		had := asked.Before(s.until[shard])
		s.mu.Unlock()
		if !had {
			if err := s.gained(ctx, shard); err != nil {
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
func (s *shares) giveBack(ctx context.Context, mine []int64, extra int) error {
	s.mu.Lock()
	s.leaving = [inboxShards]bool{}
	var released []string
	for _, busy := range []bool{false, true} {
		for _, shard := range mine {
			if extra <= 0 || s.busy[shard] != busy {
				continue
			}
			extra--
			if busy {
				s.leaving[shard] = true
				continue
			}
			s.until[shard] = time.Time{}
			released = append(released, shardLease(shard))
		}
	}
	s.mu.Unlock()
	if len(released) == 0 {
		return nil
	}
	return s.leases.Release(ctx, released, s.holder)
}

// leave gives everything back when the process stops.
func (s *shares) leave(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := []string{memberLease + s.holder}
	for shard := range int64(inboxShards) {
		s.until[shard] = time.Time{}
		ids = append(ids, shardLease(shard))
	}
	return s.leases.Release(ctx, ids, s.holder)
}
