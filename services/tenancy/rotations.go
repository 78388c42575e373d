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
	first, lost := "", false
	err = s.c.Trail.Reapply(ctx, "", func(ctx context.Context) error {
		project, err := s.c.Projects.Get(ctx, actor.Tenant(), id)
		if err != nil {
			return err
		}
		if lost = first != "" && project.PulseAPIKey != first; lost {
			return nil
		}
		first = project.PulseAPIKey
		out, err = s.rotate(ctx, actor, &project, grace)
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

// rotate gives a project, as it was read, a new first key, with the rights that the
// present one has now; conflict database.ChangedSince if either was changed since.
func (s *Projects) rotate(ctx context.Context, actor *models.Principal, project *models.Project, grace time.Duration) (out KeyedProject, err error) {
	now, id := s.c.Now(), project.ID
	pair, replaced, err := s.replacement(ctx, actor, project, now)
	if err != nil {
		return KeyedProject{}, err
	}
	// An earlier attempt came as far, and may have been followed by another rotation.
	if project.PulseAPIKey == pair.Key.Key || pair.Key.RotatedAt != nil {
		return KeyedProject{Project: s.complete(*project), Key: pair.Key.Key, Secret: pair.Secret}, nil
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: project.OrgID, ProjectID: id, Action: "key.rotated", Type: "project", ID: string(id),
		Before: map[string]any{"key_id": replaced.ID, "secret_hint": replaced.SecretHint},
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
	if replaced.ID != "" {
		_, err = s.c.APIKeys.Rotate(ctx, &replaced, now, now.Add(grace))
	}
	rotated := *project
	if err == nil {
		rotated, err = s.c.Projects.ReplaceKey(ctx, actor.Tenant(), id, project.PulseAPIKey, pair.Key.Key, now)
	}
	s.c.Changes.Publish(models.KeyChanged(replaced.ID, project.PulseAPIKey))
	s.c.Changes.Publish(models.ProjectChanged(id))
	if models.HasCode(err, database.ChangedSince) {
		if err := s.c.APIKeys.Discard(ctx, id, pair.Key.ID); err != nil {
			return KeyedProject{}, err
		}
	}
	return KeyedProject{Project: s.complete(rotated), Key: pair.Key.Key, Secret: pair.Secret}, err
}

// replacement makes the next first pair of a project, or finds what an earlier
// attempt of the same request stored, and gives the pair before it.
func (s *Projects) replacement(ctx context.Context, actor *models.Principal, project *models.Project, now time.Time) (NewKeyPair, models.APIKey, error) {
	made, replaced, err := s.successor(ctx, actor, project, now)
	if err != nil {
		return NewKeyPair{}, replaced, err
	}
	switch pair, err := madeBefore(ctx, s.c.APIKeys, actor.Tenant(), project.ID); {
	case models.IsKind(err, models.KindNotFound):
	case err != nil, pair.Key.RotatedAt != nil, sameRights(&pair.Key, &made):
		return pair, replaced, err
	default: // the present key's rights were changed since
		if err := s.c.APIKeys.Discard(ctx, project.ID, pair.Key.ID); err != nil {
			return NewKeyPair{}, replaced, err
		}
	}
	if err := withinReach(ctx, s.c.APIKeys, actor, &made); err != nil {
		return NewKeyPair{}, replaced, err
	}
	pair, err := mintPair(ctx, s.c.Hasher, made)
	return pair, replaced, err
}

// sameRights reports whether two keys may do the same, from the same addresses, for as
// long.
func sameRights(a, b *models.APIKey) bool {
	return slices.Equal(a.Scopes, b.Scopes) && slices.Equal(a.AllowedIPs, b.AllowedIPs) && times.Same(a.ExpiresAt, b.ExpiresAt)
}

// successor is what the next first pair of a project may do: what the one
// before it may, or everything if that one was removed; and the one before it.
func (s *Projects) successor(ctx context.Context, actor *models.Principal, project *models.Project, now time.Time) (next, old models.APIKey, err error) {
	next = models.APIKey{
		ProjectID: project.ID, OrgID: project.OrgID, Name: firstPairName, Scopes: []models.Scope{models.ScopeAll},
		CreatedBy: actor.UserID, CreatedAt: now,
	}
	old, err = s.c.APIKeys.ByKey(ctx, project.PulseAPIKey)
	switch {
	case models.IsKind(err, models.KindNotFound):
		return next, old, nil
	case err != nil:
		return next, old, err
	}
	next.Name, next.Scopes, next.AllowedIPs = old.Name, old.Scopes, old.AllowedIPs
	if actor.KeyID != "" && old.RotatedAt == nil {
		next.ExpiresAt = old.ExpiresAt // only a person may remove it
	}
	return next, old, nil
}
