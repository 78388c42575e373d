package tokens

import (
	"context"
	"slices"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/quotas"
)

// inProject gives the caller with the project they mean (lookup.Project) and its
// quotas.
func inProject(ctx context.Context, projects *database.Projects, limits *quotas.Limits, actor *models.Principal, action models.Action, named models.ProjectID) (*models.Principal, error) {
	if actor.Project != nil && (named == "" || named == actor.Project.ID) {
		return actor, actor.May(action)
	}
	project, err := lookup.Project(ctx, projects, actor, action, named)
	if err != nil {
		return nil, err
	}
	acting := *actor
	acting.Project = &project
	acting.Quotas, err = limits.QuotasOf(ctx, project.ID)
	return &acting, err
}

// allowed returns the lifetime in seconds and the grants of a token for a room, or
// the error that refuses it.
func (s *Minter) allowed(actor *models.Principal, in *Input, room string) (ttl int64, grants models.VideoGrants, err error) {
	if len(in.ServerWide) > 0 {
		return 0, grants, models.GrantNotAllowed("grants.", in.ServerWide)
	}
	most := models.DefaultGrants()
	ttl = models.DefaultTokenTTLSeconds
	if in.TTLSeconds != nil {
		ttl = *in.TTLSeconds
	}
	if actor.Kind == models.CallerClientKey {
		policy := &actor.Project.ClientTokens
		if in.TTLSeconds == nil {
			ttl = min(ttl, policy.MaxTTLSeconds)
		}
		if err := clientPolicy(policy, in, ttl, room); err != nil {
			return 0, grants, err
		}
		most = policy.Grants
	}
	grants = in.Grants.Within(most)
	if actor.Kind == models.CallerClientKey {
		if over := grants.Exceeding(most); len(over) > 0 {
			return 0, grants, models.GrantNotAllowed("grants.", over)
		}
	}
	// LiveKit lets the bearer of roomAdmin dispatch any agent of the cluster.
	if models.IsSet(grants.RoomAdmin) && !slices.Contains(s.agentsOf(actor.Project), models.AllNames) {
		if models.IsSet(in.Grants.RoomAdmin) {
			return 0, grants, models.GrantNotAllowed("grants.", []string{"roomAdmin"})
		}
		grants.RoomAdmin = nil // only the policy asked for it; the project may not have it
	}
	return ttl, grants, nil
}

// clientPolicy refuses a request that exceeds the project's client_tokens, except for
// grants.
func clientPolicy(p *models.ClientTokens, in *Input, ttl int64, room string) error {
	switch {
	case !p.Enabled:
		return models.Forbidden("client_tokens_disabled",
			"This project mints tokens for server grade only: send X-Pulse-Secret too.")
	case in.Origin != "" && len(p.AllowedOrigins) > 0 && !slices.Contains(p.AllowedOrigins, in.Origin):
		return models.Forbidden("origin_not_allowed", "This project mints no tokens for pages of this origin.")
	case ttl > p.MaxTTLSeconds:
		return refusedField("ttl_not_allowed", "ttl_seconds exceeds this project's client_tokens.max_ttl_seconds.", "ttl_seconds")
	case in.Identity != "" && p.Identities == models.IdentitiesGenerated:
		return refusedField("identity_not_allowed", "This project generates the identity of client-grade tokens; omit participant_identity.", "participant_identity")
	case !p.AllowsRoom(room):
		return refusedField("room_not_allowed", "This room is not in this project's client_tokens.allowed_rooms.", "room_name")
	}
	return nil
}

func refusedField(code, message, field string) *models.Error {
	e := models.Forbidden(code, message)
	e.Fields = []models.FieldError{{Location: field, Message: "is not allowed"}}
	return e
}

// agentsOf are the agents that a project's tokens may dispatch.
func (s *Minter) agentsOf(p *models.Project) []string {
	if p.Agents == nil {
		return s.c.Agents
	}
	return p.Agents
}

// mayDispatch reports whether a caller's token may dispatch an agent: one of the
// project's and, for client grade, also one of its client_tokens'.
func (s *Minter) mayDispatch(actor *models.Principal, name string) bool {
	return models.MayDispatch(s.agentsOf(actor.Project), name) &&
		(actor.Kind != models.CallerClientKey || models.MayDispatch(actor.Project.ClientTokens.Agents, name))
}
