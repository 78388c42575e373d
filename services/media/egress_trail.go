package media

import (
	"context"
	"errors"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/utils/ids"
)

// The record of an egress is stored before LiveKit is asked and has who asked for it
// (Asked), so the audit entry of the start is written once, after LiveKit answered.
// Until that entry is known to be stored the record keeps Asked, even if it is closed
// meanwhile: Compare writes what a request could not.

// startOf is the start of an egress, for the trail.
func startOf(r *models.Egress) audit.Event {
	after := map[string]any{"project_id": r.ProjectID, "type": r.Type, "room_name": r.RoomName, "outputs": kindsOf(r.Outputs)}
	if r.Automatic {
		after["automatic"] = true
	}
	return audit.Event{OrgID: r.OrgID, Action: "egress.started", Type: "egress", ID: string(r.ID), After: after}
}

// entryOf is the id of the audit entry of a start.
func entryOf(r *models.Egress) models.AuditID {
	return models.AuditID(ids.Derived(models.AuditPrefix, r.CreatedAt, string(r.ID)))
}

// enter writes the audit entry of a start that a request asked for, unless it is
// stored.
func (s *Egresses) enter(ctx context.Context, r *models.Egress, outcome models.AuditOutcome, failed error) error {
	if r.Asked == nil {
		return nil
	}
	event := startOf(r)
	if s.now().Sub(r.CreatedAt) >= confirmWithin { // the entry's own time is when it is written
		event.After["asked_at"] = r.CreatedAt
	}
	return s.c.Trail.Record(ctx, audit.Record{ID: entryOf(r), Caller: *r.Asked, Event: event, Outcome: outcome, Failed: failed})
}

// entered writes the entry of a start before the change c of its record, which then
// takes Asked away. An egress with LiveKit's id was started.
func (s *Egresses) entered(ctx context.Context, r *models.Egress, c *database.EgressChange) error {
	c.Entered = true
	if has, err := s.c.Trail.Has(ctx, r.OrgID, entryOf(r)); err != nil || has {
		return err
	}
	switch {
	case r.EgressID != "" || c.EgressID != nil:
		return s.enter(ctx, r, models.AuditSuccess, nil)
	case c.Status != nil && c.Status.Final(), !r.Open:
		return s.enter(ctx, r, models.AuditFailure, models.NewError(models.KindUnavailable, "egress_not_started", "LiveKit did not confirm the start."))
	}
	return s.enter(ctx, r, models.AuditPending, nil)
}

// owedEvery is how often closed records are looked through for missing entries.
const owedEvery = 30 * time.Second

// enterOwed writes the entries of starts whose records were closed without them: the
// egress ended at once, or a version that does not know Asked closed the record.
func (s *Egresses) enterOwed(ctx context.Context) error {
	if s.now().Sub(s.owedAt) < owedEvery {
		return nil
	}
	s.owedAt = s.now()
	closed, err := s.c.Store.Asking(ctx, database.MaxBatch)
	failures := []error{err}
	for i := range closed {
		if s.now().Sub(closed[i].CreatedAt) >= comparedAfter {
			_, err = s.enterLate(ctx, &closed[i])
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// enterLate writes the entry of a start unless it is stored, and takes Asked away.
func (s *Egresses) enterLate(ctx context.Context, r *models.Egress) (models.Egress, error) {
	return s.change(ctx, *r, func(r *models.Egress) (database.EgressChange, bool) {
		return database.EgressChange{Entered: true}, r.Asked != nil
	})
}
