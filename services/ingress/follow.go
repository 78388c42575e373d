package ingress

import (
	"context"
	"slices"
	"strings"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/utils/clip"
)

// maxError bounds the reason of a failure that is stored, in bytes.
const maxError = 1 << 10

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
	for page := (database.Page{Limit: database.MaxBatch}); ; {
		list, err := s.c.Store.List(ctx, e.ProjectID, database.IngressFilter{RoomName: e.RoomName}, page)
		if err != nil {
			return err
		}
		if at := slices.IndexFunc(list, func(i models.Ingress) bool { return i.Open }); at >= 0 {
			return s.keep(ctx, &list[at])
		}
		if len(list) < page.Limit {
			return nil
		}
		page.After = string(list[len(list)-1].ID)
	}
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

// apply brings a record forward to a state that LiveKit reported, in one write; nothing is
// written if it contains nothing new.
func (s *Ingresses) apply(ctx context.Context, record models.Ingress, state *livekit.IngressState) (models.Ingress, error) {
	return s.change(ctx, record, func(r *models.Ingress) (database.IngressChange, bool) {
		c := forward(r, state, s.now())
		return c, c != (database.IngressChange{})
	})
}

// forward gives what a state changes in a record. The latest run counts and, of
// one run, what its worker said last: the order that livekit-server keeps its own
// states in (pkg/service/redisstore.go). One that was over, or that LiveKit did not list,
// is open again if LiveKit says so.
func forward(r *models.Ingress, state *livekit.IngressState, now time.Time) (c database.IngressChange) {
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
	}
	if open := r.InputType.Reusable() || !state.Status.Over(); open != r.Open && !r.DeleteAsked {
		due := time.Time{}
		if !open {
			due = now.Add(forgottenAfter)
		}
		c.Open, c.DueAt = &open, &due
	}
	if reason := clip.Bytes(state.Error, maxError); reason != r.Error {
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

// ignoreGone is nil for a record that was deleted meanwhile.
func ignoreGone(err error) error {
	if models.IsKind(err, models.KindNotFound) {
		return nil
	}
	return err
}
