package services

import (
	"context"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/apikey"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/ratelimit"
	"pulse-control-plane/utils/secret"
)

// secretChecksPerMinute bounds how often a secret not yet remembered is
// checked with bcrypt for one key and IP: a good pair is remembered for a
// minute, so only guessing needs more.
const secretChecksPerMinute = 20

// KeyAuth tells who a key, or a key and its secret, belongs to. It answers
// from memory when warm and is the one place that knows which keys work.
type KeyAuth struct {
	snapshots *directory[*keySnapshot]
	hasher    *hashing.Hasher
	verified  *hashing.Verified
	guesses   *ratelimit.Limiter
	// checks lets those who show the same pair at the same time share one.
	checks singleflight.Group
	now    func() time.Time
}

// keySnapshot is a key as it was read, with both principals it can become
// built once, so that a request allocates neither.
type keySnapshot struct {
	key            models.APIKey
	client, server models.Principal
	suspended      bool
}

// KeyAuthOptions of NewKeyAuth.
type KeyAuthOptions struct {
	// CacheSize bounds the snapshots remembered, and the unknown keys.
	CacheSize int
	// Exact tells that no other process changes the database.
	Exact bool
	// RequestsPerMinute is the limit of a project on the free plan that has
	// none of its own; 0 is no limit for any plan (models.Plan).
	RequestsPerMinute int64
	Now               func() time.Time
}

// NewKeyAuth builds the authentication of keys over the repositories it reads.
func NewKeyAuth(keys *database.APIKeys, projects *database.Projects, orgs *database.Organizations,
	hasher *hashing.Hasher, verified *hashing.Verified, o KeyAuthOptions) (*KeyAuth, error) {
	load := func(ctx context.Context, key string) (*keySnapshot, error) {
		k, err := keys.ByKey(ctx, key)
		if err != nil {
			return nil, err
		}
		tenant := models.TenantOf(k.OrgID)
		project, err := projects.Get(ctx, tenant, k.ProjectID)
		if err != nil {
			return nil, err
		}
		org, err := orgs.Get(ctx, tenant, k.OrgID)
		if err != nil {
			return nil, err
		}
		limit := project.Limits.RequestsPerMinute
		if limit == 0 {
			limit = org.Plan.RequestsPerMinute(o.RequestsPerMinute)
		}
		client := models.Principal{
			Kind: models.CallerClientKey, OrgID: k.OrgID, Project: &project, KeyID: k.ID, Scopes: k.Scopes,
			RateKey: string(project.ID), RequestsPerMinute: limit,
		}
		server := client
		server.Kind = models.CallerServerKey
		return &keySnapshot{key: k, client: client, server: server, suspended: org.Suspended()}, nil
	}
	snapshots, err := newDirectory(o.CacheSize, o.Exact, o.Now, load)
	if err != nil {
		return nil, err
	}
	return &KeyAuth{
		snapshots: snapshots, hasher: hasher, verified: verified,
		guesses: ratelimit.New(o.CacheSize, o.Now), now: o.Now,
	}, nil
}

// Client answers for a key alone. unauthenticated if the key is malformed
// (without asking the database), unknown, expired, or its project or
// organization is gone; forbidden organization_suspended.
func (a *KeyAuth) Client(ctx context.Context, key string) (*models.Principal, error) {
	s, err := a.snapshot(ctx, key)
	if err != nil {
		return nil, err
	}
	return &s.client, nil
}

// Server answers for a key and its secret from an IP. unauthenticated as
// Client, or for a wrong secret; rate_limited when this IP guesses too often.
func (a *KeyAuth) Server(ctx context.Context, key string, s secret.Value, ip string) (*models.Principal, error) {
	if !apikey.IsSecret(s.Reveal()) {
		return nil, errBadKey()
	}
	snapshot, err := a.snapshot(ctx, key)
	if err != nil {
		return nil, err
	}
	k := &snapshot.key
	if a.verified.Check(string(k.ID), s, k.SecretHash) {
		return &snapshot.server, nil
	}
	what := strings.Join([]string{string(k.ID), k.SecretHash, ip, s.Reveal()}, " ")
	result := a.checks.DoChan(what, func() (any, error) {
		// The one who asked first may hang up; the others still want to know.
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		return nil, a.check(shared, k, s, ip)
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return nil, r.Err
		}
		return &snapshot.server, nil
	case <-ctx.Done():
		return nil, models.Unavailable(ctx.Err())
	}
}

// check asks bcrypt about a secret, unless somebody just did, and remembers a
// good one.
func (a *KeyAuth) check(ctx context.Context, k *models.APIKey, s secret.Value, ip string) error {
	if a.verified.Check(string(k.ID), s, k.SecretHash) {
		return nil
	}
	if d := a.guesses.Allow(string(k.ID)+"|"+ip, secretChecksPerMinute); !d.Allowed {
		limited := models.NewError(models.KindRateLimited, "too_many_attempts",
			"Too many attempts with this key; wait before trying again.")
		limited.RetryAfter = d.RetryAfter
		return limited
	}
	if err := a.hasher.Compare(ctx, k.SecretHash, s); err != nil {
		if models.IsKind(err, models.KindUnavailable) {
			return err
		}
		return errBadKey()
	}
	a.verified.Remember(string(k.ID), s, k.SecretHash)
	return nil
}

func (a *KeyAuth) snapshot(ctx context.Context, key string) (*keySnapshot, error) {
	if !apikey.IsKey(key) {
		return nil, errBadKey()
	}
	s, err := a.snapshots.get(ctx, key)
	if models.IsKind(err, models.KindNotFound) {
		return nil, errBadKey()
	}
	if err != nil {
		return nil, err
	}
	if !s.key.Usable(a.now()) {
		return nil, errBadKey()
	}
	if s.suspended {
		return nil, errSuspended()
	}
	return s, nil
}

// errBadKey is the same for a mistyped, unknown, expired or revoked key and
// for a wrong secret.
func errBadKey() *models.Error {
	return models.Unauthenticated("invalid_api_key", "The API key or its secret is not valid.")
}

// ForgetKey makes the next request with a key ask the database.
func (a *KeyAuth) ForgetKey(id models.KeyID, key string) {
	a.snapshots.drop(key)
	a.verified.Forget(string(id))
}

// ForgetProject does so for every key of a project.
func (a *KeyAuth) ForgetProject(id models.ProjectID) {
	a.snapshots.dropWhere(func(s *keySnapshot) bool { return s.key.ProjectID == id })
}

// ForgetOrganization does so for every key of an organization.
func (a *KeyAuth) ForgetOrganization(id models.OrganizationID) {
	a.snapshots.dropWhere(func(s *keySnapshot) bool { return s.key.OrgID == id })
}
