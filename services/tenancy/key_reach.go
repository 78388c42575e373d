package tenancy

import (
	"context"
	"net/netip"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/auth"
)

// withinReach refuses pairs that may do more, work longer or from more places
// than the key that calls: else the end and the addresses a pair was given
// would hold only until its holder lifted them, and a pair in its grace period
// could give itself a successor. People and the operator reach everything.
// forbidden insufficient_scope; unauthenticated if the calling key has gone.
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

// inside tells whether every one of the inner networks lies in one of the
// outer ones; none are all addresses. What is no network lies nowhere.
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
