package events

import (
	"context"
	"sync"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/required"
)

const (
	// OwedInterval is how often Pass runs unless it is woken, and SweepInterval how
	// often Sweep does.
	OwedInterval  = time.Second
	SweepInterval = 5 * time.Second
	// owedBatch is how many changes one pass takes, and owedWaiting how many wait in
	// memory; a sweep finds those beyond.
	owedBatch   = database.MaxBatch / 2
	owedWaiting = 10_000
	// clearEvery is how often it is stored which changes have their events: together,
	// since nothing but a sweep reads it.
	clearEvery = 2 * time.Second
	// ownSoon is how long a list waits for the events of changes that this process
	// made before.
	ownSoon = time.Second
)

// Owed stores the events of changes that were made: soon after, in this process,
// and by Sweep those of processes that died. The entry of a change says from before
// the change that an event is owed, and the event's id follows from the entry's: so
// each change that was made has one event, wherever a process dies. Its Pass and
// Sweep must be run by workers.
type Owed struct {
	c OwedConfig
	// started is when this process began.
	started time.Time

	mu      sync.Mutex
	waiting []models.AuditEntry
	// made counts the changes that this process made, stored those whose events
	// are stored; moved is closed when more are.
	made, stored int64
	moved        chan struct{}

	// told, of changes whose events are stored, and clearedAt belong to Pass.
	told      []models.AuditID
	clearedAt time.Time
	// swept belongs to Sweep: changes that were under way when this process began are
	// decided.
	swept bool
}

// OwedConfig of NewOwed; every field is required.
type OwedConfig struct {
	Log   *Log
	Trail *database.AuditLogs
	// Made reports whether a change with an unknown outcome was made.
	Made func(ctx context.Context, entry *models.AuditEntry) (bool, error)
	// Exclusive is true if there are no replicas.
	Exclusive bool
	// Wake has Pass run.
	Wake func()
	Now  func() time.Time
}

// NewOwed returns what is owed. It fails if a required field is missing.
func NewOwed(c OwedConfig) (*Owed, error) {
	if err := required.Fields(c); err != nil {
		return nil, err
	}
	return &Owed{c: c, started: c.Now(), moved: make(chan struct{})}, nil
}

// Heard reports whether tenants are informed of changes with an action of the audit trail.
func (o *Owed) Heard(action string) bool { return kindOf(action) != "" }

// Made has the event of a change stored, whose outcome is known.
func (o *Owed) Made(entry *models.AuditEntry) {
	o.mu.Lock()
	if len(o.waiting) < owedWaiting {
		o.waiting = append(o.waiting, *entry)
		o.made++
	}
	o.mu.Unlock()
	o.c.Wake()
}

// Settle waits until the events are stored of changes that this process made before
// it is called, a second at most: what a caller has just done is then in the list.
func (o *Owed) Settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, ownSoon)
	defer cancel()
	o.mu.Lock()
	until := o.made
	for o.stored < until {
		moved := o.moved
		o.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
		o.mu.Lock()
	}
	o.mu.Unlock()
}

// Pass stores the events of changes that this process made. It returns how many.
func (o *Owed) Pass(ctx context.Context) (int, error) {
	now := o.c.Now()
	if len(o.told) >= owedBatch || len(o.told) > 0 && now.Sub(o.clearedAt) >= clearEvery {
		if err := o.c.Trail.Told(ctx, o.told); err != nil {
			return 0, err
		}
		o.told, o.clearedAt = nil, now
	}
	o.mu.Lock()
	list := o.waiting[:min(len(o.waiting), owedBatch)]
	o.mu.Unlock()
	if len(list) == 0 {
		return 0, nil
	}
	if err := o.store(ctx, list); err != nil {
		return 0, err
	}
	for i := range list {
		o.told = append(o.told, list[i].ID)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append([]models.AuditEntry(nil), o.waiting[len(list):]...)
	o.stored += int64(len(list))
	close(o.moved)
	o.moved = make(chan struct{})
	return len(list), nil
}

func (o *Owed) store(ctx context.Context, entries []models.AuditEntry) error {
	list := make([]models.Event, len(entries))
	for i := range entries {
		var err error
		if list[i], err = toldOf(&entries[i]); err != nil {
			return err
		}
	}
	return o.c.Log.Append(ctx, list)
}

// Sweep stores the events of changes that the processes that made them did not tell
// of in time. Where the outcome is unknown, the database says whether the change was
// made. Without replicas, nobody else works on what began before this process: its
// first sweep does not wait.
func (o *Owed) Sweep(ctx context.Context) error {
	left := o.c.Exclusive && !o.swept
	until := o.c.Now()
	if left {
		until = o.started.Add(2 * models.AuditSettled)
	}
	for {
		list, err := o.c.Trail.Untold(ctx, until, owedBatch)
		if err != nil {
			return err
		}
		n, err := o.sweep(ctx, list, left)
		if err != nil {
			return err
		}
		if len(list) < owedBatch || n == 0 {
			o.swept = true
			return nil
		}
	}
}

// sweep settles entries, if left those only from before this process, and tells how
// many.
func (o *Owed) sweep(ctx context.Context, list []models.AuditEntry, left bool) (int, error) {
	var owed []models.Event
	var ids []models.AuditID
	for i := range list {
		entry := &list[i]
		if left && !entry.At.Before(o.started) && entry.TellAt.After(o.c.Now()) {
			continue
		}
		made, err := entry.Outcome == models.AuditSuccess, error(nil)
		if !made {
			made, err = o.c.Made(ctx, entry)
		}
		if err != nil {
			return 0, err
		}
		if made {
			event, err := toldOf(entry)
			if err != nil {
				return 0, err
			}
			owed = append(owed, event)
		}
		ids = append(ids, entry.ID)
	}
	if len(ids) == 0 {
		return 0, nil
	}
	owed, err := o.c.Log.Unknown(ctx, owed)
	if err != nil {
		return 0, err
	}
	if err := o.c.Log.Append(ctx, owed); err != nil {
		return 0, err
	}
	return len(ids), o.c.Trail.Told(ctx, ids)
}
