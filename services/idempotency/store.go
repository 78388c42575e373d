package idempotency

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

const (
	// idempotencyTries bounds the attempts to take a key that other requests free
	// and take at the same time.
	idempotencyTries = 3
	// idempotencyWrite bounds storing a response, or freeing a key, after the
	// caller may have disconnected.
	idempotencyWrite = 5 * time.Second
)

// Store returns the first response to a repeated request
// (draft-ietf-httpapi-idempotency-key-header; Stripe's rules where it is silent).
type Store struct {
	keys    *database.IdempotencyKeys
	storage *database.IdempotencyStorage
	box     *secret.Box
	mac     []byte
	now     func() time.Time
}

// NewStore keeps answers sealed under keys derived from a master key.
func NewStore(keys *database.IdempotencyKeys, storage *database.IdempotencyStorage, master []byte, now func() time.Time) (*Store, error) {
	box, err := secret.NewBox(secret.Derive(master, "idempotency answers"))
	if err != nil {
		return nil, err
	}
	return &Store{keys: keys, storage: storage, box: box, mac: secret.Derive(master, "idempotency fingerprints"), now: now}, nil
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
}

// Attempt is a running request that holds its key.
type Attempt struct {
	service          *Store
	tenant, id, lock string
}

// Begin takes the key of a request. Exactly one of the results is set: the
// attempt that now runs, or the first answer to the same request. invalid for a
// key of no or more than models.MaxIdempotencyKey characters; conflict
// idempotency_key_reused for another request, or another caller of the tenant,
// request_in_progress while the first one runs; rate_limited
// idempotency_storage_full while the tenant's answers take all there is for
// them.
func (s *Store) Begin(ctx context.Context, actor *models.Principal, r Request) (*Attempt, *Answer, error) {
	now, tenant := s.now(), tenantOf(actor, r)
	fresh := models.IdempotencyKey{
		ID: hash(tenant, r.Key), Fingerprint: s.fingerprint(actor, r), Lock: rand.Text(),
		LockedUntil: now.Add(models.IdempotencyLease), CreatedAt: now, ExpiresAt: now.Add(models.IdempotencyTTL),
	}
	attempt := &Attempt{service: s, tenant: tenant, id: fresh.ID, lock: fresh.Lock}
	for range idempotencyTries {
		err := s.keys.Insert(ctx, &fresh)
		if !models.IsKind(err, models.KindConflict) {
			return s.unlessFull(ctx, attempt, now, err)
		}
		held, err := s.keys.Get(ctx, fresh.ID)
		switch {
		case models.IsKind(err, models.KindNotFound):
			continue // freed meanwhile
		case err != nil:
			return nil, nil, err
		case !now.Before(held.ExpiresAt):
			// Expired and not deleted yet.
		case held.Fingerprint != fresh.Fingerprint:
			return nil, nil, models.Conflict("idempotency_key_reused", "This Idempotency-Key was used for another request.")
		case held.Done:
			return s.replay(&held)
		case now.Before(held.LockedUntil):
			return nil, nil, errInProgress()
		}
		if err := s.keys.Take(ctx, &held, &fresh); !models.IsKind(err, models.KindNotFound) {
			return s.unlessFull(ctx, attempt, now, err)
		}
	}
	return nil, nil, errInProgress()
}

// unlessFull gives an attempt that took its key, or frees the key again if the
// tenant has stored as much as it may.
func (s *Store) unlessFull(ctx context.Context, a *Attempt, now time.Time, err error) (*Attempt, *Answer, error) {
	if err == nil {
		if err = s.full(ctx, a.tenant, now); err == nil {
			return a, nil, nil
		}
		_ = a.Release(ctx) // otherwise its lease runs out
	}
	return nil, nil, err
}

func errInProgress() *models.Error {
	e := models.Conflict("request_in_progress", "The first request with this Idempotency-Key is still running.")
	e.RetryAfter = time.Second
	return e
}

func (s *Store) replay(held *models.IdempotencyKey) (*Attempt, *Answer, error) {
	body, err := s.box.Open(held.Answer, held.ID)
	if err != nil {
		return nil, nil, models.Internal(err)
	}
	return nil, &Answer{Status: held.Status, ContentType: held.ContentType, Body: body}, nil
}

// Complete stores the response for repeated requests, even after the caller
// disconnected, because that is when it is needed.
func (a *Attempt) Complete(ctx context.Context, answer Answer) error {
	sealed, err := a.service.box.Seal(answer.Body, a.id)
	if err != nil {
		return models.Internal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), idempotencyWrite)
	defer cancel()
	// Counted first: a crash in between counts too much for a day, never too little.
	if err := a.service.store(ctx, a.tenant, len(sealed)+len(answer.ContentType)); err != nil {
		return err
	}
	return a.service.keys.Complete(ctx, a.id, a.lock, answer.Status, answer.ContentType, sealed)
}

// Release frees the key of a request without effect, so that repeating it runs it
// again.
func (a *Attempt) Release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), idempotencyWrite)
	defer cancel()
	return a.service.keys.Release(ctx, a.id, a.lock)
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
func (s *Store) fingerprint(actor *models.Principal, r Request) string {
	mac := hmac.New(sha256.New, s.mac)
	mac.Write(joined(string(actor.Kind), string(actor.UserID), string(actor.KeyID), r.Route, string(r.Body)))
	return hex.EncodeToString(mac.Sum(nil))
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
