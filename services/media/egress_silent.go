package media

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

const (
	// askedEvery is how often the worker of a running egress is asked whether it is
	// there. LiveKit's own state has no heartbeat: an egress whose worker was killed
	// stays active there forever.
	askedEvery = 30 * time.Second
	// silentFor is how long a worker may be silent before its egress counts as aborted:
	// time for LiveKit's servers or Redis to restart.
	silentFor = 2 * time.Minute
	// askedAtOnce bounds the workers asked at a time: a silent one takes some seconds.
	askedAtOnce = 8
)

// ask asks the workers of running egresses that were not asked for a while. An egress
// whose worker has not answered for silentFor is aborted, from when it fell silent.
func (s *Egresses) ask(ctx context.Context, running []models.Egress) error {
	now := s.now()
	asked := make(map[string]time.Time, len(running))
	var all errgroup.Group
	all.SetLimit(askedAtOnce)
	var mu sync.Mutex
	var failures []error
	for i := range running {
		record := running[i]
		last, before := s.asked[record.EgressID]
		asked[record.EgressID] = last
		if before && now.Sub(last) < askedEvery {
			continue
		}
		asked[record.EgressID] = now
		all.Go(func() error {
			err := s.askOne(ctx, record)
			mu.Lock()
			defer mu.Unlock()
			failures = append(failures, err)
			return nil
		})
	}
	_ = all.Wait() // nothing above fails
	s.asked = asked
	return errors.Join(failures...)
}

// askOne asks the worker of an egress and stores what follows.
func (s *Egresses) askOne(ctx context.Context, record models.Egress) error {
	client, err := s.client(&record)
	if err != nil {
		return err
	}
	answers, err := client.EgressAnswers(ctx, record.EgressID)
	if err != nil {
		return err
	}
	now, gone := s.now(), false
	updated, err := s.change(ctx, record, func(r *models.Egress) (c database.EgressChange, wanted bool) {
		gone = false
		switch {
		case !r.Open:
		case answers && r.SilentAt != nil:
			c.SilentAt, wanted = &time.Time{}, true
		case !answers && r.SilentAt == nil:
			c.SilentAt, wanted = &now, true
		case !answers && now.Sub(*r.SilentAt) >= silentFor:
			yes, status, reason := true, models.EgressAborted, "The egress worker does not answer any more."
			c, wanted, gone = database.EgressChange{Status: &status, Error: &reason, EndedAt: r.SilentAt, Presumed: &yes}, true, true
		}
		return c, wanted
	})
	if err == nil && gone {
		s.c.Log.Warn().Str("egress_id", updated.PublicID()).Str("project_id", string(updated.ProjectID)).Msg("egress: its worker does not answer; it counts as aborted")
	}
	return err
}

// Living returns the running egresses of a cluster, without those that Pulse counts as
// aborted because their workers died.
func (s *Egresses) Living(ctx context.Context, list []livekit.Media) ([]livekit.Media, error) {
	dead := map[string]bool{}
	for batch := range slices.Chunk(list, database.MaxBatch) {
		ids := make([]string, len(batch))
		for i := range batch {
			ids[i] = batch[i].ID
		}
		records, err := s.c.Store.Named(ctx, ids)
		if err != nil {
			return nil, err
		}
		for i := range records {
			if r := &records[i]; !r.Open && r.Presumed && r.SilentAt != nil {
				dead[r.EgressID] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(m livekit.Media) bool { return dead[m.ID] }), nil
}
