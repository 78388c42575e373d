package metering

import (
	"context"
	"reflect"
	"time"

	"golang.org/x/sync/errgroup"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

const (
	// parallelWrites is how many sessions are written at a time, so that the engine
	// can commit them together.
	parallelWrites = 64
	// meterRaces bounds the repetitions of a batch because another worker, which
	// lost its lease without noticing, changed the same sessions.
	meterRaces = 5
)

// Recorder derives sessions, facts and marks on totals from events. Each step can
// be repeated without harm, in this order: sessions, facts, marks; the inbox marks
// the events as done last.
type Recorder struct {
	sessions *database.UsageSessions
	facts    *database.UsageMetrics
	totals   *database.UsageTotals
	now      func() time.Time
}

// NewRecorder writes to the given repositories.
func NewRecorder(sessions *database.UsageSessions, facts *database.UsageMetrics, totals *database.UsageTotals, now func() time.Time) *Recorder {
	return &Recorder{sessions: sessions, facts: facts, totals: totals, now: now}
}

var _ Consumer = (*Recorder)(nil)

// Consume implements Consumer for up to database.MaxBatch/2 events.
func (m *Recorder) Consume(ctx context.Context, events []models.LiveKitEvent) error {
	var err error
	for range meterRaces {
		err = m.consume(ctx, events)
		if !models.IsKind(err, models.KindConflict) {
			return err
		}
	}
	return models.Unavailable(err)
}

func (m *Recorder) consume(ctx context.Context, events []models.LiveKitEvent) error {
	books, before, err := m.load(ctx, events)
	if err != nil {
		return err
	}
	for i := range events {
		books.fold(&events[i])
	}
	if err := m.closeRooms(ctx, books, before, events); err != nil {
		return err
	}
	var facts []models.UsageFact
	marks := map[string]models.UsageTotal{}
	now := m.now()
	for _, s := range books {
		closeWith(s, books[s.RoomSID])
		s.Settle()
		meteredHours(s)
		of := factsOf(s, now)
		facts = append(facts, of...)
		for _, t := range touchedBy(s, of, now) {
			marks[t.ID] = t
		}
	}
	if err := m.store(ctx, books, before); err != nil {
		return err
	}
	if err := m.facts.Put(ctx, facts); err != nil {
		return err
	}
	touched := make([]models.UsageTotal, 0, len(marks))
	for _, t := range marks {
		touched = append(touched, t)
	}
	return m.totals.Touch(ctx, touched)
}

// load reads the sessions that events concern, twice: to be changed, and as they
// were.
func (m *Recorder) load(ctx context.Context, events []models.LiveKitEvent) (books ledger, before map[string]models.UsageSession, err error) {
	names := map[string]bool{}
	for i := range events {
		for _, id := range Touches(&events[i]) {
			names[id] = true
		}
	}
	ids := make([]string, 0, len(names))
	for id := range names {
		ids = append(ids, id)
	}
	books, before = ledger{}, map[string]models.UsageSession{}
	if len(ids) == 0 {
		return books, before, nil
	}
	known, err := m.sessions.Named(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	for i := range known {
		before[known[i].ID] = known[i]
		books[known[i].ID] = &known[i]
	}
	return books, before, nil
}

// closeRooms adds the open sessions of finished rooms to the books.
func (m *Recorder) closeRooms(ctx context.Context, books ledger, before map[string]models.UsageSession, events []models.LiveKitEvent) error {
	for i := range events {
		e := &events[i]
		if e.Event != models.EventRoomFinished || e.ProjectID == "" || e.RoomSID == "" {
			continue
		}
		for after := ""; ; {
			open, err := m.sessions.OpenIn(ctx, e.RoomSID, after, database.MaxBatch)
			if err != nil {
				return err
			}
			for j := range open {
				if s := &open[j]; books[s.ID] == nil {
					before[s.ID] = *s
					books[s.ID] = s
				}
			}
			if len(open) < database.MaxBatch {
				break
			}
			after = open[len(open)-1].ID
		}
	}
	return nil
}

// store writes the changed sessions: new ones together, each other one over the
// version that was read.
func (m *Recorder) store(ctx context.Context, books ledger, before map[string]models.UsageSession) error {
	var fresh []*models.UsageSession
	changed, writing := errgroup.WithContext(ctx)
	changed.SetLimit(parallelWrites)
	for id, s := range books {
		old, known := before[id]
		switch {
		case !known:
			s.RecordedAt = m.now().UTC().Truncate(time.Millisecond)
			fresh = append(fresh, s)
		case !reflect.DeepEqual(old, *s):
			changed.Go(func() error { return m.sessions.Replace(writing, s) })
		}
	}
	for len(fresh) > 0 {
		batch := fresh[:min(len(fresh), database.MaxBatch)]
		fresh = fresh[len(batch):]
		changed.Go(func() error {
			present, err := m.sessions.InsertMany(writing, batch)
			if err == nil && len(present) > 0 {
				err = models.Conflict("concurrent_change", "The session was created at the same time.")
			}
			return err
		})
	}
	return changed.Wait()
}
