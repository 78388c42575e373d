package auth

import (
	"context"
	"crypto/hmac"
	_ "embed"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"text/template"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/utils/clientip"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

//go:embed reset.txt
var resetText string

const (
	// resetsPerPass bounds the mails of one pass, and resetRetry is the wait
	// after one that was not sent.
	resetsPerPass = 20
	resetRetry    = time.Minute
)

// PasswordResets let people who forgot their password set a new one by mail.
//
// A token is signed and names the version of the password it replaces: the first
// use makes another version, so that it works once without being stored.
type PasswordResets struct {
	c    PasswordResetsConfig
	keys [][]byte
	text *template.Template
}

// PasswordResetsConfig of NewPasswordResets; every field but Mail and URL is
// required.
type PasswordResetsConfig struct {
	Store    *database.PasswordResets
	Sessions *LoginSessions
	Now      func() time.Time
	// Keys of JWT_SECRET: the first signs, all verify.
	Keys []secret.Value
	// Mail sends a text to an address; without it nobody can reset a password.
	Mail func(ctx context.Context, to, subject, text string) error `optional:"true"`
	// URL is the page that mails link to, with "#token=" and the token after it,
	// where no server logs it; "" puts the token itself into mails.
	URL string
}

// NewPasswordResets builds the service. It fails if a required field is missing.
func NewPasswordResets(c PasswordResetsConfig) (*PasswordResets, error) {
	text, err := template.New("reset").Parse(resetText)
	s := &PasswordResets{c: c, text: text}
	for _, key := range c.Keys {
		s.keys = append(s.keys, secret.Derive([]byte(key.Reveal()), "password resets"))
	}
	return s, errors.Join(err, required.Fields(c))
}

// Forgot asks for a link for an address. It looks nothing up: the answer and its
// time are the same whether the address is a person's. An address gets one mail
// a minute.
func (s *PasswordResets) Forgot(ctx context.Context, email string) error {
	if s.c.Mail == nil {
		return nil
	}
	now, email := s.c.Now(), models.FoldEmail(email)
	return s.c.Store.Insert(ctx, &models.PasswordReset{
		ID:    "pwr_" + secret.Digest(email+"|"+strconv.FormatInt(now.Unix()/60, 10)),
		Email: email, NextAt: now, CreatedAt: now, ExpiresAt: now.Add(models.PasswordResetTTL),
	})
}

// Send mails the links that wait, up to resetsPerPass. One that could not be
// mailed is tried again until it expires.
func (s *PasswordResets) Send(ctx context.Context) error {
	if s.c.Mail == nil {
		return nil
	}
	for range resetsPerPass {
		now := s.c.Now()
		reset, err := s.c.Store.Claim(ctx, now, now.Add(resetRetry))
		if models.IsKind(err, models.KindNotFound) {
			return nil
		}
		if err == nil {
			err = s.send(ctx, reset, now)
		}
		if err == nil {
			err = s.c.Store.Done(ctx, reset.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// send mails one link, unless the address is nobody's.
func (s *PasswordResets) send(ctx context.Context, reset models.PasswordReset, now time.Time) error {
	user, err := s.c.Sessions.users.ByEmail(ctx, reset.Email)
	if models.IsKind(err, models.KindNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	expires := now.Add(models.PasswordResetTTL)
	token := s.sign(s.keys[0], &user, expires)
	link := ""
	if s.c.URL != "" {
		link = s.c.URL + "#token=" + token
	}
	var text strings.Builder
	if err := s.text.Execute(&text, map[string]any{"Email": models.AddressInText(user.Email, "your account"), "Link": link, "Token": token, "ExpiresAt": expires}); err != nil {
		return models.Internal(err)
	}
	err = s.c.Mail(ctx, user.Email, "Set a new password on Pulse", text.String())
	if models.HasCode(err, "too_many_mails") {
		return nil // those before it are still good
	}
	return err
}

func (s *PasswordResets) sign(key []byte, user *models.User, expires time.Time) string {
	claims := strings.Join([]string{string(user.ID), string(user.OrgID), strconv.FormatInt(user.PasswordVersion, 10), strconv.FormatInt(expires.Unix(), 10)}, ".")
	return claims + "." + base64.RawURLEncoding.EncodeToString(sum(key, "reset", claims))
}

// ResetInput sets a new password with a token.
type ResetInput struct {
	Token, Password secret.Value
	Origin          models.Origin
}

// Reset sets a new password and ends every login session of the person. invalid
// (invalid_reset_token) for a token that is made up, used or expired, or whose
// person is gone.
func (s *PasswordResets) Reset(ctx context.Context, in ResetInput) (err error) {
	user, err := s.read(ctx, in.Token.Reveal())
	if err != nil {
		return err
	}
	sessions := s.c.Sessions
	hash, err := sessions.hasher.HashPassword(hashing.WithShare(ctx, clientip.BucketOf(in.Origin.IP)), in.Password)
	if err != nil {
		return err
	}
	entry, err := sessions.trail.Begin(ctx, &models.Principal{
		Kind: models.CallerPerson, OrgID: user.OrgID, UserID: user.ID, Origin: in.Origin,
	}, audit.Event{OrgID: user.OrgID, Action: "password.reset", Type: "user", ID: string(user.ID), After: map[string]any{"password": in.Password}})
	if err != nil {
		return err
	}
	defer entry.End(ctx, &err)
	_, err = sessions.users.SetPassword(ctx, models.TenantOf(user.OrgID), user.ID, user.PasswordVersion, hash, s.c.Now())
	if models.IsKind(err, models.KindNotFound) {
		return errBadReset() // used at the same time
	}
	if err != nil {
		return err
	}
	// The failures were guesses at the old password.
	sessions.throttle.failures.Clear(ctx, countedAs("account", models.FoldEmail(user.Email)))
	err = sessions.sessions.EndOthers(ctx, user.ID, "")
	sessions.changes.Publish(models.UserChanged(user.ID))
	return err
}

// read gives the person of a token that is good.
func (s *PasswordResets) read(ctx context.Context, token string) (models.User, error) {
	at := strings.LastIndexByte(token, '.')
	parts := strings.Split(token, ".")
	if at < 0 || len(parts) != 5 || !s.signed(token[:at], token[at+1:]) {
		return models.User{}, errBadReset()
	}
	expires, err := strconv.ParseInt(parts[3], 10, 64)
	if err != nil || !s.c.Now().Before(time.Unix(expires, 0)) || !ids.Valid(models.UserPrefix, parts[0]) {
		return models.User{}, errBadReset()
	}
	user, err := s.c.Sessions.users.Get(ctx, models.TenantOf(models.OrganizationID(parts[1])), models.UserID(parts[0]))
	switch {
	case models.IsKind(err, models.KindNotFound), err == nil && strconv.FormatInt(user.PasswordVersion, 10) != parts[2]:
		return models.User{}, errBadReset()
	}
	return user, err
}

func (s *PasswordResets) signed(claims, tag string) bool {
	for _, key := range s.keys {
		if hmac.Equal([]byte(tag), []byte(base64.RawURLEncoding.EncodeToString(sum(key, "reset", claims)))) {
			return true
		}
	}
	return false
}

func errBadReset() *models.Error {
	refused := models.NewError(models.KindInvalid, "invalid_reset_token", "This link is not valid: it may have been used or have expired.")
	refused.Fields = []models.FieldError{{Location: "token", Message: "is not a token that works"}}
	return refused
}
