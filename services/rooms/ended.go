package rooms

import (
	"context"

	"pulse-control-plane/models"
	"pulse-control-plane/services/metering"
)

var _ metering.Consumer = (*Rooms)(nil)

// Consume keeps the placements of rooms that participants join and releases those of
// rooms that finished, so that a later room of the same name goes to the cluster that
// is best then.
func (s *Rooms) Consume(ctx context.Context, b *metering.Batch) error {
	for i := range b.Events {
		e := &b.Events[i]
		if e.ProjectID == "" {
			continue
		}
		var err error
		switch room := models.QualifyRoom(e.ProjectID, e.RoomName); e.Event {
		case models.EventRoomFinished:
			err = s.c.Placements.Ended(ctx, e.Cluster, room, e.CreatedAt)
		case models.EventParticipantJoined:
			err = s.c.Placements.Joined(ctx, room, e.CreatedAt)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
