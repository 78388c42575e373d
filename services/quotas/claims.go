package quotas

import (
	"context"

	"pulse-control-plane/models"
)

// participant is the claim of a participant to a slot in a project's rooms.
func (s *Limits) participant(p models.ProjectID, q *models.Quotas, m models.Meter, room, identity string) claim {
	quota, agents := q.ParticipantQuota(m), q.ParticipantQuota(models.MeterAgentSeconds)
	return claim{
		owner: string(p), quota: quota, limit: q.Of(quota),
		holder: participantHolder(room, identity), identity: identity,
		present: s.openOf(p, func(session *models.UsageSession) string {
			counted := models.QuotaConcurrentParticipants
			switch m := session.Meter(); {
			case !m.OfParticipants():
				return ""
			case m == models.MeterAgentSeconds:
				counted = agents
			}
			if counted != quota {
				return ""
			}
			return participantHolder(session.RoomName, session.Identity)
		}),
	}
}

// room is a room's claim to a slot, for a participant who would join it.
func (s *Limits) room(p models.ProjectID, limit int64, name, identity string) claim {
	return claim{
		owner: string(p), quota: models.QuotaRooms, limit: limit, holder: name, identity: identity,
		present: s.openOf(p, func(session *models.UsageSession) string {
			if session.Subject != models.SubjectRoom {
				return ""
			}
			return session.RoomName
		}),
	}
}

// project is a project's claim to a slot of its organization.
func (s *Limits) project(org models.OrganizationID, limit int64, id models.ProjectID) claim {
	return claim{
		owner: string(org), quota: models.QuotaProjects, limit: limit, holder: string(id), reread: true,
		present: func(ctx context.Context) (map[string]holding, error) {
			there := map[string]holding{}
			err := s.c.Projects.OfOrganization(ctx, org, slotsRead, func(id models.ProjectID) { there[string(id)] = holding{session: string(id)} })
			return there, err
		},
	}
}

// openOf returns a function that reads the open usage sessions of a project by
// holder; sessions with the holder "" do not count.
func (s *Limits) openOf(p models.ProjectID, holder func(*models.UsageSession) string) func(context.Context) (map[string]holding, error) {
	return func(ctx context.Context) (map[string]holding, error) {
		there := map[string]holding{}
		err := s.c.Sessions.EachOpen(ctx, p, slotsRead, func(session models.UsageSession) error {
			if name := holder(&session); name != "" {
				there[name] = holding{session.ID, session.JoinedAt}
			}
			return nil
		})
		return there, err
	}
}
