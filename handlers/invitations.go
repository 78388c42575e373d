package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/secret"
)

// Invitations serves /v1/organizations/:id/invitations and
// /v1/invitations/accept.
type Invitations struct {
	requests *request.Reader
	service  *tenancy.Invitations
	cookies  *Cookies
}

// NewInvitations makes the handlers of a service.
func NewInvitations(r *request.Reader, s *tenancy.Invitations, k *Cookies) *Invitations {
	return &Invitations{r, s, k}
}

// Invitation is an open invitation in /v1.
type Invitation struct {
	ID    models.InvitationID   `json:"id"`
	OrgID models.OrganizationID `json:"org_id"`
	Email string                `json:"email"`
	Role  models.Role           `json:"role"`
	// InvitedBy is null for an invitation by the operator.
	InvitedBy *models.UserID `json:"invited_by"`
	CreatedAt time.Time      `json:"created_at"`
	ExpiresAt time.Time      `json:"expires_at"`
}

func renderInvitation(i models.Invitation) Invitation {
	out := Invitation{ID: i.ID, OrgID: i.OrgID, Email: i.Email, Role: i.Role,
		CreatedAt: instant(i.CreatedAt), ExpiresAt: instant(i.ExpiresAt)}
	if i.InvitedBy != "" {
		out.InvitedBy = &i.InvitedBy
	}
	return out
}

type inviteRequest struct {
	Email string      `json:"email" validate:"required,max=254,email,mailbox"`
	Role  models.Role `json:"role" validate:"required,oneof=owner admin developer viewer"`
}

// Invited is the response to an invitation. AcceptToken is empty if it was
// mailed.
type Invited struct {
	Invitation  Invitation `json:"invitation"`
	AcceptToken string     `json:"accept_token,omitempty"`
}

// Create invites an e-mail address.
func (h *Invitations) Create(c *gin.Context) error {
	var in inviteRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	out, err := h.service.Create(c.Request.Context(), actor(c), models.OrganizationID(c.Param("id")),
		tenancy.InvitationInput{Email: in.Email, Role: in.Role})
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, Invited{Invitation: renderInvitation(out.Invitation), AcceptToken: out.Token.Reveal()})
}

// List returns a page of open invitations.
func (h *Invitations) List(c *gin.Context) error {
	q := request.NewQuery(c)
	page := pageOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), actor(c), models.OrganizationID(c.Param("id")), page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderInvitation))
}

// Delete revokes an open invitation.
func (h *Invitations) Delete(c *gin.Context) error {
	if err := h.service.Revoke(c.Request.Context(), actor(c), models.OrganizationID(c.Param("id")),
		models.InvitationID(c.Param("invitation_id"))); err != nil {
		return err
	}
	return done(c)
}

type acceptRequest struct {
	Token    secret.Value `json:"token" validate:"required,max=128"`
	Name     string       `json:"name" validate:"required,notblank,max=100,line"`
	Password secret.Value `json:"password" validate:"required,min=10,max=128,uncommon"`
	Cookie   bool         `json:"cookie"`
}

// Accept creates the invited person.
func (h *Invitations) Accept(c *gin.Context) error {
	var in acceptRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	out, err := h.service.Accept(c.Request.Context(),
		tenancy.AcceptInput{Token: in.Token, Name: in.Name, Password: in.Password, Origin: origin(c)})
	if err != nil {
		return err
	}
	session, err := h.cookies.session(c, in.Cookie, out.Login)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, SignedUp{
		Organization: renderOrganization(out.Organization), User: renderUser(out.User), Session: session})
}
