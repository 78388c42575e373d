package auth

import (
	"context"
	"encoding/hex"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/clientip"
	"pulse-control-plane/utils/secret"
)

const (
	// OperatorSessionTTL is how long a session of the operator lasts, however it
	// is used.
	OperatorSessionTTL = 8 * time.Hour
	// operatorSubject stands for a person's id in the operator's access tokens.
	operatorSubject = "operator"
)

// OperatorLogin opens a session for the operator token, so that a page need not
// keep it. unauthenticated invalid_credentials for another token, or where
// there is no operator; rate_limited too_many_attempts.
func (s *LoginSessions) OperatorLogin(ctx context.Context, shown secret.Value, origin models.Origin) (Login, error) {
	// By address alone: nobody guesses such a token, and strangers who try must
	// not keep the operator out.
	attempt, err := s.throttle.begin(ctx, operatorSubject, origin.IP, clientip.BucketOf(origin.IP))
	if err != nil {
		return Login{}, err
	}
	if s.operator.IsZero() || !s.operator.Equal(shown) {
		return Login{}, models.Unauthenticated(badCredentials, "The operator token is wrong.")
	}
	attempt.succeed(ctx)
	now, id := s.now(), newSessionID(ctx)
	refresh := s.tokens.newRefresh(ctx, id)
	session := models.Session{
		ID: id, RefreshHash: secret.Digest(refresh), OperatorKey: s.operatorKey, CreatedAt: now, ExpiresAt: now.Add(OperatorSessionTTL),
		IP: origin.IP, UserAgent: shortAgent(origin.UserAgent),
	}
	if err := s.sessions.Insert(ctx, &session); err != nil {
		return Login{}, err
	}
	return s.login(&session, refresh, now)
}

// operatorKeyOf is what sessions of an operator token hold of it.
func operatorKeyOf(keys []secret.Value, operator secret.Value) string {
	if len(keys) == 0 || operator.IsZero() {
		return ""
	}
	return hex.EncodeToString(sum(secret.Derive([]byte(keys[0].Reveal()), "operator sessions"), "operator", operator.Reveal()))
}

// loadOperator reads a session of the operator; not_found if it has ended or
// was opened with another token.
func loadOperator(ctx context.Context, sessions *database.Sessions, id models.SessionID, key string) (*personSnapshot, error) {
	session, err := sessions.ByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if key == "" || session.OperatorKey != key {
		return nil, models.NotFound()
	}
	return &personSnapshot{principal: models.Principal{Kind: models.CallerOperator, SessionID: id}}, nil
}
