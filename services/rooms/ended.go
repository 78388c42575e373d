package rooms

import (
	"context"

	"pulse-control-plane/models"
	"pulse-control-plane/services/metering"
)

var _ metering.Consumer = (*Rooms)(nil)

// Consume releases the placements of rooms that finished, so that a later room of
// the same name goes to the cluster that is best then.
func (s *Rooms) Consume(ctx context.Context, b *metering.Batch) error {
	for i := range b.Events {
		e := &b.Events[i]
		if e.Event != models.EventRoomFinished || e.ProjectID == "" {
			continue
		}
		if err := s.c.Placements.Ended(ctx, e.Cluster, models.QualifyRoom(e.ProjectID, e.RoomName), e.CreatedAt); err != nil {
			return err
		}
	}
	return nil
}
