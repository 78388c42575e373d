package media

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/metering"
)

// createdWithin is how long after its record was made an ingress may be without
// LiveKit's id: the request's own deadline, and some.
const createdWithin = 30 * time.Second

var _ metering.Consumer = (*Ingresses)(nil)

// Consume keeps the records of ingresses up to date with LiveKit's events.
func (s *Ingresses) Consume(ctx context.Context, b *metering.Batch) error {
	var asked []string
	for i := range b.Events {
		if id := ingressOf(&b.Events[i]); id != "" && !slices.Contains(asked, id) {
			asked = append(asked, id)
		}
	}
	known := map[string]models.Ingress{}
	for chunk := range slices.Chunk(asked, database.MaxBatch) {
		list, err := s.c.Store.Named(ctx, chunk)
		if err != nil {
			return err
		}
		for i := range list {
			known[list[i].IngressID] = list[i]
		}
	}
	for i := range b.Events {
		e := &b.Events[i]
		if e.Event == models.EventRoomFinished && e.ProjectID != "" && len(s.c.Clusters.All()) > 1 {
			if err := s.keepRoom(ctx, e); err != nil {
				return err
			}
		}
		record, found := known[ingressOf(e)]
		state, readable := livekit.IngressOf(e)
		if !found || !readable || e.ProjectID != record.ProjectID {
			continue // of the operator, or Compare finds it
		}
		record, err := s.apply(ctx, record, &state)
		if models.IsKind(err, models.KindNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return err
		}
		known[record.IngressID] = record
	}
	return nil
}

// keepRoom assigns a room that ended to the cluster of its ingress: what that publishes
// next opens it there.
func (s *Ingresses) keepRoom(ctx context.Context, e *models.LiveKitEvent) error {
	list, err := s.c.Store.List(ctx, e.ProjectID, database.IngressFilter{RoomName: e.RoomName}, database.Page{Limit: 1})
	if err != nil || len(list) == 0 || !list[0].Open {
		return err
	}
	return s.keep(ctx, &list[0])
}

// keep keeps the room of an ingress on its cluster.
func (s *Ingresses) keep(ctx context.Context, record *models.Ingress) error {
	return s.c.Placements.Keep(ctx, record.ProjectID, record.RoomName, record.Cluster, s.now().Add(models.MaxTokenTTLSeconds*time.Second))
}

// ingressOf is LiveKit's id of the ingress that an event is about; "" if it is about
// none.
func ingressOf(e *models.LiveKitEvent) string {
	switch e.Event {
	case models.EventIngressStarted, models.EventIngressEnded:
		if e.Media != nil {
			id, _, _ := strings.Cut(e.Media.ID, "@")
			return id
		}
	}
	return ""
}

// apply brings a record forward to a state that LiveKit told, in one write; nothing is
// written if it tells nothing new.
func (s *Ingresses) apply(ctx context.Context, record models.Ingress, state *livekit.IngressState) (models.Ingress, error) {
	return s.change(ctx, record, func(r *models.Ingress) (database.IngressChange, bool) {
		c := forwardIngress(r, state)
		return c, c != (database.IngressChange{})
	})
}

// forwardIngress gives what a state changes in a record. The latest run counts and, of
// one run, what its worker said last: the order that livekit-server keeps its own
// states in (pkg/service/redisstore.go).
func forwardIngress(r *models.Ingress, state *livekit.IngressState) (c database.IngressChange) {
	if !r.Confirmed {
		yes := true
		c.Confirmed, c.IngressID = &yes, &state.ID
		if r.InputType.Reusable() {
			c.URL = &state.URL
		}
	}
	if older(state.StartedAt, r.StartedAt) || equal(state.StartedAt, r.StartedAt) && older(state.UpdatedAt, r.StateAt) {
		return c
	}
	if state.Status != r.Status && slices.Contains(models.IngressStatuses(), state.Status) {
		c.Status = &state.Status
		if ended := state.Status == models.IngressComplete || state.Status == models.IngressError; ended && !r.InputType.Reusable() && r.Open && !r.DeleteAsked {
			no := false
			c.Open = &no
		}
	}
	if reason := clip(state.Error, maxError); reason != r.Error {
		c.Error = &reason
	}
	if !equal(state.StartedAt, r.StartedAt) {
		c.StartedAt = &state.StartedAt
	}
	if !equal(state.EndedAt, r.EndedAt) {
		c.EndedAt = &state.EndedAt
	}
	if !equal(state.UpdatedAt, r.StateAt) && c != (database.IngressChange{}) {
		c.StateAt = &state.UpdatedAt
	}
	return c
}

func older(t time.Time, known *time.Time) bool { return known != nil && t.Before(*known) }

func equal(t time.Time, known *time.Time) bool {
	if known == nil {
		return t.IsZero()
	}
	return t.Equal(*known)
}

// Compare brings the records of ingresses up to date with what LiveKit lists, deletes
// those that somebody deleted while LiveKit was away or whose project is deleted, and
// finds out about those that LiveKit did not confirm. A cluster that cannot be asked
// changes nothing. It is the pass of a worker that one replica runs.
func (s *Ingresses) Compare(ctx context.Context) error {
	lists := map[string]map[models.IngressID]livekit.IngressState{} // by cluster; nil if it cannot be asked
	gone := map[models.ProjectID]bool{}
	var failures []error
	for after := models.IngressID(""); ; {
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
			if listed == nil {
				continue
			}
			if _, known := gone[record.ProjectID]; !known {
				project, err := s.c.Projects.Named(ctx, record.ProjectID)
				if err != nil {
					failures = append(failures, err)
					continue
				}
				gone[record.ProjectID] = project.IsDeleted
			}
			failures = append(failures, s.compare(ctx, record, listed, gone[record.ProjectID]))
		}
		if len(open) < database.MaxBatch {
			return errors.Join(failures...)
		}
		after = open[len(open)-1].ID
	}
}

// listed lists the ingresses of a record's cluster that Pulse made, by their records.
func (s *Ingresses) listed(ctx context.Context, record *models.Ingress) (map[models.IngressID]livekit.IngressState, error) {
	client, err := s.client(record)
	if err != nil {
		return nil, err
	}
	list, err := client.ListIngresses(ctx, "")
	if err != nil {
		return nil, err
	}
	out := make(map[models.IngressID]livekit.IngressState, len(list))
	for _, state := range list {
		if id, _ := models.SplitIngress(state.Name); id != "" {
			out[id] = state
		}
	}
	return out, nil
}

func (s *Ingresses) compare(ctx context.Context, record *models.Ingress, listed map[models.IngressID]livekit.IngressState, gone bool) error {
	state, there := listed[record.ID]
	switch {
	case !record.Confirmed && s.now().Sub(record.CreatedAt) < createdWithin:
		return nil
	case !record.Confirmed && there: // nobody has its stream key, or heard of it
		record.IngressID = state.ID
		return s.delete(ctx, record)
	case !record.Confirmed:
		return s.c.Store.Delete(ctx, record.ProjectID, record.ID)
	case record.DeleteAsked || gone:
		return s.delete(ctx, record)
	case there:
		_, err := s.apply(ctx, *record, &state)
		return errors.Join(ignoreGone(err), s.keep(ctx, record))
	}
	return s.lost(ctx, record)
}

// lost is an ingress that LiveKit does not know any more: a pulled one has ended, an
// encoder's stream key is of no use.
func (s *Ingresses) lost(ctx context.Context, record *models.Ingress) error {
	status, reason, no, now := models.IngressError, "LiveKit does not know the ingress any more.", false, s.now()
	if record.Status == models.IngressComplete {
		status, reason = models.IngressComplete, ""
	}
	_, err := s.change(ctx, *record, func(r *models.Ingress) (database.IngressChange, bool) {
		c := database.IngressChange{Status: &status, Error: &reason, Open: &no}
		if r.StartedAt != nil && r.EndedAt == nil {
			c.EndedAt = &now
		}
		return c, r.Open && !r.DeleteAsked
	})
	return ignoreGone(err)
}

// ignoreGone is nil for a record that was deleted meanwhile.
func ignoreGone(err error) error {
	if models.IsKind(err, models.KindNotFound) {
		return nil
	}
	return err
}
