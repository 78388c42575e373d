package data

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

// The secrets that a database depends on, by the names of their settings.
const (
	DataKey      = "DATA_KEY"
	APIKeyPepper = "API_KEY_PEPPER"
	JWTSecret    = "JWT_SECRET"
)

const (
	// printIterations slows down guessing: secrets of development may be short.
	// Those of production have 256 random bits, which nobody guesses.
	printIterations = 20_000
	printSize       = 16
	saltSize        = 16
	// recordTries bounds the conflicts with other processes that start.
	recordTries = 10
)

// Secrets are the values of each secret: several while it is rotated, none if it
// is not set.
type Secrets map[string][]secret.Value

// printOf is the fingerprint of one value: PBKDF2-HMAC-SHA-256 (RFC 8018) with
// the database's salt.
func printOf(name string, value secret.Value, salt []byte) string {
	key, err := pbkdf2.Key(sha256.New, name+"\x00"+value.Reveal(), salt, printIterations, printSize)
	if err != nil {
		panic(err) // only for lengths beyond RFC 8018
	}
	return base64.RawURLEncoding.EncodeToString(key)
}

func printsOf(name string, values []secret.Value, salt []byte) []string {
	prints := make([]string, 0, len(values))
	for _, v := range values {
		prints = append(prints, printOf(name, v, salt))
	}
	return prints
}

// known tells whether one of some values has the fingerprint.
func known(f *models.Fingerprint, values []secret.Value) bool {
	for _, p := range printsOf(f.Name, values, f.Salt) {
		if slices.Contains(f.Prints, p) {
			return true
		}
	}
	return false
}

// Recognise compares the secrets of a start with those that the database was
// made with, and records them: at the first start, and when values were added or
// removed in a rotation. A JWT_SECRET that was replaced as a whole ends login
// sessions and nothing else, so it is recorded with a warning.
//
// Without the DATA_KEY or API_KEY_PEPPER that the database was made with it is
// misconfigured, with every secret that differs in the message: sealed values
// could not be read, or no API key would work. accept records the secrets all the
// same.
func Recognise(ctx context.Context, e database.Engine, given Secrets, accept bool, log zerolog.Logger) error {
	store := database.NewFingerprints(e)
	var err error
	for range recordTries {
		if err = recognise(ctx, store, given, accept, log); !models.IsKind(err, models.KindConflict) {
			return err
		}
	}
	return err
}

func recognise(ctx context.Context, store *database.Fingerprints, given Secrets, accept bool, log zerolog.Logger) error {
	stored, err := store.All(ctx)
	if err != nil {
		return err
	}
	byName := map[string]*models.Fingerprint{}
	var differ []string
	for i := range stored {
		f := &stored[i]
		byName[f.Name] = f
		if values, used := given[f.Name]; used && !known(f, values) {
			differ = append(differ, f.Name)
		}
	}
	lost := slices.Contains(differ, DataKey) || slices.Contains(differ, APIKeyPepper)
	if lost && !accept {
		return models.Misconfigured("other_secrets", fmt.Sprintf(
			"The database was made with other secrets than those of this configuration: %s. "+
				"Bring the ones it was made with (in development they are in secrets.json of its DATA_DIR). "+
				"If they are lost, `pulse-control-plane migrate --accept-secrets` records the new ones; what the old ones sealed or hashed stays unreadable.",
			strings.Join(differ, ", ")))
	}
	if len(differ) > 0 {
		log.Warn().Strs("secrets", differ).Msg("secrets were replaced; what depends on the previous values is no longer valid")
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if err := record(ctx, store, byName[name], name, given[name]); err != nil {
			return err
		}
	}
	return nil
}

// record stores the fingerprints of a secret's values unless they are stored.
func record(ctx context.Context, store *database.Fingerprints, f *models.Fingerprint, name string, values []secret.Value) error {
	if f == nil {
		salt := make([]byte, saltSize)
		_, _ = rand.Read(salt) // never fails
		return store.Insert(ctx, &models.Fingerprint{Name: name, Salt: salt, Prints: printsOf(name, values, salt), Version: 1})
	}
	prints := printsOf(name, values, f.Salt)
	if slices.Equal(prints, f.Prints) {
		return nil
	}
	f.Prints = prints
	return store.Replace(ctx, f)
}
