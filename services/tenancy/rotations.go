package tenancy

import (
	"context"
	"slices"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/utils/times"
)

// RegenerateKeys rotates a project's first API key. The new key has the rights of
// the old one, which works until the grace period ends (0 to MaxGracePeriod). Of
// two concurrent rotations one gets a conflict. forbidden insufficient_scope if the
// calling key has fewer rights than the first key, expires earlier, or is in its
// grace period.
func (s *Projects) RegenerateKeys(ctx context.Context, actor *models.Principal, id models.ProjectID, grace time.Duration) (out KeyedProject, err error) {
	if err := actor.May(models.ActionKeysWrite); err != nil {
		return KeyedProject{}, err
	}
	var found *models.APIKey // by the first attempt
	lost := false
	err = s.c.Trail.Reapply(ctx, "", func(ctx context.Context) error {
		project, err := s.c.Projects.Get(ctx, actor.Tenant(), id)
		if err != nil {
			return err
		}
		present, err := s.firstKey(ctx, &project)
		if err != nil {
			return err
		}
		if found == nil {
			found = &present
		}
		// Another rotation replaces the key first, then gives the project a new one.
		if lost = present.Key != found.Key || !times.Same(present.RotatedAt, found.RotatedAt); lost {
			return nil
		}
		out, err = s.rotate(ctx, actor, &project, &present, grace)
		return err
	})
	if lost {
		err = models.Conflict(database.ChangedSince, "The project's keys were changed at the same time; read it again and retry.")
	}
	if err != nil {
		return KeyedProject{}, err
	}
	return out, nil
}

// firstKey reads the first key of a project. One that was deleted has no id.
func (s *Projects) firstKey(ctx context.Context, project *models.Project) (models.APIKey, error) {
	key, err := s.c.APIKeys.ByKey(ctx, project.PulseAPIKey)
	if models.IsKind(err, models.KindNotFound) {
		return models.APIKey{Key: project.PulseAPIKey}, nil
	}
	return key, err
}

// rotate gives a project a new first key, with the rights of the present one; conflict
// database.ChangedSince if either was changed since they were read.
func (s *Projects) rotate(ctx context.Context, actor *models.Principal, project *models.Project, present *models.APIKey, grace time.Duration) (out KeyedProject, err error) {
	now, id := s.c.Now(), project.ID
	pair, err := s.replacement(ctx, actor, project, present, now)
	if err != nil {
		return KeyedProject{}, err
	}
	// An earlier attempt came as far, and may have been followed by another rotation.
	if project.PulseAPIKey == pair.Key.Key || pair.Key.RotatedAt != nil {
		return KeyedProject{Project: s.complete(*project), Key: pair.Key.Key, Secret: pair.Secret}, nil
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: project.OrgID, ProjectID: id, Action: "key.rotated", Type: "project", ID: string(id),
		Before: map[string]any{"key_id": present.ID, "secret_hint": present.SecretHint},
		After: map[string]any{
			"key_id": pair.Key.ID, "secret_hint": pair.Key.SecretHint, "grace_period_seconds": int64(grace / time.Second),
		},
	})
	if err != nil {
		return KeyedProject{}, err
	}
	defer entry.End(ctx, &err)
	if err := s.c.APIKeys.Insert(ctx, &pair.Key); err != nil {
		return KeyedProject{}, err
	}
	// The expiry of the old key is written before the new key is returned: a crash in
	// between can lose a rotation, never keep a key alive that should end.
	if present.ID != "" {
		_, err = s.c.APIKeys.Rotate(ctx, present, now, now.Add(grace))
	}
	rotated := *project
	if err == nil {
		rotated, err = s.c.Projects.ReplaceKey(ctx, actor.Tenant(), id, project.PulseAPIKey, pair.Key.Key, now)
	}
	s.c.Changes.Publish(models.KeyChanged(present.ID, project.PulseAPIKey))
	s.c.Changes.Publish(models.ProjectChanged(id))
	if models.HasCode(err, database.ChangedSince) {
		if err := s.c.APIKeys.Discard(ctx, id, pair.Key.ID); err != nil {
			return KeyedProject{}, err
		}
	}
	return KeyedProject{Project: s.complete(rotated), Key: pair.Key.Key, Secret: pair.Secret}, err
}

// replacement makes the next first pair of a project, or finds what an earlier
// attempt of the same request stored.
func (s *Projects) replacement(ctx context.Context, actor *models.Principal, project *models.Project, present *models.APIKey, now time.Time) (NewKeyPair, error) {
	made := successor(actor, project, present, now)
	pair, err := madeBefore(ctx, s.c.APIKeys, actor.Tenant(), project.ID)
	if err == nil && present.RotatedAt != nil {
		// That attempt came as far as to end the present key; only the pair still has the
		// expiry from before.
		made.ExpiresAt = pair.Key.ExpiresAt
	}
	switch {
	case models.IsKind(err, models.KindNotFound):
	case err != nil, pair.Key.Key == present.Key, pair.Key.RotatedAt != nil, sameRights(&pair.Key, &made):
		return pair, err
	default: // the present key's rights were changed since
		if err := s.c.APIKeys.Discard(ctx, project.ID, pair.Key.ID); err != nil {
			return NewKeyPair{}, err
		}
	}
	if err := withinReach(ctx, s.c.APIKeys, actor, &made); err != nil {
		return NewKeyPair{}, err
	}
	return mintPair(ctx, s.c.Hasher, made)
}

// sameRights reports whether two keys may do the same, from the same addresses, for as
// long.
func sameRights(a, b *models.APIKey) bool {
	return slices.Equal(a.Scopes, b.Scopes) && slices.Equal(a.AllowedIPs, b.AllowedIPs) && times.Same(a.ExpiresAt, b.ExpiresAt)
}

// successor is what the next first pair of a project may do: what the present one may,
// or everything if that one was deleted.
func successor(actor *models.Principal, project *models.Project, present *models.APIKey, now time.Time) models.APIKey {
	next := models.APIKey{
		ProjectID: project.ID, OrgID: project.OrgID, Name: firstPairName, Scopes: []models.Scope{models.ScopeAll},
		CreatedBy: actor.UserID, CreatedAt: now,
	}
	if present.ID == "" {
		return next
	}
	next.Name, next.Scopes, next.AllowedIPs = present.Name, present.Scopes, present.AllowedIPs
	if actor.KeyID != "" && present.RotatedAt == nil {
		next.ExpiresAt = present.ExpiresAt // only a person may remove it
	}
	return next
}
