package media

import (
	"context"
	"fmt"
	"slices"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/services/storage"
	"pulse-control-plane/utils/clip"
	"pulse-control-plane/utils/ids"
)

const (
	// maxError bounds the reason of a failure that is kept, in bytes.
	maxError = 1 << 10
	// candidates bounds the unnamed records that an event is compared with.
	candidates = 20
)

var _ metering.Consumer = (*Egresses)(nil)

// Consume keeps the records of egresses up to date with LiveKit's events.
func (s *Egresses) Consume(ctx context.Context, b *metering.Batch) error {
	var asked []string
	for i := range b.Events {
		if id := egressOf(&b.Events[i]); id != "" && !slices.Contains(asked, id) {
			asked = append(asked, id)
		}
	}
	known := map[string]models.Egress{}
	for chunk := range slices.Chunk(asked, database.MaxBatch) {
		list, err := s.c.Store.Named(ctx, chunk)
		if err != nil {
			return err
		}
		for i := range list {
			known[list[i].EgressID] = list[i]
		}
	}
	for i := range b.Events {
		e := &b.Events[i]
		state, readable := livekit.EgressOf(e)
		if egressOf(e) == "" || !readable {
			continue
		}
		record, found := known[state.ID]
		var err error
		if !found {
			if record, found, err = s.adopt(ctx, e, &state); err != nil {
				return err
			}
		}
		if !found || e.ProjectID != "" && record.ProjectID != e.ProjectID {
			continue
		}
		if record, err = s.apply(ctx, record, &state); err != nil {
			return err
		}
		known[state.ID] = record
		if record.StopAsked && record.Status == models.EgressActive {
			s.c.Wake()
		}
	}
	return nil
}

// Own names the tenant of events about recorded pages, which have no room to know it
// by: of their records, found by LiveKit's id or by the path of their files. An event
// that comes before its start is answered, of an egress without files, stays without.
func (s *Egresses) Own(ctx context.Context, events []models.LiveKitEvent) error {
	for i := range events {
		e := &events[i]
		if e.ProjectID != "" || egressOf(e) == "" {
			continue
		}
		list, err := s.c.Store.Named(ctx, []string{e.Media.ID})
		if err != nil {
			return err
		}
		if state, readable := livekit.EgressOf(e); len(list) == 0 && readable {
			if id := storage.RecordOf(state.Paths); id != "" {
				if list, err = s.c.Store.WithIDs(ctx, []string{string(id)}); err != nil {
					return err
				}
			}
		}
		if len(list) > 0 && list[0].Type == models.EgressWeb {
			e.ProjectID = list[0].ProjectID
		}
	}
	return nil
}

// egressOf is LiveKit's id of the egress that an event is about; "" if it is about
// none.
func egressOf(e *models.LiveKitEvent) string {
	switch e.Event {
	case models.EventEgressStarted, models.EventEgressUpdated, models.EventEgressEnded:
		if e.Media != nil {
			return e.Media.ID
		}
	}
	return ""
}

// adopt finds the record of an egress whose start has not named it yet: by its path
// or, if it writes no file, because it is the only one of its room and type. For an
// egress that was not started by a request (a room's own recording) it makes one.
func (s *Egresses) adopt(ctx context.Context, e *models.LiveKitEvent, state *livekit.EgressState) (record models.Egress, found bool, err error) {
	if id := storage.RecordOf(state.Paths); id != "" {
		list, err := s.c.Store.WithIDs(ctx, []string{string(id)})
		if err != nil || len(list) == 0 || list[0].EgressID != "" {
			return models.Egress{}, false, err
		}
		return list[0], true, nil
	}
	if e.ProjectID == "" {
		return models.Egress{}, false, nil // of the operator, or a page whose start will name it
	}
	if len(state.Paths) == 0 {
		open, err := s.c.Store.List(ctx, e.ProjectID, database.EgressFilter{Status: models.EgressStarting, RoomName: e.RoomName}, database.Page{Limit: candidates})
		if err != nil {
			return models.Egress{}, false, err
		}
		open = slices.DeleteFunc(open, func(r models.Egress) bool { return r.EgressID != "" || r.Type != state.Type })
		if len(open) == 1 {
			return open[0], true, nil
		}
		if len(open) > 1 {
			return models.Egress{}, false, nil // their starts will name them
		}
	}
	return s.automatic(ctx, e, state)
}

// automatic makes the record of an egress that no request started.
func (s *Egresses) automatic(ctx context.Context, e *models.LiveKitEvent, state *livekit.EgressState) (record models.Egress, found bool, err error) {
	project, err := s.c.Projects.Named(ctx, e.ProjectID)
	member := s.c.Clusters.OfKey(e.Cluster)
	if models.IsKind(err, models.KindNotFound) || member == nil {
		return models.Egress{}, false, nil // another installation's
	}
	if err != nil {
		return models.Egress{}, false, err
	}
	record = models.Egress{
		ID: models.EgressID(ids.Derived(models.EgressPrefix, e.CreatedAt, state.ID)), EgressID: state.ID, ProjectID: project.ID, OrgID: project.OrgID,
		Cluster: member.Name, Type: state.Type, RoomName: e.RoomName, ParticipantIdentity: state.Identity, TrackSID: state.TrackSID,
		AudioTrackSID: state.AudioTrackSID, VideoTrackSID: state.VideoTrackSID, Layout: state.Layout, Outputs: state.Outputs,
		Automatic: true, Status: models.EgressStarting, Open: true, CreatedAt: e.CreatedAt, UpdatedAt: s.now(),
	}
	if project.Storage != nil {
		record.CDNBaseURL = project.Storage.CDNBaseURL
	}
	err = s.c.Store.Insert(ctx, &record)
	if models.IsKind(err, models.KindConflict) { // the same event before, or another of the egress
		list, err := s.c.Store.Named(ctx, []string{state.ID})
		if err != nil || len(list) == 0 {
			return models.Egress{}, false, err
		}
		return list[0], true, nil
	}
	return record, err == nil, err
}

// apply brings a record forward to a state that LiveKit reported, in one write; nothing
// is written if it contains nothing new.
func (s *Egresses) apply(ctx context.Context, record models.Egress, state *livekit.EgressState) (models.Egress, error) {
	updated, err := s.change(ctx, record, func(r *models.Egress) (database.EgressChange, bool) {
		c := s.forward(r, state)
		return c, c != (database.EgressChange{})
	})
	if models.IsKind(err, models.KindConflict) { // another record has LiveKit's id
		err = models.Internal(fmt.Errorf("media: two records of the egress %s: %w", state.ID, err))
	}
	return updated, err
}

// forward gives what a state changes in a record. States never go back. Only what
// Pulse presumed is overruled: an egress that LiveKit starts after its start was
// given up is one that no caller expects, so it must stop; one whose worker was silent for
// a while goes on.
func (s *Egresses) forward(r *models.Egress, state *livekit.EgressState) (c database.EgressChange) {
	yes, no := true, false
	switch {
	case r.Open:
	case !r.Presumed:
		return c
	default:
		c.Presumed = &no
		switch {
		case state.Status.Final():
		case r.SilentAt != nil:
			c.SilentAt, c.EndedAt, c.Error = &time.Time{}, &time.Time{}, new(string)
		default:
			c.StopAsked = &yes
		}
	}
	if r.EgressID == "" && state.ID != "" {
		c.EgressID = &state.ID
	}
	if !state.StartedAt.IsZero() && (r.StartedAt == nil || !r.StartedAt.Equal(state.StartedAt)) {
		c.StartedAt = &state.StartedAt
	}
	if r.Open && state.Status.Rank() < r.Status.Rank() || state.Status.Rank() == 0 {
		return database.EgressChange{EgressID: c.EgressID}
	}
	if state.Status != r.Status {
		c.Status = &state.Status
	}
	if state.Status.Final() {
		ended, reason, results := state.EndedAt, clip.Bytes(state.Error, maxError), storage.Results(r.CDNBaseURL, state.Results)
		if ended.IsZero() {
			ended = s.now()
		}
		c.EndedAt, c.Error, c.Results = &ended, &reason, &results
	}
	return c
}

// presume ends an egress of which LiveKit says nothing.
func (s *Egresses) presume(ctx context.Context, record *models.Egress, status models.EgressStatus, reason string) error {
	yes, now := true, s.now()
	updated, err := s.change(ctx, *record, func(r *models.Egress) (database.EgressChange, bool) {
		return database.EgressChange{Status: &status, Error: &reason, EndedAt: &now, Presumed: &yes}, r.Open
	})
	if err == nil {
		*record = updated
	}
	return err
}
