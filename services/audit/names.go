package audit

import (
	"context"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// ActorEntry is an entry with the name of its actor.
type ActorEntry struct {
	models.AuditEntry
	// ActorName is the present name of the person or API key, also of a former one.
	// It is empty for callers without a name. No hash covers it.
	ActorName string
}

// ActorNames finds the names of actors.
type ActorNames struct {
	users *database.Users
	keys  *database.APIKeys
}

// NewActorNames reads names from repositories.
func NewActorNames(users *database.Users, keys *database.APIKeys) *ActorNames {
	return &ActorNames{users: users, keys: keys}
}

// of names the actors of a page of entries of an organization, with two queries at
// most.
func (n *ActorNames) of(ctx context.Context, org models.OrganizationID, entries []models.AuditEntry) ([]ActorEntry, error) {
	var people []models.UserID
	var keys []models.KeyID
	seen := map[string]bool{}
	for i := range entries {
		actor := &entries[i].Actor
		if seen[actor.ID] {
			continue
		}
		seen[actor.ID] = true
		switch models.CallerKind(actor.Kind) {
		case models.CallerPerson:
			people = append(people, models.UserID(actor.ID))
		case models.CallerServerKey, models.CallerClientKey:
			keys = append(keys, models.KeyID(actor.ID))
		case models.CallerOperator, models.CallerSystem, models.CallerNobody:
		}
	}
	names := map[string]string{}
	if len(people) > 0 {
		found, err := n.users.Names(ctx, org, people)
		if err != nil {
			return nil, err
		}
		for id, name := range found {
			names[string(id)] = name
		}
	}
	if len(keys) > 0 {
		found, err := n.keys.Names(ctx, org, keys)
		if err != nil {
			return nil, err
		}
		for id, name := range found {
			names[string(id)] = name
		}
	}
	out := make([]ActorEntry, 0, len(entries))
	for i := range entries {
		out = append(out, ActorEntry{AuditEntry: entries[i], ActorName: names[entries[i].Actor.ID]})
	}
	return out, nil
}
