package auth

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/utils/apikey"
	"pulse-control-plane/utils/bus"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

// Keys authenticates a key, or a key and its secret. It answers from memory when
// warm and alone decides which keys work.
type Keys struct {
	snapshots *lookup.Cache[*keySnapshot]
	hasher    *hashing.Hasher
	verified  *hashing.Verified
	// secrets counts how verified answered.
	secrets lookup.Results
	guesses Guesses
	// refused says until when the names of guesses are refused.
	refused *lru.Cache[string, time.Time]
	stored  *database.APIKeys
	changes *lookup.Changes
	// checks merges concurrent checks of the same pair.
	checks singleflight.Group
	uses   *KeyUses
	now    func() time.Time
}

// keySnapshot is a cached key with both of its principals prebuilt, so that a
// request allocates neither.
type keySnapshot struct {
	key            models.APIKey
	client, server models.Principal
	suspended      bool
	// allowed are the only networks that the key works from; empty for any.
	allowed []netip.Prefix
	// notedAt is the last noted use in Unix nanoseconds, so that most requests need
	// not call uses.
	notedAt atomic.Int64
}

// KeysConfig of NewKeys; every field is required.
type KeysConfig struct {
	APIKeys       *database.APIKeys
	Projects      *database.Projects
	Organizations *database.Organizations
	Hasher        *hashing.Hasher
	Verified      *hashing.Verified
	// Changes invalidates snapshots.
	Changes *lookup.Changes
	// CacheSize bounds the cached snapshots, and separately the unknown keys and the
	// names of guesses that are refused.
	CacheSize int
	// Guesses limits the checks of secrets.
	Guesses Guesses
	// Exact says that no other process changes the database.
	Exact bool
	// Plans are the quotas of each plan.
	Plans models.PlanQuotas `optional:"true"`
	// RequestsPerMinute is the limit of a project on the free plan without its own
	// limit; 0 disables the limit for every plan (models.Plan).
	RequestsPerMinute int64
	Now               func() time.Time
}

// NewKeys builds the service. It fails if a required field is missing.
func NewKeys(o KeysConfig) (*Keys, error) {
	if err := required.Fields(o); err != nil {
		return nil, err
	}
	load := func(ctx context.Context, key string) (*keySnapshot, error) {
		k, err := o.APIKeys.ByKey(ctx, key)
		if err != nil {
			return nil, err
		}
		tenant := models.TenantOf(k.OrgID)
		project, err := o.Projects.Get(ctx, tenant, k.ProjectID)
		if err != nil {
			return nil, err
		}
		org, err := o.Organizations.Get(ctx, tenant, k.OrgID)
		if err != nil {
			return nil, err
		}
		limit := project.Limits.RequestsPerMinute
		if limit == 0 {
			limit = org.Plan.RequestsPerMinute(o.RequestsPerMinute)
		}
		snapshot := &keySnapshot{key: k, suspended: org.Suspended()}
		for _, text := range k.AllowedIPs {
			network, err := models.ParseAllowedIP(text)
			if err != nil {
				return nil, models.Internal(err)
			}
			snapshot.allowed = append(snapshot.allowed, network)
		}
		client := models.Principal{
			Kind: models.CallerClientKey, OrgID: k.OrgID, Project: &project, KeyID: k.ID, Scopes: k.Scopes,
			Quotas: o.Plans.For(org.Plan, &project.Limits), RateKey: string(project.ID) + "|client", RequestsPerMinute: limit,
		}
		if k.RotatedAt != nil && k.ExpiresAt != nil {
			client.RotatedAt, client.EndsAt = *k.RotatedAt, *k.ExpiresAt
		}
		snapshot.client, snapshot.server = client, client
		// A bucket of its own: everybody has the public key, and a flood with it
		// must not keep the project's servers out.
		snapshot.server.Kind, snapshot.server.RateKey = models.CallerServerKey, string(project.ID)
		return snapshot, nil
	}
	snapshots, err := lookup.New(lookup.Config[*keySnapshot]{Size: o.CacheSize, Exact: o.Exact, Now: o.Now, Load: load})
	if err != nil {
		return nil, err
	}
	uses, err := NewKeyUses(o.APIKeys, o.CacheSize, o.Now)
	if err != nil {
		return nil, err
	}
	refused, err := lru.New[string, time.Time](o.CacheSize)
	if err != nil {
		return nil, err
	}
	a := &Keys{
		snapshots: snapshots, hasher: o.Hasher, verified: o.Verified,
		guesses: o.Guesses, refused: refused, stored: o.APIKeys, changes: o.Changes, uses: uses, now: o.Now,
	}
	_, err = o.Changes.Subscribe(bus.Subscriber[models.Change]{Changed: a.changed, Reset: a.snapshots.Clear})
	return a, err
}

// Known tells whether a key, good or not, can be told without the database.
func (a *Keys) Known(key string) bool { return a.snapshots.Holds(key) }

// Client authenticates a key without its secret, used from an IP. Errors:
// unauthenticated if the key is malformed (without a read of the database),
// unknown or expired, or its project or organization was deleted; forbidden
// organization_suspended or ip_not_allowed.
func (a *Keys) Client(ctx context.Context, key, ip string) (*models.Principal, error) {
	s, err := a.snapshot(ctx, key, ip)
	if err != nil {
		return nil, err
	}
	a.used(s)
	return &s.client, nil
}

// Server authenticates a key and its secret, used from an IP. Errors as Client;
// unauthenticated also for a wrong secret, rate_limited for too many guesses.
func (a *Keys) Server(ctx context.Context, key string, s secret.Value, ip string) (*models.Principal, error) {
	if !apikey.IsSecret(s.Reveal()) {
		return nil, ErrBadKey()
	}
	snapshot, err := a.snapshot(ctx, key, ip)
	if err != nil {
		return nil, err
	}
	k := &snapshot.key
	if a.verified.Check(string(k.ID), s, k.SecretHash) {
		a.secrets.Hits.Add(1)
		a.used(snapshot)
		return &snapshot.server, nil
	}
	a.secrets.Misses.Add(1)
	what := strings.Join([]string{string(k.ID), k.SecretHash, ip, s.Reveal()}, " ")
	result := a.checks.DoChan(what, func() (any, error) {
		// The first caller may disconnect; the others still wait for the result.
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookup.LoadTimeout)
		defer cancel()
		return nil, a.check(shared, k, s, ip)
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return nil, r.Err
		}
		a.used(snapshot)
		return &snapshot.server, nil
	case <-ctx.Done():
		return nil, models.Unavailable(ctx.Err())
	}
}

// rehashTimeout limits what a verified request waits for the new hash or mark of its
// secret.
const rehashTimeout = 500 * time.Millisecond

// renew stores what is missing of a verified secret: its hash with the current pepper,
// if another one was used and none was stored lately, and the mark that recognizes it.
// It may fail: a later verification tries again.
func (a *Keys) renew(ctx context.Context, k *models.APIKey, s secret.Value, marked bool) {
	ctx, cancel := context.WithTimeout(ctx, rehashTimeout)
	defer cancel()
	switch {
	case k.PepperID != a.hasher.Pepper() && (k.RehashedAt == nil || a.now().Sub(*k.RehashedAt) >= models.RehashInterval):
		hash, err := a.hasher.Hash(ctx, s)
		if err != nil {
			return
		}
		fresh := models.APIKey{SecretHash: hash.Hash, PepperID: hash.Pepper, SecretMark: a.hasher.Mark(string(k.ID), hash.Hash, s)}
		if stored, err := a.stored.Rehash(ctx, k, &fresh, a.now()); err != nil || !stored {
			return
		}
	case !marked:
		if err := a.stored.Mark(ctx, k.ID, a.hasher.Mark(string(k.ID), k.SecretHash, s)); err != nil {
			return
		}
	default:
		return
	}
	a.changes.Publish(models.KeyChanged(k.ID, k.Key))
}

// Uses returns the recorder of key uses.
func (a *Keys) Uses() *KeyUses { return a.uses }

// used notes that a key authenticated a request.
func (a *Keys) used(s *keySnapshot) {
	now := a.now()
	if now.UnixNano()-s.notedAt.Load() < int64(models.KeyUseInterval) {
		return
	}
	s.notedAt.Store(a.uses.note(s.key.ID, now).UnixNano())
}

func (a *Keys) snapshot(ctx context.Context, key, ip string) (*keySnapshot, error) {
	if !apikey.IsKey(key) {
		return nil, ErrBadKey()
	}
	s, err := a.snapshots.Get(ctx, key)
	if models.IsKind(err, models.KindNotFound) {
		return nil, ErrBadKey()
	}
	if err != nil {
		return nil, err
	}
	if !s.key.Usable(a.now()) {
		return nil, ErrBadKey()
	}
	if s.suspended {
		return nil, ErrSuspended()
	}
	if len(s.allowed) > 0 && !allowedFrom(s.allowed, ip) {
		return nil, models.Forbidden("ip_not_allowed", "You called with an API key that does not work from your IP address; this needs one that allows it.")
	}
	return s, nil
}

// ErrBadKey is the same error for a malformed, unknown, expired or revoked key and
// for a wrong secret.
func ErrBadKey() *models.Error {
	return models.Unauthenticated("invalid_api_key", "You called with an invalid API key or secret; this needs a valid key, and its secret where one is sent.")
}

// changed drops the snapshots that a change affects.
func (a *Keys) changed(c models.Change) {
	switch {
	case c.Key != "":
		a.snapshots.Drop(c.Key)
		a.verified.Forget(string(c.KeyID))
	case c.ProjectID != "":
		a.snapshots.DropWhere(func(s *keySnapshot) bool { return s.key.ProjectID == c.ProjectID })
	case c.OrgID != "" && c.SessionID == "":
		a.snapshots.DropWhere(func(s *keySnapshot) bool { return s.key.OrgID == c.OrgID })
	}
}

// allowedFrom reports whether an address is in one of the networks.
func allowedFrom(networks []netip.Prefix, ip string) bool {
	address, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	address = address.Unmap().WithZone("")
	for _, network := range networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

func ErrMoreScopes() *models.Error {
	return models.Forbidden("insufficient_scope",
		"You called with an API key that can't create or change a key with more scopes, a later expiry or more networks than its own; this needs a person's access token.")
}

func ErrKeyRotated() *models.Error {
	return models.Conflict("key_rotated", "This key was rotated; its expiry can't be changed.")
}
