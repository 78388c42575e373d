package idempotency

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/required"
)

const (
	// idempotencyTries bounds the attempts to take a key that other requests free
	// and take at the same time.
	idempotencyTries = 3
	// idempotencyWrite bounds storing a response, or freeing a key, after the
	// caller may have disconnected.
	idempotencyWrite = 5 * time.Second
	// endedKept is how many ended attempts a process remembers.
	endedKept = 10_000
)

// Store returns the first response to a repeated request
// (draft-ietf-httpapi-idempotency-key-header; Stripe's rules where it is silent).
type Store struct {
	c Config
	// ended are the locks of attempts of this process that run no more, whatever
	// of that could be stored.
	ended *lru.Cache[string, struct{}]
}

// Config of NewStore; every field is required.
type Config struct {
	Keys    *database.IdempotencyKeys
	Storage *database.IdempotencyStorage
	// Seed and Answer seal those fields of the keys.
	Seed, Answer *database.SealedField
	// Fingerprints are the keys of requests' fingerprints: the first makes them,
	// each of them may have made a stored one.
	Fingerprints [][]byte
	Now          func() time.Time
}

// NewStore keeps answers. It fails if a required field is missing.
func NewStore(c Config) (*Store, error) {
	if err := required.Fields(c); err != nil {
		return nil, err
	}
	if len(c.Fingerprints) == 0 {
		return nil, errors.New("idempotency: Fingerprints are required")
	}
	ended, err := lru.New[string, struct{}](endedKept)
	if err != nil {
		return nil, err
	}
	return &Store{c: c, ended: ended}, nil
}

// Request is a request with an Idempotency-Key.
type Request struct {
	Key string
	// Route is the method and the path with the query.
	Route string
	Body  []byte
	// IP, or its network, stands for a caller without a credential.
	IP string
}

// Answer is a stored response.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte
	// Cookies are Set-Cookie lines: one may hold what the body then leaves out.
	Cookies []string
}

// Attempt is a running request that holds its key.
type Attempt struct {
	service          *Store
	tenant, id, lock string
	// Intent is what the ids and secrets of the request are made of.
	Intent intent.Intent
}

// Begin takes the key of a request. Exactly one of the results is set: the
// attempt that now runs, or the first answer to the same request. invalid for a
// key of no or more than models.MaxIdempotencyKey characters; conflict
// idempotency_key_reused for another request, or another caller of the tenant,
// request_in_progress while the first one runs; rate_limited
// idempotency_storage_full while the tenant's answers take all there is for
// them.
func (s *Store) Begin(ctx context.Context, actor *models.Principal, r Request) (*Attempt, *Answer, error) {
	now, tenant := s.c.Now(), tenantOf(actor, r)
	fresh := models.IdempotencyKey{
		ID: hash(tenant, r.Key), Fingerprint: fingerprint(s.c.Fingerprints[0], actor, r), Lock: rand.Text(),
		LockedUntil: now.Add(models.IdempotencyLease), CreatedAt: now, ExpiresAt: now.Add(models.IdempotencyTTL),
	}
	attempt := &Attempt{service: s, tenant: tenant, id: fresh.ID, lock: fresh.Lock, Intent: intent.Intent{Seed: make([]byte, intent.SeedSize), At: now}}
	rand.Read(attempt.Intent.Seed) //nolint:errcheck // documented never to fail
	var err error
	if fresh.Seed, err = s.c.Seed.Seal(attempt.Intent.Seed, fresh.ID); err != nil {
		return nil, nil, models.Internal(err)
	}
	for range idempotencyTries {
		err := s.c.Keys.Insert(ctx, &fresh)
		if !models.IsKind(err, models.KindConflict) {
			return s.begun(ctx, attempt, now, err)
		}
		held, err := s.c.Keys.Get(ctx, fresh.ID)
		switch {
		case models.IsKind(err, models.KindNotFound):
			continue // freed meanwhile
		case err != nil:
			return nil, nil, err
		case !now.Before(held.ExpiresAt):
			// Expired and not deleted yet.
		case !s.same(held.Fingerprint, actor, r):
			return nil, nil, models.Conflict("idempotency_key_reused", "This Idempotency-Key was used for another request.")
		case held.Done:
			return s.replay(&held)
		case now.Before(held.LockedUntil) && !s.ended.Contains(held.Lock):
			return nil, nil, errInProgress()
		case held.Seed != "":
			if err := s.resume(attempt, &held, &fresh); err != nil {
				return nil, nil, err
			}
		}
		if err := s.c.Keys.Take(ctx, &held, &fresh); !models.IsKind(err, models.KindNotFound) {
			return s.begun(ctx, attempt, now, err)
		}
	}
	return nil, nil, errInProgress()
}

// resume makes an attempt go on where an earlier one ended.
func (s *Store) resume(a *Attempt, held, fresh *models.IdempotencyKey) error {
	seed, err := s.c.Seed.Open(held.Seed, held.ID)
	if err != nil {
		return models.Internal(err)
	}
	a.Intent = intent.Intent{Seed: seed, At: held.CreatedAt, Resumed: true}
	fresh.Seed, fresh.CreatedAt, fresh.ExpiresAt = held.Seed, held.CreatedAt, held.ExpiresAt
	return nil
}

// begun gives an attempt that took its key, or frees the key again if the tenant
// has stored as much as it may.
func (s *Store) begun(ctx context.Context, a *Attempt, now time.Time, err error) (*Attempt, *Answer, error) {
	if err != nil {
		s.ended.Add(a.lock, struct{}{}) // it may be stored, and nothing will run
		return nil, nil, err
	}
	// What an earlier attempt began is finished, whatever that takes.
	if !a.Intent.Resumed {
		if err := s.full(ctx, a.tenant, now); err != nil {
			a.Release(ctx)
			return nil, nil, err
		}
	}
	return a, nil, nil
}

func errInProgress() *models.Error {
	e := models.Conflict("request_in_progress", "The first request with this Idempotency-Key is still running.")
	e.RetryAfter = time.Second
	return e
}

func (s *Store) replay(held *models.IdempotencyKey) (*Attempt, *Answer, error) {
	body, err := s.c.Answer.Open(held.Answer, held.ID)
	if err != nil {
		return nil, nil, models.Internal(err)
	}
	answer := &Answer{Status: held.Status, ContentType: held.ContentType}
	answer.unpack(body)
	return nil, answer, nil
}

// Complete stores the response for repeated requests, even after the caller
// disconnected, because that is when it is needed.
func (a *Attempt) Complete(ctx context.Context, answer Answer) error {
	defer a.service.ended.Add(a.lock, struct{}{})
	sealed, err := a.service.c.Answer.Seal(answer.pack(), a.id)
	if err != nil {
		return models.Internal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), idempotencyWrite)
	defer cancel()
	// Counted first: a crash in between counts too much for a day, never too little.
	if err := a.service.store(ctx, a.tenant, len(sealed)+len(answer.ContentType)); err != nil {
		return err
	}
	return a.service.c.Keys.Complete(ctx, a.id, a.lock, answer.Status, answer.ContentType, sealed)
}

// Release frees the key of a request without effect, so that repeating it runs it
// again. If it can't be written, its lease ends, in this process at once.
func (a *Attempt) Release(ctx context.Context) {
	if a.Intent.Resumed { // an earlier attempt may have had an effect
		a.Suspend(ctx)
		return
	}
	a.service.ended.Add(a.lock, struct{}{})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), idempotencyWrite)
	defer cancel()
	_ = a.service.c.Keys.Release(ctx, a.id, a.lock)
}

// Suspend ends an attempt whose outcome is unknown: repeating the request finds
// or finishes what it made. If it can't be written, its lease ends, in this
// process at once.
func (a *Attempt) Suspend(ctx context.Context) {
	a.service.ended.Add(a.lock, struct{}{})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), idempotencyWrite)
	defer cancel()
	_ = a.service.c.Keys.Unlock(ctx, a.id, a.lock, a.service.c.Now())
}

// tenantOf names who shares keys: a tenant, the grades of its keys apart, so
// that a public key takes no key from a server. Callers without a credential
// are kept apart by address.
func tenantOf(actor *models.Principal, r Request) string {
	switch actor.Kind {
	case models.CallerNobody:
		return "ip|" + r.IP
	case models.CallerClientKey:
		return string(actor.Kind) + "|" + actor.Tenant().Key()
	default:
		return actor.Tenant().Key()
	}
}

// hash gives a text without what it is made of.
func hash(parts ...string) string {
	sum := sha256.Sum256(joined(parts...))
	return hex.EncodeToString(sum[:])
}

// fingerprint distinguishes requests, also by caller, because a response may contain
// what only its first caller may see.
func fingerprint(key []byte, actor *models.Principal, r Request) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(joined(string(actor.Kind), string(actor.UserID), string(actor.KeyID), r.Route, string(r.Body)))
	return hex.EncodeToString(mac.Sum(nil))
}

// same reports whether a stored fingerprint is that of a request.
func (s *Store) same(stored string, actor *models.Principal, r Request) bool {
	for _, key := range s.c.Fingerprints {
		if stored == fingerprint(key, actor, r) {
			return true
		}
	}
	return false
}

// joined joins texts with their lengths, so that no two lists have the same bytes.
func joined(parts ...string) []byte {
	var out []byte
	for _, part := range parts {
		out = binary.AppendUvarint(out, uint64(len(part)))
		out = append(out, part...)
	}
	return out
}
