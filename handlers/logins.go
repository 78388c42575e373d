package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

type operatorRequest struct {
	Token  secret.Value `json:"token" validate:"required,max=512"`
	Cookie bool         `json:"cookie"`
}

// Operator exchanges the operator token for a login session of 8 hours.
func (h *Auth) Operator(c *gin.Context) error {
	var in operatorRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	login, err := h.sessions.OperatorLogin(c.Request.Context(), in.Token, origin(c))
	if err != nil {
		return err
	}
	session, err := h.cookies.session(c, in.Cookie, login)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, Refreshed{Session: session})
}

// LoginSession is one login of the caller, without its tokens.
type LoginSession struct {
	ID models.SessionID `json:"id"`
	// Current marks the one this request was made with.
	Current    bool      `json:"current"`
	IP         string    `json:"ip"`
	UserAgent  string    `json:"user_agent"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	ExpiresAt  time.Time `json:"expires_at"`
}

// Logins returns a page of the caller's login sessions.
func (h *Auth) Logins(c *gin.Context) error {
	q := request.NewQuery(c)
	page := pageOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	caller := actor(c)
	out, err := h.sessions.Logins(c.Request.Context(), caller, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, func(s models.Session) LoginSession {
		used := s.CreatedAt
		if s.RotatedAt != nil {
			used = *s.RotatedAt
		}
		return LoginSession{ID: s.ID, Current: s.ID == caller.SessionID, IP: s.IP, UserAgent: s.UserAgent,
			CreatedAt: instant(s.CreatedAt), LastUsedAt: instant(used), ExpiresAt: instant(s.ExpiresAt)}
	}))
}

// EndLogin ends one of the caller's login sessions.
func (h *Auth) EndLogin(c *gin.Context) error {
	if err := h.sessions.EndLogin(c.Request.Context(), actor(c), models.SessionID(c.Param("id"))); err != nil {
		return err
	}
	return done(c)
}

type renameRequest struct {
	Name string `json:"name" validate:"required,notblank,max=100,line"`
}

// Rename changes the caller's name.
func (h *Auth) Rename(c *gin.Context) error {
	var in renameRequest
	if err := h.requests.Patch(c, &in); err != nil {
		return err
	}
	out, err := h.sessions.Rename(c.Request.Context(), actor(c), in.Name)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, Account{User: renderUser(out.User), Organization: renderOrganization(out.Organization)})
}
