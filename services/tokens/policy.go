package tokens

import (
	"context"
	"slices"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/quotas"
)

// inProject gives the caller with the project they mean and its quotas: a key's
// own, or the one a person names. invalid for a person who names none,
// not_found for another tenant's, whoever asks.
func inProject(ctx context.Context, projects *database.Projects, limits *quotas.Limits, actor *models.Principal, asked models.ProjectID) (*models.Principal, error) {
	if actor.Project != nil {
		if asked != "" && asked != actor.Project.ID {
			return nil, models.NotFound()
		}
		return actor, nil
	}
	if asked == "" {
		return nil, models.Invalid(models.FieldError{Location: "project_id", Message: "is required: a person names the project"})
	}
	project, err := projects.Get(ctx, actor.Tenant(), asked)
	if err != nil {
		return nil, err
	}
	acting := *actor
	acting.Project = &project
	acting.Quotas, err = limits.QuotasOf(ctx, project.ID)
	return &acting, err
}

// allowed gives the life in seconds and the grants of a token for a room, or
// why the caller may not have it.
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
		grants.RoomAdmin = nil // the policy's, which holds as far as the project may
	}
	return ttl, grants, nil
}

// clientPolicy refuses what a project's client_tokens do not allow, grants
// aside.
func clientPolicy(p *models.ClientTokens, in *Input, ttl int64, room string) error {
	switch {
	case !p.Enabled:
		return models.Forbidden("client_tokens_disabled",
			"This project gives tokens to its servers only: send the key's secret too.")
	case in.Origin != "" && len(p.AllowedOrigins) > 0 && !slices.Contains(p.AllowedOrigins, in.Origin):
		return models.Forbidden("origin_not_allowed", "This project gives no tokens to pages of this origin.")
	case ttl > p.MaxTTLSeconds:
		return refusedField("ttl_not_allowed", "ttl_seconds is more than this project allows a key alone.", "ttl_seconds")
	case in.Identity != "" && p.Identities == models.IdentitiesGenerated:
		return refusedField("identity_not_allowed", "This project generates the identity of each token for a key alone.", "participant_identity")
	case !p.AllowsRoom(room):
		return refusedField("room_not_allowed", "This project gives a key alone no tokens for this room.", "room_name")
	}
	return nil
}

func refusedField(code, message, field string) *models.Error {
	e := models.Forbidden(code, message)
	e.Fields = []models.FieldError{{Location: field, Message: "is not allowed"}}
	return e
}

// agentsOf are the agents a project's tokens may dispatch.
func (s *Minter) agentsOf(p *models.Project) []string {
	if p.Agents == nil {
		return s.c.Agents
	}
	return p.Agents
}

// mayDispatch tells whether a caller's token may dispatch an agent: one of the
// project's, and of its client_tokens' for a key alone.
func (s *Minter) mayDispatch(actor *models.Principal, name string) bool {
	return models.MayDispatch(s.agentsOf(actor.Project), name) &&
		(actor.Kind != models.CallerClientKey || models.MayDispatch(actor.Project.ClientTokens.Agents, name))
}
