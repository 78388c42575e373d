package hashing

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/crypto/bcrypt"

	"pulse-control-plane/utils/fair"
	"pulse-control-plane/utils/secret"
)

const (
	// maxWait is how long a check may wait for its turn. Longer means that more
	// is asked than the machine can compute, and a quick "try again" serves
	// callers better than a queue.
	maxWait = 3 * time.Second
	// maxShareWaiting and maxWaiting bound how many wait, of one share and in all:
	// what waits beyond that would not get its turn in time.
	// Few are refused at once: one that waits does not ask again meanwhile.
	maxShareWaiting, maxWaiting = 128, 1024
)

// shareKey is where a context keeps its share.
type shareKey struct{}

// WithShare counts the work of a context against a share, such as an IP address:
// shares take turns, so that one that asks without end holds up no other for
// longer than a turn. Work without one is a share together.
func WithShare(ctx context.Context, share string) context.Context {
	return context.WithValue(ctx, shareKey{}, share)
}

// passwordDomain keys the pre-hash of passwords. It is public: its purpose is
// that the digest under bcrypt is found in no other site's leaked SHA-256
// digests. It is not API_KEY_PEPPER, so that people can still sign in, and
// make new keys, after that was changed.
const passwordDomain = "pulse-control-plane password v1"

// dummySalted completes "$2a$<cost>$" to a well-formed bcrypt hash (22
// characters of salt, 31 of digest) that belongs to no known password.
const dummySalted = "PulsePulsePulsePulsePu" + "000000000000000000000000000000O"

// ErrMismatch says that a secret or password does not belong to the hash.
var ErrMismatch = errors.New("hashing: mismatch")

// Hasher hashes and checks with bcrypt. It is safe for concurrent use.
type Hasher struct {
	// peppers are those of API_KEY_PEPPER: the first hashes, each checks.
	peppers []pepper
	cost    int
	dummy   string
	turns   *fair.Queue
}

// pepper keys the hashes of API secrets.
type pepper struct {
	id  string
	key []byte
	// marks keys Mark.
	marks []byte
}

// NewHasher makes a Hasher. The pepper (API_KEY_PEPPER) goes into the hashes
// of API secrets; older ones are for checking only. cost is bcrypt's, 4 to 31,
// and each step doubles the time.
func NewHasher(current secret.Value, cost int, older ...secret.Value) (*Hasher, error) {
	var peppers []pepper
	for _, p := range append([]secret.Value{current}, older...) {
		if p.IsZero() {
			return nil, errors.New("hashing: the pepper is empty")
		}
		peppers = append(peppers, pepper{secret.KeyID(p), []byte(p.Reveal()), secret.Derive([]byte(p.Reveal()), "marks of API secrets")})
	}
	if cost < bcrypt.MinCost || cost > bcrypt.MaxCost {
		return nil, fmt.Errorf("hashing: bcrypt's cost is %d to %d, not %d", bcrypt.MinCost, bcrypt.MaxCost, cost)
	}
	return &Hasher{
		peppers: peppers,
		cost:    cost,
		dummy:   fmt.Sprintf("$2a$%02d$%s", cost, dummySalted),
		turns:   fair.New(fair.Config{Slots: runtime.GOMAXPROCS(0), Wait: maxWait, PerShare: maxShareWaiting, Most: maxWaiting}),
	}, nil
}

// Peppered is the hash of an API secret and the id of the pepper in it, "" in
// hashes older than that id.
type Peppered struct{ Hash, Pepper string }

// Pepper is the id of the pepper in new hashes.
func (h *Hasher) Pepper() string { return h.peppers[0].id }

// Hash gives the bcrypt hash of an API secret under the current pepper. Errors
// wrap context.DeadlineExceeded or context.Canceled when no turn came in time or
// ctx ended.
func (h *Hasher) Hash(ctx context.Context, confidential secret.Value) (Peppered, error) {
	hash, err := h.hash(ctx, prehash(h.peppers[0].key, confidential))
	return Peppered{hash, h.Pepper()}, err
}

// Compare checks an API secret against its hash, under every pepper if the hash
// does not name its own. mismatched reports that the secret was found not to belong
// to the hash under a pepper at least, also where an error ended the work before the
// others: who limits guesses counts such an attempt as one. Errors: ErrMismatch, also
// if its pepper is not known; those of Hash; another when the hash is damaged.
func (h *Hasher) Compare(ctx context.Context, stored Peppered, confidential secret.Value) (mismatched bool, err error) {
	for _, p := range h.peppers {
		if stored.Pepper != "" && stored.Pepper != p.id {
			continue
		}
		if err = h.compare(ctx, stored.Hash, prehash(p.key, confidential)); !errors.Is(err, ErrMismatch) {
			return mismatched, err
		}
		mismatched = true
	}
	return true, ErrMismatch
}

// HashPassword gives the bcrypt hash of a person's password. Errors as Hash.
func (h *Hasher) HashPassword(ctx context.Context, password secret.Value) (string, error) {
	return h.hash(ctx, prehash([]byte(passwordDomain), password))
}

// ComparePassword checks a person's password against its hash. Errors as
// Compare.
func (h *Hasher) ComparePassword(ctx context.Context, hash string, password secret.Value) error {
	return h.compare(ctx, hash, prehash([]byte(passwordDomain), password))
}

// CompareDummy takes as long as ComparePassword does and never succeeds: what
// to do for an unknown e-mail address, so that the time of an answer does not
// tell which addresses exist. Errors: ErrMismatch or those of Hash.
func (h *Hasher) CompareDummy(ctx context.Context, password secret.Value) error {
	if err := h.ComparePassword(ctx, h.dummy, password); err != nil {
		return err
	}
	return ErrMismatch
}

// Stale reports whether a hash was made with another cost than is configured now;
// hash again when the plain text is next at hand.
func (h *Hasher) Stale(hash string) bool {
	cost, err := bcrypt.Cost([]byte(hash))
	return err != nil || cost != h.cost
}

// prehash makes of a text of any length and content 44 characters, because
// bcrypt reads no further than 72 bytes and some implementations stop at NUL.
func prehash(key []byte, confidential secret.Value) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(confidential.Reveal()))
	return base64.StdEncoding.AppendEncode(nil, mac.Sum(nil))
}

func (h *Hasher) hash(ctx context.Context, digest []byte) (string, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	hash, err := bcrypt.GenerateFromPassword(digest, h.cost)
	if err != nil {
		return "", fmt.Errorf("hashing: %w", err)
	}
	return string(hash), nil
}

func (h *Hasher) compare(ctx context.Context, hash string, digest []byte) error {
	leave, err := h.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	switch err = bcrypt.CompareHashAndPassword([]byte(hash), digest); {
	case err == nil:
		return nil
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
		return ErrMismatch
	default:
		return fmt.Errorf("hashing: a stored hash is damaged: %w", err)
	}
}

// enter waits for one of the GOMAXPROCS turns.
func (h *Hasher) enter(ctx context.Context) (leave func(), err error) {
	share, _ := ctx.Value(shareKey{}).(string)
	leave, err = h.turns.Enter(ctx, share)
	if errors.Is(err, fair.ErrBusy) {
		err = fmt.Errorf("%w: %w", err, context.DeadlineExceeded)
	}
	if err != nil {
		return nil, fmt.Errorf("hashing: waiting for a turn at bcrypt: %w", err)
	}
	return leave, nil
}
