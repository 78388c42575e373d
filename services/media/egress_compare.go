package media

import (
	"context"
	"errors"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/storage"
)

const (
	// confirmWithin is how long after its record was made a start may be without
	// LiveKit's id: the start's own deadline, and some.
	confirmWithin = livekit.EgressStartTimeout + 6*time.Second
	// comparedAfter is the age below which a record is not compared: its own events
	// are on their way.
	comparedAfter = 10 * time.Second
	// stoppedAtOnce bounds one pass of StopAsked.
	stoppedAtOnce = 100
)

// Compare brings the records of open egresses up to date with what LiveKit lists, and
// writes the missing audit entries of starts. A cluster that cannot be asked changes
// nothing. It is the pass of a worker that one replica runs.
func (s *Egresses) Compare(ctx context.Context) error {
	lists := map[string]map[string]livekit.EgressState{} // by cluster; nil if it cannot be asked
	var failures []error
	var running []models.Egress
	for after := models.EgressID(""); ; {
		open, err := s.c.Store.Open(ctx, after, database.MaxBatch)
		if err != nil {
			return err
		}
		for i := range open {
			record := &open[i]
			if s.now().Sub(record.CreatedAt) < comparedAfter {
				continue
			}
			listed, asked := lists[record.Cluster]
			if !asked {
				if listed, err = s.listed(ctx, record); err != nil {
					failures = append(failures, err)
				}
				lists[record.Cluster] = listed
			}
			// Without the cluster the outcome of a start may stay unknown for long.
			if age := s.now().Sub(record.CreatedAt); record.Asked != nil && (record.EgressID != "" || listed == nil && age >= confirmWithin) {
				if *record, err = s.enterLate(ctx, record); err != nil {
					failures = append(failures, err)
					continue
				}
			}
			if listed != nil {
				failures = append(failures, s.compare(ctx, *record, listed))
				if _, runs := listed[record.EgressID]; runs && record.EgressID != "" {
					running = append(running, *record)
				}
			}
		}
		if len(open) < database.MaxBatch {
			return errors.Join(append(failures, s.enterOwed(ctx), s.ask(ctx, running))...)
		}
		after = open[len(open)-1].ID
	}
}

// listed lists the running egresses of a record's cluster, by LiveKit's ids.
func (s *Egresses) listed(ctx context.Context, record *models.Egress) (map[string]livekit.EgressState, error) {
	client, err := s.client(record)
	if err != nil {
		return nil, err
	}
	list, err := client.RunningEgresses(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string]livekit.EgressState, len(list))
	for _, state := range list {
		out[state.ID] = state
	}
	return out, nil
}

func (s *Egresses) compare(ctx context.Context, record models.Egress, listed map[string]livekit.EgressState) error {
	if record.EgressID == "" {
		return s.unconfirmed(ctx, &record, listed)
	}
	if state, running := listed[record.EgressID]; running {
		_, err := s.apply(ctx, record, &state)
		return err
	}
	client, err := s.client(&record)
	if err != nil {
		return err
	}
	_, err = s.refresh(ctx, client, record)
	return err
}

// unconfirmed is a start whose process died before it stored the outcome.
func (s *Egresses) unconfirmed(ctx context.Context, record *models.Egress, listed map[string]livekit.EgressState) error {
	for _, state := range listed {
		if storage.RecordOf(state.Paths) == record.ID {
			_, err := s.apply(ctx, *record, &state)
			return err
		}
	}
	if record.DueAt != nil || s.now().Sub(record.CreatedAt) < confirmWithin {
		return nil
	}
	return s.presume(ctx, record, models.EgressFailed, "LiveKit did not confirm the start.")
}

// StopAsked stops the egresses whose stop was requested before they were active.
// Several replicas may run it at the same time: LiveKit stops an egress once.
func (s *Egresses) StopAsked(ctx context.Context) error {
	list, err := s.c.Store.ToStop(ctx, stoppedAtOnce)
	if err != nil {
		return err
	}
	var failures []error
	for i := range list {
		client, err := s.client(&list[i])
		if err == nil {
			_, err = s.stop(ctx, client, list[i])
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}
