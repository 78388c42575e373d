package webhooks

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/secret"
)

// secretPrefix and secretBytes are those of Standard Webhooks, which wants 24 to
// 64 random bytes.
const (
	secretPrefix = "whsec_"
	secretBytes  = 32
)

// secrets seals the secrets that endpoints' deliveries are signed with.
type secrets struct{ field *database.SealedField }

// fresh makes a secret of an endpoint, to be shown once, and what is stored of it.
func (s secrets) fresh(ctx context.Context, id models.EndpointID) (shown secret.Value, sealed string, err error) {
	raw := make([]byte, secretBytes)
	if _, err := io.ReadFull(intent.Random(ctx, "endpoint secret"), raw); err != nil {
		return secret.Value{}, "", models.Internal(err)
	}
	text := secretPrefix + base64.StdEncoding.EncodeToString(raw)
	sealed, err = s.field.Seal([]byte(text), string(id))
	if err != nil {
		return secret.Value{}, "", models.Internal(err)
	}
	return secret.New(text), sealed, nil
}

// is reports whether the secret of an endpoint is the one shown.
func (s secrets) is(e *models.Endpoint, shown secret.Value) bool {
	plain, err := s.field.Open(e.Secret, string(e.ID))
	return err == nil && shown.Equal(secret.New(string(plain)))
}

// keys gives what deliveries of an endpoint are signed with now: the secret, and
// while it is being rotated the previous one.
func (s secrets) keys(e *models.Endpoint, now time.Time) ([][]byte, error) {
	sealed := []string{e.Secret}
	if e.PreviousSecret != "" && e.PreviousUntil != nil && now.Before(*e.PreviousUntil) {
		sealed = append(sealed, e.PreviousSecret)
	}
	out := make([][]byte, 0, len(sealed))
	for _, text := range sealed {
		plain, err := s.field.Open(text, string(e.ID))
		if err != nil {
			return nil, models.Internal(fmt.Errorf("secret of endpoint %s: %w", e.ID, err))
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(plain), secretPrefix))
		if err != nil {
			return nil, models.Internal(fmt.Errorf("secret of endpoint %s: %w", e.ID, err))
		}
		out = append(out, key)
	}
	return out, nil
}

// sign gives the webhook-signature of a message: one for each key, as Standard
// Webhooks 1.0.0 has it.
func sign(keys [][]byte, id string, at time.Time, body []byte) string {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + ".")) //nolint:errcheck // documented never to fail
		mac.Write(body)                                                      //nolint:errcheck // documented never to fail
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}
