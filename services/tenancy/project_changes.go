package tenancy

import (
	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
)

// projectUpdated is the audit event of an updated project; store is what its storage
// becomes.
func projectUpdated(p *models.Project, c ProjectChange, store *database.StorageChange) audit.Event {
	var fields audit.Changes
	audit.Changed(&fields, "name", p.Name, c.Name)
	audit.Changed(&fields, "region", p.Region, c.Region)
	audit.Changed(&fields, "client_tokens.enabled", p.ClientTokens.Enabled, c.ClientTokens.Enabled)
	audit.Changed(&fields, "client_tokens.max_ttl_seconds", p.ClientTokens.MaxTTLSeconds, c.ClientTokens.MaxTTLSeconds)
	audit.Changed(&fields, "client_tokens.grants", p.ClientTokens.Grants, c.ClientTokens.Grants)
	audit.Changed(&fields, "client_tokens.allowed_origins", p.ClientTokens.AllowedOrigins, c.ClientTokens.AllowedOrigins)
	audit.Changed(&fields, "client_tokens.allowed_rooms", p.ClientTokens.AllowedRooms, c.ClientTokens.AllowedRooms)
	audit.Changed(&fields, "client_tokens.identities", p.ClientTokens.Identities, c.ClientTokens.Identities)
	audit.Changed(&fields, "client_tokens.agents", p.ClientTokens.Agents, c.ClientTokens.Agents)
	audit.Changed(&fields, "agents", p.Agents, c.Agents)
	audit.Changed(&fields, "limits.requests_per_minute", p.Limits.RequestsPerMinute, c.Limits.RequestsPerMinute)
	audit.Changed(&fields, "limits.concurrent_participants", p.Limits.ConcurrentParticipants, c.Limits.ConcurrentParticipants)
	audit.Changed(&fields, "limits.concurrent_agents", p.Limits.ConcurrentAgents, c.Limits.ConcurrentAgents)
	audit.Changed(&fields, "limits.rooms", p.Limits.Rooms, c.Limits.Rooms)
	audit.Changed(&fields, "limits.participant_minutes_per_month", p.Limits.ParticipantMinutes, c.Limits.ParticipantMinutes)
	audit.Changed(&fields, "limits.egress_minutes_per_month", p.Limits.EgressMinutes, c.Limits.EgressMinutes)
	audit.Changed(&fields, "limits.concurrent_egresses", p.Limits.ConcurrentEgresses, c.Limits.ConcurrentEgresses)
	audit.Changed(&fields, "limits.concurrent_ingresses", p.Limits.ConcurrentIngresses, c.Limits.ConcurrentIngresses)
	if r := c.Recording; r != nil {
		audit.Changed(&fields, "recording.enabled", p.Recording.Enabled, r.Enabled)
		audit.Changed(&fields, "recording.layout", p.Recording.Layout, r.Layout)
		audit.Changed(&fields, "recording.encoding", p.Recording.Encoding, r.Encoding)
		audit.Changed(&fields, "recording.audio_only", p.Recording.AudioOnly, r.AudioOnly)
	}
	if c.Storage != nil {
		before, after := describe(p.Storage), describe(c.Storage.To)
		audit.Changed(&fields, "storage", before, &after)
		if c.Storage.Secret.Reveal() != "" {
			replaced := "replaced"
			audit.Changed(&fields, "storage.credential", "", &replaced)
			audit.Changed(&fields, "storage.credential_id", credentialOf(p.Storage), new(credentialOf(store.To)))
		}
	}
	return audit.Event{OrgID: p.OrgID, ProjectID: p.ID, Action: "project.updated", Type: "project", ID: string(p.ID), Before: fields.Before, After: fields.After}
}

// ProjectFields gives the fields of a project by the names that they have in the
// audit trail; storage.credential, which is stored sealed, is not among them.
func ProjectFields(p *models.Project) map[string]any {
	return map[string]any{
		"name": p.Name, "region": p.Region, "agents": p.Agents, "storage": describe(p.Storage), "storage.credential_id": credentialOf(p.Storage),
		"client_tokens.enabled": p.ClientTokens.Enabled, "client_tokens.max_ttl_seconds": p.ClientTokens.MaxTTLSeconds,
		"client_tokens.grants": p.ClientTokens.Grants, "client_tokens.allowed_origins": p.ClientTokens.AllowedOrigins,
		"client_tokens.allowed_rooms": p.ClientTokens.AllowedRooms, "client_tokens.identities": p.ClientTokens.Identities,
		"client_tokens.agents": p.ClientTokens.Agents, "limits.requests_per_minute": p.Limits.RequestsPerMinute,
		"limits.concurrent_participants": p.Limits.ConcurrentParticipants, "limits.concurrent_agents": p.Limits.ConcurrentAgents,
		"limits.rooms": p.Limits.Rooms, "limits.participant_minutes_per_month": p.Limits.ParticipantMinutes,
		"limits.egress_minutes_per_month": p.Limits.EgressMinutes, "limits.concurrent_egresses": p.Limits.ConcurrentEgresses,
		"limits.concurrent_ingresses": p.Limits.ConcurrentIngresses,
		"recording.enabled":           p.Recording.Enabled, "recording.layout": p.Recording.Layout,
		"recording.encoding": p.Recording.Encoding, "recording.audio_only": p.Recording.AudioOnly,
	}
}

// credentialOf gives the id of a storage's credential, "" without one.
func credentialOf(s *models.Storage) string {
	if s == nil {
		return ""
	}
	return s.CredentialID
}
