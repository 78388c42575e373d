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
}

// NewAuth makes the handlers of a service.
func NewAuth(r *request.Reader, s *auth.LoginSessions) *Auth { return &Auth{r, s} }

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
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
}

func renderSession(l auth.Login) Session {
	return Session{AccessToken: l.AccessToken, TokenType: "Bearer",
		ExpiresIn: int64(l.ExpiresIn / time.Second), RefreshToken: l.RefreshToken}
}

type loginRequest struct {
	Email    string       `json:"email" validate:"required,max=254"`
	Password secret.Value `json:"password" validate:"required,max=128"`
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
		auth.LoginInput{Email: in.Email, Password: in.Password, Origin: origin(c)})
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, LoggedIn{User: renderUser(user), Session: renderSession(login)})
}

type refreshRequest struct {
	RefreshToken secret.Value `json:"refresh_token" validate:"required,max=512"`
}

// Refreshed is the response to a refresh.
type Refreshed struct {
	Session Session `json:"session"`
}

// Refresh returns a new access token and the next refresh token.
func (h *Auth) Refresh(c *gin.Context) error {
	var in refreshRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	login, err := h.sessions.Refresh(c.Request.Context(), in.RefreshToken, origin(c))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, Refreshed{Session: renderSession(login)})
}

// Logout ends the caller's login session.
func (h *Auth) Logout(c *gin.Context) error {
	if err := h.sessions.Logout(c.Request.Context(), actor(c)); err != nil {
		return err
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
