package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/secret"
)

// Invitations serves /v1/organizations/:id/invitations and
// /v1/invitations/accept.
type Invitations struct {
	requests *Requests
	service  *tenancy.Invitations
}

// NewInvitations serves a service.
func NewInvitations(r *Requests, s *tenancy.Invitations) *Invitations { return &Invitations{r, s} }

// Invitation is an open invitation as /v1 shows it.
type Invitation struct {
	ID    models.InvitationID   `json:"id"`
	OrgID models.OrganizationID `json:"org_id"`
	Email string                `json:"email"`
	Role  models.Role           `json:"role"`
	// InvitedBy is null if the operator did.
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
	Email string      `json:"email" validate:"required,max=254,email"`
	Role  models.Role `json:"role" validate:"required,oneof=owner admin developer viewer"`
}

// Invited is the answer to an invitation; the token is there only if no mail
// was sent.
type Invited struct {
	Invitation  Invitation `json:"invitation"`
	AcceptToken string     `json:"accept_token,omitempty"`
}

// Create invites an address.
func (h *Invitations) Create(c *gin.Context) error {
	var in inviteRequest
	if err := h.requests.body(c, &in); err != nil {
		return err
	}
	out, err := h.service.Create(c.Request.Context(), actor(c), models.OrganizationID(c.Param("id")),
		tenancy.InvitationInput{Email: in.Email, Role: in.Role})
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, Invited{renderInvitation(out.Invitation), out.Token.Reveal()})
}

// List answers with a page of the open invitations.
func (h *Invitations) List(c *gin.Context) error {
	q := query{c: c}
	page := q.page()
	if err := q.err(); err != nil {
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
}

// Accept makes whoever was invited a member.
func (h *Invitations) Accept(c *gin.Context) error {
	var in acceptRequest
	if err := h.requests.body(c, &in); err != nil {
		return err
	}
	out, err := h.service.Accept(c.Request.Context(),
		tenancy.AcceptInput{Token: in.Token, Name: in.Name, Password: in.Password, Origin: origin(c)})
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, SignedUp{renderOrganization(out.Organization), renderUser(out.User), renderSession(out.Login)})
}
