package metering

import (
	"context"
	"maps"
	"reflect"
	"slices"
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
// the events as done last. Sessions come first although a reader may then see one that
// has ended without its last facts for a moment: their versions stop a worker that lost
// its lease before it writes older facts over newer ones.
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

// Record stores what up to inboxBatch events say, and gives what changed. A
// change that another worker made at the same time is met by reading again;
// conflict if that happens too often.
func (m *Recorder) Record(ctx context.Context, events []models.LiveKitEvent) (changes []Change, err error) {
	for range meterRaces {
		changes, err = m.record(ctx, events)
		if !models.IsKind(err, models.KindConflict) {
			return changes, err
		}
	}
	return nil, err
}

func (m *Recorder) record(ctx context.Context, events []models.LiveKitEvent) ([]Change, error) {
	books, before, err := m.load(ctx, events)
	if err != nil {
		return nil, err
	}
	if err := m.loadRuns(ctx, books, before, events); err != nil {
		return nil, err
	}
	books.foldAll(events)
	touched := maps.Clone(books)
	if err := m.loadNamed(ctx, books, before, events); err != nil {
		return nil, err
	}
	also := books.succeed()
	inside, err := m.loadInside(ctx, books, before)
	if err != nil {
		return nil, err
	}
	for _, s := range append(also, inside...) {
		touched[s.ID] = s
	}
	var facts []models.UsageFact
	marks := map[string]models.UsageTotal{}
	now := m.now()
	for _, s := range touched {
		closeWith(s, books[s.RoomSID])
		s.Settle()
		meteredHours(s)
		of := factsOf(s, now)
		facts = append(facts, of...)
		old := before[s.ID]
		for _, t := range touchedBy(s, &old, of, now) {
			marks[t.ID] = t
		}
	}
	if err := m.store(ctx, touched, before); err != nil {
		return nil, err
	}
	if err := m.facts.Put(ctx, facts); err != nil {
		return nil, err
	}
	if err := m.totals.Touch(ctx, slices.Collect(maps.Values(marks))); err != nil {
		return nil, err
	}
	return books.changes(events, also), nil
}

// load reads the sessions that events concern, twice: to be changed, and as they
// were.
func (m *Recorder) load(ctx context.Context, events []models.LiveKitEvent) (books ledger, before map[string]models.UsageSession, err error) {
	names := map[string]bool{}
	for i := range events {
		for _, id := range touches(&events[i]) {
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
	for batch := range slices.Chunk(ids, database.MaxBatch) {
		known, err := m.sessions.Named(ctx, batch)
		if err != nil {
			return nil, nil, err
		}
		books.add(before, known)
	}
	return books, before, nil
}

// add enters stored sessions that are not in the books yet.
func (l ledger) add(before map[string]models.UsageSession, stored []models.UsageSession) {
	for i := range stored {
		if s := &stored[i]; l[s.ID] == nil {
			before[s.ID] = *s
			l[s.ID] = s
		}
	}
}

// loadNamed enters the sessions with the names of those that events announce, or
// that begin otherwise than was known, as far as they were there since.
func (m *Recorder) loadNamed(ctx context.Context, books ledger, before map[string]models.UsageSession, events []models.LiveKitEvent) error {
	announced := map[string]bool{}
	for i := range events {
		if id, _ := books.announces(&events[i]); id != "" {
			announced[id] = true
		}
	}
	var names []string
	var since time.Time
	for id, s := range books {
		old, known := before[id]
		began := s.Observed.StartedAt
		// What is there longer than was known may decide between it and its rivals.
		same := known && old.Observed.StartedAt.Equal(began) && (s.Observed.RivalAt.IsZero() || old.Observed.SeenAt().Equal(s.Observed.SeenAt()))
		if s.Name == "" || began.IsZero() || !announced[id] && same {
			continue
		}
		names = append(names, s.Name)
		if since.IsZero() || began.Before(since) {
			since = began
		}
	}
	for batch := range slices.Chunk(names, database.MaxBatch) {
		named, err := m.sessions.WithNames(ctx, batch, since)
		if err != nil {
			return err
		}
		books.add(before, named)
	}
	return nil
}

// loadInside adds the participants that were in a room when it ended, and those of a
// room that has lost or had lost against its rival. It returns them.
func (m *Recorder) loadInside(ctx context.Context, books ledger, before map[string]models.UsageSession) ([]*models.UsageSession, error) {
	var inside []*models.UsageSession
	for _, room := range slices.Collect(maps.Values(books)) {
		ended := earliest(room.Observed.EndedAt, room.Observed.ReplacedAt)
		if old := before[room.ID]; room.Lost() || old.Lost() {
			ended = room.Observed.StartedAt
		}
		if room.Subject != models.SubjectRoom || ended.IsZero() {
			continue
		}
		for _, open := range []bool{true, false} {
			for after := ""; ; {
				page, err := m.sessions.InRoom(ctx, room.ID, open, ended, after, database.MaxBatch)
				if err != nil {
					return nil, err
				}
				books.add(before, page)
				for i := range page {
					inside = append(inside, books[page[i].ID])
				}
				if len(page) < database.MaxBatch {
					break
				}
				after = page[len(page)-1].ID
			}
		}
	}
	return inside, nil
}

// store writes the sessions that changed: those that were known each over the
// version it was read at, rooms after their participants, then the new ones together.
// Whatever a new session or a room ends has ended by then, should the process die
// in between.
func (m *Recorder) store(ctx context.Context, books ledger, before map[string]models.UsageSession) error {
	var fresh, inside, rooms []*models.UsageSession
	for id, s := range books {
		old, known := before[id]
		switch {
		case !known:
			s.RecordedAt = m.now().UTC().Truncate(time.Millisecond)
			fresh = append(fresh, s)
		case reflect.DeepEqual(old, *s):
		case s.Subject == models.SubjectRoom:
			rooms = append(rooms, s)
		default:
			inside = append(inside, s)
		}
	}
	for _, changed := range [...][]*models.UsageSession{inside, rooms} {
		group, writing := errgroup.WithContext(ctx)
		group.SetLimit(parallelWrites)
		for _, s := range changed {
			group.Go(func() error { return m.sessions.Replace(writing, s) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	for batch := range slices.Chunk(fresh, database.MaxBatch) {
		present, err := m.sessions.InsertMany(ctx, batch)
		if err == nil && len(present) > 0 {
			err = models.Conflict("concurrent_change", "The session was made at the same time.")
		}
		if err != nil {
			return err
		}
	}
	return nil
}
