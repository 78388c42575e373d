package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/clientip"
	"pulse-control-plane/utils/secret"
)

// DeviceFor is how long a device is recognized after it logged in last.
const DeviceFor = 365 * 24 * time.Hour

// loginsCompared bounds the logins whose addresses are looked at.
const loginsCompared = 100

// devices makes and reads the tokens by which a device that logged in to an
// account is recognized: an id, and a MAC of it and the account's address. They
// give no right; they keep strangers' guesses from locking the device out.
type devices struct {
	// keys are those of JWT_SECRET: the first signs, all verify.
	keys [][]byte
}

func newDevices(keys []secret.Value) devices {
	var d devices
	for _, key := range keys {
		d.keys = append(d.keys, secret.Derive([]byte(key.Reveal()), "devices"))
	}
	return d
}

// issue makes the token of a device that has none.
func (d devices) issue(email string) string { return d.sign(d.keys[0], email, rand.Text()) }

func (devices) sign(key []byte, email, id string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(email + "\x00" + id))
	return id + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// read gives the id of a device whose token is for an account, or "".
func (d devices) read(email, token string) string {
	id, _, _ := strings.Cut(token, ".")
	for _, key := range d.keys {
		if id != "" && hmac.Equal([]byte(d.sign(key, email, id)), []byte(token)) {
			return id
		}
	}
	return ""
}

// beginAttempt counts an attempt at an account's password, or refuses it. Where
// strangers' guesses have used up what the account has, an address that the
// account is logged in from is let through nevertheless, also after a restart.
func (s *LoginSessions) beginAttempt(ctx context.Context, email, ip, device string) (loginAttempt, error) {
	attempt, err := s.throttle.begin(ctx, email, ip, device)
	if device != "" || !models.HasCode(err, "too_many_attempts") || !s.loggedInFrom(ctx, email, ip) {
		return attempt, err
	}
	s.throttle.recognize(email, ip)
	return s.throttle.begin(ctx, email, ip, device)
}

// loggedInFrom tells whether a login session of an account began at an address.
// A database that does not answer is no: the attempt then waits.
func (s *LoginSessions) loggedInFrom(ctx context.Context, email, ip string) bool {
	user, err := s.users.ByEmail(ctx, email)
	if models.IsKind(err, models.KindNotFound) {
		// The same work, so that the time of a refusal tells nothing.
		user, err = models.User{ID: "usr_", OrgID: "org_"}, nil
	}
	if err != nil {
		return false
	}
	logins, err := s.sessions.Of(ctx, models.TenantOf(user.OrgID), user.ID, s.now(), database.Page{Limit: loginsCompared})
	if err != nil {
		return false
	}
	for i := range logins {
		if logins[i].IP != "" && clientip.BucketOf(logins[i].IP) == clientip.BucketOf(ip) {
			return true
		}
	}
	return false
}
