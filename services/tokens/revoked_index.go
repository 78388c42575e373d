package tokens

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

const (
	// revocationsOverlap is how far back each reading begins before the last
	// one: twice what a replica's clock may be off before it is not ready.
	revocationsOverlap = 10 * time.Second
	// revocationsRead is how many are read at a time.
	revocationsRead = 1000
	// maxRevocationsKnown bounds the index, at about 40 bytes each.
	maxRevocationsKnown = 1_000_000
)

// revokedIndex tells for certain that an identity was not revoked; that it may
// have been is for the database to say. It holds hashes of the ids, keyed anew
// for each process so that nobody can make them collide.
type revokedIndex struct {
	seed maphash.Seed
	most int

	mu    sync.RWMutex
	known map[uint64]revokedEntry
	// projects counts the revocations of each project, by its hash.
	projects map[uint64]int
	// full tells that there are more than fit: then every id may be one.
	full bool
	// again tells that the next reading takes in all.
	again bool
	size  atomic.Int64

	// loading is held by who reads the database; since is when the last reading
	// that succeeded began, by this process's clock.
	loading sync.Mutex
	since   time.Time
	loaded  atomic.Bool
}

// revokedEntry is what is known of one revocation: the hash of its project and
// its end in Unix seconds.
type revokedEntry struct {
	project uint64
	end     int64
}

func newRevokedIndex(most int) *revokedIndex {
	return &revokedIndex{seed: maphash.MakeSeed(), most: most, known: map[uint64]revokedEntry{}, projects: map[uint64]int{}}
}

func (x *revokedIndex) empty() bool { return x.size.Load() == 0 }

// hash is that of models.RevocationKey.
func (x *revokedIndex) hash(p models.ProjectID, room, identity string) uint64 {
	var h maphash.Hash
	h.SetSeed(x.seed)
	for _, part := range [...]string{string(p), "/", room, "/", identity} {
		_, _ = h.WriteString(part) // never fails
	}
	return h.Sum64()
}

// has tells whether a revocation of an identity in a room may be in force.
func (x *revokedIndex) has(p models.ProjectID, room, identity string) bool {
	hash := x.hash(p, room, identity)
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, known := x.known[hash]
	return known || x.full
}

// of gives how many revocations of a project are known.
func (x *revokedIndex) of(p models.ProjectID) int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.projects[x.hash(p, "", "")]
}

func (x *revokedIndex) add(v *models.Revocation) {
	hash, project := x.hash(v.ProjectID, v.RoomName, v.Identity), x.hash(v.ProjectID, "", "")
	x.mu.Lock()
	defer x.mu.Unlock()
	entry, known := x.known[hash]
	if !known {
		if len(x.known) >= x.most {
			x.full = true
			return
		}
		x.projects[project]++
		x.size.Add(1)
	}
	x.known[hash] = revokedEntry{project, max(entry.end, v.ExpiresAt.Unix()+1)}
}

// forget lets go of what has expired. An index that was full is read anew once
// half of it is free.
func (x *revokedIndex) forget(now time.Time) {
	if x.empty() {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for hash, entry := range x.known {
		if now.Unix() < entry.end {
			continue
		}
		delete(x.known, hash)
		if x.projects[entry.project]--; x.projects[entry.project] == 0 {
			delete(x.projects, entry.project)
		}
		x.size.Add(-1)
	}
	if x.full && len(x.known) <= x.most/2 {
		x.full, x.again = false, true
	}
}

// takeAgain tells whether all is to be read, and takes note that it is.
func (x *revokedIndex) takeAgain() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	again := x.again
	x.again = false
	return again
}

// Refresh takes in what other processes revoked, and drops what has expired.
func (s *Revocations) Refresh(ctx context.Context) error {
	defer s.known.forget(s.c.Now())
	return s.read(ctx)
}

// load reads the index if nobody has yet.
func (s *Revocations) load(ctx context.Context) error {
	if s.known.loaded.Load() {
		return nil
	}
	return s.read(ctx)
}

// read takes in what was revoked since the last reading, or the first time all.
func (s *Revocations) read(ctx context.Context) error {
	x := s.known
	x.loading.Lock()
	defer x.loading.Unlock()
	began, mark := s.c.Now(), database.RevocationMark{}
	if x.loaded.Load() && !x.takeAgain() {
		mark.RevokedAt = x.since.Add(-revocationsOverlap)
	}
	for {
		list, err := s.c.Store.Since(ctx, mark, revocationsRead)
		if err != nil {
			return err
		}
		for i := range list {
			x.add(&list[i])
		}
		if len(list) < revocationsRead {
			break
		}
		last := &list[len(list)-1]
		mark = database.RevocationMark{RevokedAt: last.RevokedAt, ID: last.ID}
	}
	x.since = began
	x.loaded.Store(true)
	return nil
}
