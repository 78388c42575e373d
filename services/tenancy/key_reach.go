package tenancy

import (
	"context"
	"net/netip"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/auth"
)

// withinReach refuses keys with more scopes, a later expiry or more networks than
// the calling key. Otherwise the holder of a key could lift its restrictions, and a
// key in its grace period could create its own successor. People and the operator
// are not restricted. forbidden insufficient_scope; unauthenticated if the calling
// key was deleted.
func withinReach(ctx context.Context, keys *database.APIKeys, actor *models.Principal, pairs ...*models.APIKey) error {
	if actor.KeyID == "" {
		return nil
	}
	own, err := keys.Get(ctx, actor.Tenant(), actor.Project.ID, actor.KeyID)
	if models.IsKind(err, models.KindNotFound) {
		return auth.ErrBadKey()
	}
	if err != nil {
		return err
	}
	for _, pair := range pairs {
		longer := own.ExpiresAt != nil && (pair.ExpiresAt == nil || pair.ExpiresAt.After(*own.ExpiresAt))
		if longer || !actor.HasScopes(pair.Scopes) || !inside(own.AllowedIPs, pair.AllowedIPs) {
			return auth.ErrMoreScopes()
		}
	}
	return nil
}

// inside reports whether every inner network is within an outer one; no networks
// mean all addresses. A malformed network is within none.
func inside(outer, inner []string) bool {
	if len(outer) == 0 {
		return true
	}
	for _, text := range inner {
		network, err := models.ParseAllowedIP(text)
		if err != nil || !inOneOf(outer, network) {
			return false
		}
	}
	return len(inner) > 0
}

func inOneOf(outer []string, network netip.Prefix) bool {
	for _, text := range outer {
		around, err := models.ParseAllowedIP(text)
		if err == nil && around.Bits() <= network.Bits() && around.Contains(network.Addr()) {
			return true
		}
	}
	return false
}
