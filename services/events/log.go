package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/required"
)

// arrivals is the sequence that numbers events.
const arrivals = "events"

const (
	// appendTries bounds the attempts to store events whose numbers were closed
	// because storing them took too long.
	appendTries = 5
	// holeAfter is how long a reader, by its own clock, waits for the event of a
	// number that is missing before later ones.
	holeAfter = 2 * time.Second
	// holeExpired is how long ago the event behind a missing number was received
	// for nothing to be stored under that number any more, with a day for clocks
	// that differ: what was there has expired.
	holeExpired = 25 * time.Hour
	// holesKnown bounds the missing numbers that are waited for.
	holesKnown = 1000
)

// Log is the log of events of all tenants in order of arrival. It is safe for
// concurrent use.
type Log struct {
	c LogConfig
	// stored is called after events were stored.
	stored func()

	mu sync.Mutex
	// holes are missing numbers and since when they are.
	holes map[int64]time.Time
}

// LogConfig of NewLog; every field is required.
type LogConfig struct {
	Events    *database.Events
	Sequences *database.Sequences
	Now       func() time.Time
}

// NewLog returns the log. It fails if a required field is missing.
func NewLog(c LogConfig) (*Log, error) {
	return &Log{c: c, stored: func() {}, holes: map[int64]time.Time{}}, required.Fields(c)
}

// Record stores one event; see Append. Without an id it gets one that follows from
// its time, type and SourceID, so that it may be recorded again.
func (l *Log) Record(ctx context.Context, e *models.Event) error {
	if e.ID == "" {
		e.ID = sourcedID(e)
	}
	return l.Append(ctx, []models.Event{*e})
}

// sourcedID is the id of an event that follows from its time, type and SourceID.
func sourcedID(e *models.Event) string {
	return ids.Derived(models.EventPrefix, e.At, "pulse", e.Type, e.SourceID)
}

// Append stores events in their order and numbers them; nil means that each is
// durable, now or since before: one whose id is stored already stays as it is.
// Seq, Family and ReceivedAt are set here. unavailable if the database is, or if
// readers closed every number before its event was stored.
func (l *Log) Append(ctx context.Context, list []models.Event) error {
	defer l.stored()
	for batch := range slices.Chunk(list, database.MaxBatch/2) {
		if err := l.store(ctx, slices.Clone(batch)); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) store(ctx context.Context, batch []models.Event) error {
	for range appendTries {
		first, err := l.c.Sequences.Take(ctx, arrivals, int64(len(batch)))
		if err != nil {
			return err
		}
		now := l.c.Now().UTC()
		for i := range batch {
			e := &batch[i]
			e.Seq, e.Family, e.ReceivedAt = first+int64(i), models.FamilyOf(e.Type), now
		}
		refused, err := l.c.Events.InsertMany(ctx, batch)
		if err != nil || len(refused) == 0 {
			return err
		}
		if batch, err = l.notStored(ctx, batch, refused); err != nil || len(batch) == 0 {
			return err
		}
	}
	return models.Unavailable(errors.New("events: every number was closed before its event was stored"))
}

// notStored gives those of the refused events that are not stored under another
// number, in their order, and closes the numbers of the others.
func (l *Log) notStored(ctx context.Context, batch []models.Event, refused []int) ([]models.Event, error) {
	ids := make([]string, len(refused))
	for i, n := range refused {
		ids[i] = batch[n].ID
	}
	stored, err := l.c.Events.Stored(ctx, ids)
	if err != nil {
		return nil, err
	}
	number := make(map[string]int64, len(stored))
	for i := range stored {
		number[stored[i].ID] = stored[i].Seq
	}
	var left []models.Event
	var unused []int64
	for _, n := range refused {
		seq, known := number[batch[n].ID]
		switch {
		case !known:
			left = append(left, batch[n])
		case seq != batch[n].Seq: // else a repeated write met its own first attempt
			unused = append(unused, batch[n].Seq)
		}
	}
	return left, l.close(ctx, unused)
}

// close stores gaps under ascending numbers, the last first: a batch that is
// stored at the same time, the first first, then keeps its first events, so that
// those that it has to number again stay behind them.
func (l *Log) close(ctx context.Context, numbers []int64) error {
	now := l.c.Now().UTC()
	for len(numbers) > 0 {
		from := max(0, len(numbers)-database.MaxBatch)
		gaps := make([]models.Event, 0, database.MaxBatch)
		for _, n := range slices.Backward(numbers[from:]) {
			gaps = append(gaps, models.Event{ID: fmt.Sprintf("gap_%d", n), Type: models.EventGap, Family: models.EventGap, Seq: n, At: now, ReceivedAt: now})
		}
		if _, err := l.c.Events.InsertMany(ctx, gaps); err != nil {
			return err
		}
		numbers = numbers[:from]
	}
	return nil
}

// After reads up to limit events of all tenants with numbers above seq, gaps
// included, in order of arrival, up to the first number that may still get its
// event. That number is closed after two seconds, by the clock of this process.
func (l *Log) After(ctx context.Context, seq, limit int64) ([]models.Event, error) {
	list, err := l.c.Events.After(ctx, seq, limit)
	if err != nil {
		return nil, err
	}
	next := seq + 1
	for i := range list {
		e := &list[i]
		if e.Seq == next || l.expired(e) {
			next = e.Seq + 1
			continue
		}
		if i > 0 {
			return list[:i], nil
		}
		if !l.overdue(next) {
			return nil, nil
		}
		missing := make([]int64, min(e.Seq-next, database.MaxBatch))
		for n := range missing {
			missing[n] = next + int64(n)
		}
		if err := l.close(ctx, missing); err != nil {
			return nil, err
		}
		l.forget(next)
		return l.After(ctx, seq, limit) // the number has its event now, or a gap
	}
	l.forget(seq + 1)
	return list, nil
}

// expired reports whether the numbers missing before an event had events that
// expired.
func (l *Log) expired(e *models.Event) bool { return l.c.Now().Sub(e.ReceivedAt) > holeExpired }

// overdue notes that a number is missing and tells whether it has been for long.
func (l *Log) overdue(number int64) bool {
	now := l.c.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	since, known := l.holes[number]
	if !known {
		if len(l.holes) >= holesKnown {
			clear(l.holes) // what is waited for is noted again
		}
		l.holes[number] = now
	}
	return known && now.Sub(since) >= holeAfter
}

func (l *Log) forget(number int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.holes, number)
}

// Unknown gives those of some events that are not stored yet.
func (l *Log) Unknown(ctx context.Context, list []models.Event) ([]models.Event, error) {
	asked := make([]string, len(list))
	for i := range list {
		asked[i] = list[i].ID
	}
	known := map[string]bool{}
	for chunk := range slices.Chunk(asked, database.MaxBatch) {
		stored, err := l.c.Events.Stored(ctx, chunk)
		if err != nil {
			return nil, err
		}
		for i := range stored {
			known[stored[i].ID] = true
		}
	}
	return slices.DeleteFunc(list, func(e models.Event) bool { return known[e.ID] }), nil
}
