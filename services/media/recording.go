package media

import (
	"context"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/ids"
)

// Recording gives the egress that starts with a room that a request opens
// (livekit.RoomOptions.Recording): a file of the whole room on the project's storage.
// Its record is stored first, so that it counts for others at the same moment; settled
// takes how the opening ended. Errors: conflict storage_not_configured,
// quota_exceeded.
func (s *Egresses) Recording(ctx context.Context, p *models.Project, room string) (ask *livekit.EgressRequest, settled func(context.Context, error), err error) {
	member, err := s.c.Placements.Of(ctx, p, room)
	if err != nil {
		return nil, nil, err
	}
	record := s.recorded(p, room, member.Name)
	record.ID = models.EgressID(ids.New(models.EgressPrefix))
	if ask, err = s.request(p, &record, recordingOf(p, room)); err != nil {
		return nil, nil, err
	}
	if err := s.c.Store.Insert(ctx, &record); err != nil {
		return nil, nil, err
	}
	if err := s.admit(ctx, &record); err != nil {
		return nil, nil, err
	}
	return ask, func(ctx context.Context, failed error) {
		if failed != nil && !models.IsKind(failed, models.KindUnavailable) {
			s.discard(ctx, &record) // else LiveKit may have started it, and Compare finds out
		}
	}, nil
}

// recorded is the record of a room that is recorded automatically, without an id.
func (s *Egresses) recorded(p *models.Project, room, cluster string) models.Egress {
	now := s.now()
	return models.Egress{ProjectID: p.ID, OrgID: p.OrgID, Cluster: cluster, Type: models.EgressRoomComposite, RoomName: room, Layout: p.Recording.Layout,
		Automatic: true, Status: models.EgressStarting, Open: true, CreatedAt: now, UpdatedAt: now}
}

// recordingOf asks for the egress that a project's setting says.
func recordingOf(p *models.Project, room string) *EgressInput {
	return &EgressInput{Project: p.ID, Type: models.EgressRoomComposite, RoomName: room, Layout: p.Recording.Layout, AudioOnly: p.Recording.AudioOnly,
		Encoding: livekit.Encoding{Preset: p.Recording.Encoding}, Outputs: []OutputInput{{EgressOutput: models.EgressOutput{Kind: models.OutputFile}}}}
}
