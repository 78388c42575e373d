package middleware

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/authorization"
	"pulse-control-plane/utils/secret"
)

// KeyAuthenticator gives the principal of a key, with or without its secret.
type KeyAuthenticator interface {
	// Known tells whether a key can be told good or bad without the database.
	Known(key string) bool
	Client(ctx context.Context, key, ip string) (*models.Principal, error)
	Server(ctx context.Context, key string, s secret.Value, ip string) (*models.Principal, error)
}

// PersonAuthenticator gives the principal of an access token.
type PersonAuthenticator interface {
	Person(ctx context.Context, token string) (*models.Principal, error)
}

// Authentication reads the credential of a request, of any kind, and counts the
// request against the caller's limit.
type Authentication struct {
	Keys   KeyAuthenticator
	People PersonAuthenticator
	// Operator is PULSE_ADMIN_TOKEN; unset disables operator access.
	Operator secret.Value
	Limits   *RateLimits
}

// keyPrefix distinguishes a key in a Bearer credential from an access token.
const keyPrefix = "pulse_key_"

// Identify reads the credential. A caller without one is anonymous and counted
// by IP. A bad credential gets 401, one that is suspended or not allowed from that
// address 403, and a guess of a secret beyond the limit 429; all are counted by IP.
func (a *Authentication) Identify(c *gin.Context) error {
	p, err := a.principal(c, a.Limits)
	switch {
	case err == nil: // first, since inspecting an error allocates
	case models.IsKind(err, models.KindUnauthenticated), models.IsKind(err, models.KindForbidden), models.HasCode(err, "too_many_attempts"):
		if limited := a.Limits.byIP(c); limited != nil {
			return limited
		}
		return err
	default:
		return err
	}
	c.Set(models.PrincipalKey, p)
	if !p.RotatedAt.IsZero() {
		// RFC 9745 and RFC 8594: the pair has been replaced, and when it stops
		// working.
		header := c.Writer.Header()
		header["Deprecation"] = []string{"@" + strconv.FormatInt(p.RotatedAt.Unix(), 10)}
		header["Sunset"] = []string{p.EndsAt.UTC().Format(http.TimeFormat)}
	}
	return a.Limits.byCaller(c, p)
}

// Anonymous ignores credentials, since a page may send its expired access token
// when it logs in again. The request is counted by IP.
func (a *Authentication) Anonymous(c *gin.Context) error { return a.Limits.byIP(c) }

// Signed guards a route whose handler checks a signature. Only calls that fail
// it are counted, by IP: a busy cluster is never limited, and guessing is.
func (a *Authentication) Signed(f Func) Func {
	return func(c *gin.Context) error {
		err := f(c)
		if models.IsKind(err, models.KindUnauthenticated) {
			if limited := a.Limits.byIP(c); limited != nil {
				return limited
			}
		}
		return err
	}
}

// Counter counts a project's requests.
type Counter interface {
	Count(models.ProjectID, models.Meter)
}

// CountRequests counts requests with a project's key, whatever their result.
func CountRequests(counter Counter) gin.HandlerFunc {
	return func(c *gin.Context) {
		if p, ok := principalOf(c); ok && p.Project != nil {
			counter.Count(p.Project.ID, models.MeterAPIRequests)
		}
	}
}

// FoundOrganization guards sign-up: it is counted by IP, whatever credential is
// sent along, so that no account helps to make many. Only the operator is not
// counted.
func (a *Authentication) FoundOrganization(c *gin.Context) error {
	if !a.isOperator(c) {
		if err := a.Limits.byIP(c); err != nil {
			return err
		}
	}
	p, err := a.principal(c, a.Limits)
	if err != nil {
		return err
	}
	c.Set(models.PrincipalKey, p)
	return nil
}

// isOperator tells the operator's token without any look-up.
func (a *Authentication) isOperator(c *gin.Context) bool {
	value, _ := only(c.Request.Header["Authorization"])
	return !a.Operator.IsZero() && a.Operator.Equal(secret.New(authorization.Bearer(value)))
}

// CountByIP counts a request by IP before it is handled: for paths that are
// none, which a scanner asks for.
func (a *Authentication) CountByIP(f Func) Func {
	return func(c *gin.Context) error {
		if err := a.Limits.byIP(c); err != nil {
			return err
		}
		return f(c)
	}
}

// againTimeout bounds an authentication that belongs to no request with a
// deadline.
const againTimeout = 5 * time.Second

// Again reads the credential of a request that lasts once more, without counting
// it, and whatever others do from its address.
func (a *Authentication) Again(c *gin.Context) (*models.Principal, error) {
	lasting := c.Request
	ctx, cancel := context.WithTimeout(lasting.Context(), againTimeout)
	defer func() { c.Request = lasting; cancel() }()
	c.Request = lasting.WithContext(ctx)
	return a.principal(c, nil)
}

// principal reads the credential of a request. limits are those that refuse look-ups;
// nil refuses none.
func (a *Authentication) principal(c *gin.Context, limits *RateLimits) (*models.Principal, error) {
	ctx, header := c.Request.Context(), c.Request.Header
	key, hasKey := only(header["X-Pulse-Key"])
	value, hasSecret := only(header["X-Pulse-Secret"])
	authorized, hasAuthorization := only(header["Authorization"])
	if !hasKey && hasAuthorization {
		scheme, credential := authorization.Split(authorized)
		switch {
		case strings.EqualFold(scheme, "Basic"):
			user, password, ok := authorization.Basic(credential)
			if !ok {
				return nil, errBadCredential("an Authorization header of the scheme Basic that cannot be read")
			}
			return a.server(c, user, secret.New(password), limits)
		case strings.EqualFold(scheme, "Bearer") && credential == "":
			return nil, errBadCredential("an Authorization header without a token after Bearer")
		case !strings.EqualFold(scheme, "Bearer"):
			return nil, errBadCredential("an Authorization header that is not one Bearer credential")
		case strings.HasPrefix(credential, keyPrefix):
			key, hasKey = credential, true
		case !a.Operator.IsZero() && a.Operator.Equal(secret.New(credential)):
			return &models.Principal{Kind: models.CallerOperator}, nil
		default:
			return a.People.Person(ctx, credential)
		}
	}
	switch {
	case hasKey && hasSecret:
		return a.server(c, key, secret.New(value), limits)
	case hasKey:
		if err := a.beforeLookUp(c, key, limits); err != nil {
			return nil, err
		}
		return a.Keys.Client(ctx, key, c.RemoteIP())
	case hasSecret:
		return nil, errBadCredential("X-Pulse-Secret and without X-Pulse-Key")
	}
	return &models.Principal{}, nil
}

func (a *Authentication) server(c *gin.Context, key string, value secret.Value, limits *RateLimits) (*models.Principal, error) {
	if err := a.beforeLookUp(c, key, limits); err != nil {
		return nil, err
	}
	return a.Keys.Server(c.Request.Context(), key, value, c.RemoteIP())
}

// beforeLookUp refuses an address that has used up its limit with bad keys
// before the database is asked about another key; cached keys cost nothing.
func (a *Authentication) beforeLookUp(c *gin.Context, key string, limits *RateLimits) error {
	if limits == nil || a.Keys.Known(key) {
		return nil
	}
	return limits.spent(c)
}

// only gives a header's value, or "" for one that is sent twice.
func only(values []string) (string, bool) {
	switch len(values) {
	case 0:
		return "", false
	case 1:
		return values[0], true
	}
	return "", true
}

// AuthenticateProject requires a project's key, with or without its secret, or
// a person, who names the project.
func AuthenticateProject(c *gin.Context) error {
	p, _ := principalOf(c)
	switch p.Kind {
	case models.CallerClientKey, models.CallerServerKey, models.CallerPerson:
		return nil
	default:
		return errCredential(p, "key_required", needKey+", or "+needToken+" with ?project_id=")
	}
}

// AuthenticateAPISecret requires a credential that is not a key alone.
func AuthenticateAPISecret(c *gin.Context) error {
	switch p, _ := principalOf(c); p.Kind {
	case models.CallerNobody, models.CallerClientKey:
		return errCredential(p, "secret_required", needToken+", or "+needSecret)
	default:
		return nil
	}
}

// RequireOrganization requires a person or the operator.
func RequireOrganization(c *gin.Context) error {
	p, _ := principalOf(c)
	switch p.Kind {
	case models.CallerPerson, models.CallerOperator:
		return nil
	default:
		return errCredential(p, "person_required", needToken)
	}
}

// What a route needs, with the headers that carry it.
const (
	needKey    = "an API key (X-Pulse-Key)"
	needSecret = "an API key and its secret (X-Pulse-Key, X-Pulse-Secret)"
	needToken  = "a person's access token (Authorization: Bearer)"
)

// errCredential refuses a kind of credential and says which would serve:
// unauthenticated without any, else forbidden with the code.
func errCredential(p *models.Principal, code, needs string) *models.Error {
	if p.Kind == models.CallerNobody {
		return errNoCredential(needs)
	}
	return p.Refused(code, needs)
}

func principalOf(c *gin.Context) (*models.Principal, bool) {
	if v, ok := c.Get(models.PrincipalKey); ok {
		if p, ok := v.(*models.Principal); ok {
			return p, true
		}
	}
	return &models.Principal{}, false
}

// errNoCredential tells a caller without a credential which one to send.
func errNoCredential(which string) *models.Error {
	return models.Unauthenticated("unauthenticated", "You called without a credential; this needs "+which+".")
}

// errBadCredential says how the caller called, and what would serve.
func errBadCredential(called string) *models.Error {
	return models.Unauthenticated("invalid_credential", "You called with "+called+
		"; this needs "+needToken+", or "+needKey+", for some calls with its secret (X-Pulse-Secret).")
}
