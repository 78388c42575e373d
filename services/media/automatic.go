package media

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/utils/ids"
)

const (
	// startAttempts bounds the tries of an automatic recording that no worker takes, one
	// each confirmWithin.
	startAttempts = 10
	// openingWithin is how long a request that opens a room may take to store the room's
	// id.
	openingWithin = time.Minute
)

// recordings is the step of the inbox that records rooms from their start.
type recordings struct{ s *Egresses }

// Recordings gives the step that records the rooms of projects whose setting says so
// and that no request opened: those that a token opens. It stores what is to be
// started; StartDue starts it.
func (s *Egresses) Recordings() metering.Consumer { return recordings{s} }

// Consume stores the record of each room that has just opened. There is one for each
// opening, by LiveKit's id of it, however often its events come.
func (r recordings) Consume(ctx context.Context, b *metering.Batch) error {
	projects := map[models.ProjectID]*models.Project{}
	for i := range b.Changes {
		c := &b.Changes[i]
		room := &c.Session
		if !c.Announced || room.Subject != models.SubjectRoom || !room.Open || room.RoomSID == "" {
			continue
		}
		project := projects[room.ProjectID]
		if project == nil {
			found, err := r.s.c.Projects.Named(ctx, room.ProjectID)
			if err != nil && !models.IsKind(err, models.KindNotFound) {
				return err
			}
			project = &found // the zero value records nothing
			projects[room.ProjectID] = project
		}
		if !project.Recording.Enabled || project.IsDeleted {
			continue
		}
		if err := r.s.due(ctx, project, room); err != nil {
			return err
		}
	}
	return nil
}

// due stores the record of a room that is to be recorded, unless a request opened it,
// which has decided.
func (s *Egresses) due(ctx context.Context, p *models.Project, room *models.UsageSession) error {
	kept, err := s.c.Rooms.Named(ctx, []string{models.QualifyRoom(p.ID, room.RoomName)})
	if err != nil {
		return err
	}
	for i := range kept {
		opening := kept[i].SID == "" && s.now().Sub(kept[i].ExpiresAt.Add(-models.RoomKept)) < openingWithin
		if opening || kept[i].SID == room.RoomSID {
			return nil
		}
	}
	member := s.c.Clusters.OfKey(room.Cluster)
	if member == nil {
		return nil // of a cluster that was taken out since
	}
	record := s.recorded(p, room.RoomName, member.Name)
	record.ID, record.RecordedSID, record.DueAt = models.EgressID(ids.Derived(models.EgressPrefix, record.CreatedAt, room.RoomSID)), room.RoomSID, &record.CreatedAt
	switch err := s.c.Store.Insert(ctx, &record); {
	case models.IsKind(err, models.KindConflict): // stored before
		return nil
	case err != nil:
		return err
	}
	s.c.WakeDue()
	return nil
}

// startAudited has LiveKit start an egress that Pulse decided on.
func (s *Egresses) startAudited(ctx context.Context, record *models.Egress, client *livekit.Client, ask *livekit.EgressRequest) (state livekit.EgressState, err error) {
	system := &models.Principal{Kind: models.CallerSystem, OrgID: record.OrgID}
	entry, err := s.c.Trail.Begin(ctx, system, startOf(record))
	if err != nil {
		return state, err
	}
	defer entry.End(ctx, &err)
	return client.StartEgress(ctx, ask)
}

// notRecorded stores why an automatic recording was not started, and informs the
// project. What may work in a while stays due.
func (s *Egresses) notRecorded(ctx context.Context, record *models.Egress, failed error) error {
	var known *models.Error
	switch {
	case !errors.As(failed, &known), known.Kind == models.KindInternal:
		known = models.NewError(models.KindInternal, "egress_not_started", "LiveKit refused the start.")
		s.c.Log.Error().Err(failed).Str("egress_id", string(record.ID)).Msg("egress: an automatic recording was not started")
	case known.Kind == models.KindUnavailable && record.Attempts < startAttempts:
		s.c.Log.Warn().Err(failed).Str("egress_id", string(record.ID)).Int64("attempts", record.Attempts).Msg("egress: an automatic recording was not started; will retry")
		return nil
	case known.Kind == models.KindUnavailable:
		known = models.NewError(models.KindUnavailable, "egress_not_started", "No egress worker took the recording.")
	case known.Kind == models.KindNotFound:
		return s.presume(ctx, record, models.EgressAborted, "The room ended before its recording began.")
	}
	record.Error = fmt.Sprintf("%s: %s", known.Code, known.Message)
	if err := s.c.Failed(ctx, record); err != nil {
		return err
	}
	return s.presume(ctx, record, models.EgressFailed, record.Error)
}
