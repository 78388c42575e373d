package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"strings"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/secret"
)

const (
	// refreshRace is how long a used refresh token still works: two tabs of a page
	// may refresh at the same time.
	refreshRace = 10 * time.Second
	// refreshTag is how many bytes of HMAC-SHA-256 authenticate a token.
	refreshTag = 16
)

// Refresh exchanges a refresh token for a new access token and a new refresh token,
// its successor (RFC 9700, section 4.14.2). Errors: unauthenticated
// invalid_refresh_token if it is foreign or expired, or its login session ended;
// unauthenticated refresh_token_reused if it was used before, which ends the login
// session; forbidden organization_suspended.
//
// The last used token returns the same successor again within refreshRace. The
// successor is computed from the token, so the database does not reveal it, and
// both holders continue with one token, whose next separate use still detects
// theft.
//
// A refresh writes no audit entry; the end of a login session does.
func (s *LoginSessions) Refresh(ctx context.Context, shown secret.Value, origin models.Origin) (Login, error) {
	token := shown.Reveal()
	id, _, _ := strings.Cut(token, ".")
	if !ids.Valid(models.SessionPrefix, id) {
		return Login{}, errBadRefreshToken()
	}
	session, err := s.alive(ctx, models.SessionID(id))
	if err != nil {
		return Login{}, err
	}
	now, hash := s.now(), secret.Digest(token)
	if session.RefreshHash == hash {
		next := nextRefresh(s.tokens.refresh[0], session.ID, token)
		expires := now.Add(RefreshTokenTTL)
		if session.OperatorKey != "" {
			expires = session.ExpiresAt
		}
		rotated, err := s.sessions.Rotate(ctx, session.ID, hash, secret.Digest(next), now, expires)
		if err == nil {
			return s.login(&rotated, next, now)
		}
		if !models.IsKind(err, models.KindNotFound) {
			return Login{}, err
		}
		// It has expired, or another request was faster.
		if session, err = s.alive(ctx, session.ID); err != nil {
			return Login{}, err
		}
	}
	switch {
	case session.RefreshHash == hash || !now.Before(session.ExpiresAt):
		return Login{}, errBadRefreshToken()
	case session.PreviousHash == hash && session.RotatedAt != nil && now.Sub(*session.RotatedAt) < refreshRace:
		for _, key := range s.tokens.refresh {
			if next := nextRefresh(key, session.ID, token); secret.Digest(next) == session.RefreshHash {
				return s.login(&session, next, now)
			}
		}
		return Login{}, errBadRefreshToken()
	case session.PreviousHash == hash || s.tokens.issued(session.ID, token):
		return Login{}, s.endReused(ctx, &session, origin)
	}
	// Made up: knowing a session's id is not enough to end it.
	return Login{}, errBadRefreshToken()
}

// alive reads a login session that may continue.
func (s *LoginSessions) alive(ctx context.Context, id models.SessionID) (models.Session, error) {
	session, err := s.sessions.ByID(ctx, id)
	if err == nil {
		_, err = s.person(ctx, session.OrgID, id)
	}
	if models.IsKind(err, models.KindNotFound) {
		return models.Session{}, errBadRefreshToken()
	}
	return session, err
}

// endReused ends a login session whose refresh token was reused. The actor is the
// system, because the sender is unknown. The session ends, so a stolen token adds
// at most one entry to the trail.
func (s *LoginSessions) endReused(ctx context.Context, session *models.Session, origin models.Origin) error {
	system := &models.Principal{Kind: models.CallerSystem, OrgID: session.OrgID, Origin: origin}
	if err := s.endAudited(ctx, system, "session.reuse_detected", session.OrgID, session.ID); err != nil {
		return err
	}
	return models.Unauthenticated("refresh_token_reused",
		"This refresh token was used before, so its login session was ended; log in again.")
}

// Logout ends the caller's login session.
func (s *LoginSessions) Logout(ctx context.Context, actor *models.Principal) error {
	if actor.Kind == models.CallerOperator && actor.SessionID != "" {
		return s.end(ctx, "", actor.SessionID)
	}
	if err := actor.May(models.ActionAccountUpdate); err != nil {
		return err
	}
	return s.endAudited(ctx, actor, "session.ended", actor.OrgID, actor.SessionID)
}

// LogoutToken ends the session of a refresh token, which is all that a page has
// whose access token has expired. A token that is not of a session, or no
// longer, is no error: there is nothing to end.
func (s *LoginSessions) LogoutToken(ctx context.Context, shown secret.Value, origin models.Origin) error {
	token := shown.Reveal()
	id, _, _ := strings.Cut(token, ".")
	if !ids.Valid(models.SessionPrefix, id) {
		return nil
	}
	session, err := s.sessions.ByID(ctx, models.SessionID(id))
	switch {
	case models.IsKind(err, models.KindNotFound):
		return nil
	case err != nil:
		return err
	}
	if hash := secret.Digest(token); hash != session.RefreshHash && hash != session.PreviousHash {
		return nil // knowing a session's id is not enough to end it
	}
	return s.endAudited(ctx, &models.Principal{
		Kind: models.CallerPerson, OrgID: session.OrgID, UserID: session.UserID, SessionID: session.ID, Origin: origin,
	}, "session.ended", session.OrgID, session.ID)
}

// endAudited is end with an entry in the audit trail; the operator's sessions
// are of no organization, and so in no trail.
func (s *LoginSessions) endAudited(ctx context.Context, actor *models.Principal, action string, org models.OrganizationID, id models.SessionID) (err error) {
	if org == "" {
		return s.end(ctx, org, id)
	}
	entry, err := s.trail.Begin(ctx, actor, audit.Event{OrgID: org, Action: action, Type: "session", ID: string(id)})
	if err != nil {
		return err
	}
	defer entry.End(ctx, &err)
	return s.end(ctx, org, id)
}

// end ends a login session: in this process at once, in others within freshFor.
func (s *LoginSessions) end(ctx context.Context, org models.OrganizationID, id models.SessionID) error {
	if err := s.sessions.End(ctx, id); err != nil {
		return err
	}
	s.changes.Publish(models.SessionChanged(org, id))
	return nil
}

// newRefresh makes the first refresh token of a login session: the session's id,
// 256 random bits, and an authentication tag.
func (k tokenKeys) newRefresh(ctx context.Context, id models.SessionID) string {
	var random [sha256.Size]byte
	io.ReadFull(intent.Random(ctx, "refresh token"), random[:]) //nolint:errcheck // neither reader fails or ends
	return writeRefresh(k.refresh[0], id, random[:])
}

// nextRefresh makes the successor of a token.
func nextRefresh(key []byte, id models.SessionID, token string) string {
	return writeRefresh(key, id, sum(key, "next", token))
}

func writeRefresh(key []byte, id models.SessionID, body []byte) string {
	text := string(id) + "." + base64.RawURLEncoding.EncodeToString(body)
	return text + "." + base64.RawURLEncoding.EncodeToString(sum(key, "tag", text)[:refreshTag])
}

// issued reports whether Pulse issued a token for a login session, at any time.
func (k tokenKeys) issued(id models.SessionID, token string) bool {
	at := strings.LastIndexByte(token, '.')
	if at < 0 || !strings.HasPrefix(token, string(id)+".") {
		return false
	}
	for _, key := range k.refresh {
		// Compared as text: base64 decoders accept a trailing line break.
		tag := base64.RawURLEncoding.EncodeToString(sum(key, "tag", token[:at])[:refreshTag])
		if hmac.Equal([]byte(token[at+1:]), []byte(tag)) {
			return true
		}
	}
	return false
}

func sum(key []byte, purpose, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(purpose + "\x00" + text))
	return mac.Sum(nil)
}

func errBadRefreshToken() *models.Error {
	return models.Unauthenticated("invalid_refresh_token", "The refresh token is invalid or has expired; log in again.")
}
