package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/utils/secret"
)

// Auth serves /v1/auth.
type Auth struct {
	requests *request.Reader
	sessions *auth.LoginSessions
	resets   *auth.PasswordResets
	cookies  *Cookies
}

// NewAuth makes the handlers of a service.
func NewAuth(r *request.Reader, s *auth.LoginSessions, p *auth.PasswordResets, k *Cookies) *Auth {
	return &Auth{r, s, p, k}
}

// User is a person in /v1.
type User struct {
	ID        models.UserID         `json:"id"`
	OrgID     models.OrganizationID `json:"org_id"`
	Email     string                `json:"email"`
	Name      string                `json:"name"`
	Role      models.Role           `json:"role"`
	CreatedAt time.Time             `json:"created_at"`
}

func renderUser(u models.User) User {
	return User{ID: u.ID, OrgID: u.OrgID, Email: u.Email, Name: u.Name, Role: u.Role, CreatedAt: instant(u.CreatedAt)}
}

// Session holds the tokens of a login (RFC 6749, section 5.1).
type Session struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	// RefreshToken is absent where it is in the cookie.
	RefreshToken string `json:"refresh_token,omitempty"`
}

func renderSession(l auth.Login) Session {
	return Session{AccessToken: l.AccessToken, TokenType: "Bearer",
		ExpiresIn: int64(l.ExpiresIn / time.Second), RefreshToken: l.RefreshToken}
}

type loginRequest struct {
	Email    string       `json:"email" validate:"required,max=254"`
	Password secret.Value `json:"password" validate:"required,max=128"`
	Cookie   bool         `json:"cookie"`
}

// LoggedIn is the response to a login.
type LoggedIn struct {
	User    User    `json:"user"`
	Session Session `json:"session"`
}

// Login starts a login session.
func (h *Auth) Login(c *gin.Context) error {
	var in loginRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	user, login, err := h.sessions.Login(c.Request.Context(),
		auth.LoginInput{Email: in.Email, Password: in.Password, Device: h.cookies.device(c), Origin: origin(c)})
	if err != nil {
		return err
	}
	session, err := h.cookies.session(c, in.Cookie, login)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, LoggedIn{User: renderUser(user), Session: session})
}

type refreshRequest struct {
	RefreshToken secret.Value `json:"refresh_token" validate:"required,max=512"`
}

// Refreshed is the response to a refresh.
type Refreshed struct {
	Session Session `json:"session"`
}

// Refresh returns a new access token and the next refresh token. Without a body
// the token is the cookie's.
func (h *Auth) Refresh(c *gin.Context) error {
	var in refreshRequest
	if h.cookies.held(c) {
		switch sent, err := h.requests.SentBody(c, &in); {
		case err != nil:
			return err
		case !sent:
			return h.refreshCookie(c)
		}
	} else if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	login, err := h.sessions.Refresh(c.Request.Context(), in.RefreshToken, origin(c))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, Refreshed{Session: renderSession(login)})
}

func (h *Auth) refreshCookie(c *gin.Context) error {
	token, err := h.cookies.take(c)
	if err != nil {
		return err
	}
	login, err := h.sessions.Refresh(c.Request.Context(), token, origin(c))
	if models.IsKind(err, models.KindUnauthenticated) {
		h.cookies.clear(c)
	}
	if err != nil {
		return err
	}
	session, err := h.cookies.session(c, true, login)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, Refreshed{Session: session})
}

// Logout ends the caller's login session; without a credential, that of the
// cookie.
func (h *Auth) Logout(c *gin.Context) error {
	caller := actor(c)
	switch caller.Kind {
	case models.CallerPerson, models.CallerOperator:
		if err := h.sessions.Logout(c.Request.Context(), caller); err != nil {
			return err
		}
	case models.CallerNobody:
		if !h.cookies.held(c) {
			return caller.May(models.ActionAccountUpdate)
		}
		token, err := h.cookies.take(c)
		if err != nil {
			return err
		}
		if err := h.sessions.LogoutToken(c.Request.Context(), token, origin(c)); err != nil {
			return err
		}
	default:
		return caller.Refused("person_required", "a person's access token (Authorization: Bearer)")
	}
	if h.cookies.held(c) {
		h.cookies.clear(c)
	}
	return done(c)
}

// Account is a person and their organization.
type Account struct {
	User         User         `json:"user"`
	Organization Organization `json:"organization"`
}

// Me returns the caller's account.
func (h *Auth) Me(c *gin.Context) error {
	out, err := h.sessions.Me(c.Request.Context(), actor(c))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, Account{User: renderUser(out.User), Organization: renderOrganization(out.Organization)})
}

type passwordRequest struct {
	CurrentPassword secret.Value `json:"current_password" validate:"required,max=128"`
	NewPassword     secret.Value `json:"new_password" validate:"required,min=10,max=128,uncommon"`
}

// Password changes the caller's password and ends their other login sessions.
func (h *Auth) Password(c *gin.Context) error {
	var in passwordRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	if err := h.sessions.ChangePassword(c.Request.Context(), actor(c), auth.PasswordChange{
		Current: in.CurrentPassword, New: in.NewPassword, IP: c.RemoteIP(),
	}); err != nil {
		return err
	}
	return done(c)
}

type forgotRequest struct {
	Email string `json:"email" validate:"required,max=254"`
}

// Forgot asks for a mail with a link to set a new password.
func (h *Auth) Forgot(c *gin.Context) error {
	var in forgotRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	if err := h.resets.Forgot(c.Request.Context(), in.Email); err != nil {
		return err
	}
	c.Status(http.StatusAccepted)
	c.Writer.WriteHeaderNow()
	return nil
}

type resetRequest struct {
	Token    secret.Value `json:"token" validate:"required,max=512"`
	Password secret.Value `json:"password" validate:"required,min=10,max=128,uncommon"`
}

// Reset sets a new password with the token of a mail.
func (h *Auth) Reset(c *gin.Context) error {
	var in resetRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	if err := h.resets.Reset(c.Request.Context(), auth.ResetInput{Token: in.Token, Password: in.Password, Origin: origin(c)}); err != nil {
		return err
	}
	return done(c)
}
