package auth

import (
	"context"
	"errors"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

const (
	// flushUsesFor bounds one flush.
	flushUsesFor = 5 * time.Second
	// usesAtOnce is how many writes run at a time, so that they share commits of
	// the database.
	usesAtOnce = 32
)

// KeyUses records when keys were last used: at most once per key and
// models.KeyUseInterval, in batches, without delaying requests.
type KeyUses struct {
	keys *database.APIKeys
	now  func() time.Time

	mu sync.Mutex
	// noted are the last known uses, written or not.
	noted   *lru.Cache[models.KeyID, time.Time]
	pending map[models.KeyID]time.Time
	most    int
}

// NewKeyUses holds up to size uses that wait to be written. Further ones are
// dropped; a later use of the key may be recorded.
func NewKeyUses(keys *database.APIKeys, size int, now func() time.Time) (*KeyUses, error) {
	noted, err := lru.New[models.KeyID, time.Time](size)
	if err != nil {
		return nil, err
	}
	return &KeyUses{keys: keys, now: now, noted: noted, pending: map[models.KeyID]time.Time{}, most: size}, nil
}

// note records a use and returns the time of the last recorded one.
func (u *KeyUses) note(id models.KeyID, at time.Time) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if last, ok := u.noted.Get(id); ok && at.Sub(last) < models.KeyUseInterval {
		return last
	}
	if _, waits := u.pending[id]; !waits && len(u.pending) >= u.most {
		return at
	}
	u.noted.Add(id, at)
	u.pending[id] = at
	return at
}

// Flush writes the noted uses. Those that fail are kept for the next flush and
// reported as an error.
func (u *KeyUses) Flush(ctx context.Context) error {
	u.mu.Lock()
	batch := u.pending
	u.pending = map[models.KeyID]time.Time{}
	u.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, flushUsesFor)
	defer cancel()

	var writing sync.WaitGroup
	var failed []error
	slots := make(chan struct{}, usesAtOnce)
	for id, at := range batch {
		slots <- struct{}{}
		writing.Go(func() {
			defer func() { <-slots }()
			if err := u.keys.Used(ctx, id, at); err != nil {
				u.mu.Lock()
				defer u.mu.Unlock()
				failed = append(failed, err)
				if _, newer := u.pending[id]; !newer {
					u.pending[id] = at
				}
			}
		})
	}
	writing.Wait()
	return errors.Join(failed...)
}
