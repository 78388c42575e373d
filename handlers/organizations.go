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

// Organizations serves /v1/organizations.
type Organizations struct {
	requests *request.Reader
	service  *tenancy.Organizations
	cookies  *Cookies
}

// NewOrganizations makes the handlers of a service.
func NewOrganizations(r *request.Reader, s *tenancy.Organizations, k *Cookies) *Organizations {
	return &Organizations{r, s, k}
}

// Organization is a tenant in /v1.
type Organization struct {
	ID         models.OrganizationID `json:"id"`
	Name       string                `json:"name"`
	AdminEmail string                `json:"admin_email"`
	Plan       models.Plan           `json:"plan"`
	// SuspendedAt is null unless the operator suspended the organization.
	SuspendedAt *time.Time `json:"suspended_at"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
}

func renderOrganization(o models.Organization) Organization {
	return Organization{ID: o.ID, Name: o.Name, AdminEmail: o.AdminEmail, Plan: o.Plan, SuspendedAt: instantOrNull(o.SuspendedAt),
		CreatedAt: instant(o.CreatedAt), UpdatedAt: instant(o.UpdatedAt)}
}

type signUpRequest struct {
	Name       string       `json:"name" validate:"required,notblank,max=100,line"`
	AdminEmail string       `json:"admin_email" validate:"required,max=254,email,mailbox"`
	Password   secret.Value `json:"password" validate:"required,min=10,max=128,uncommon"`
	Cookie     bool         `json:"cookie"`
}

// SignedUp is the response to a sign-up.
type SignedUp struct {
	Organization Organization `json:"organization"`
	User         User         `json:"user"`
	Session      Session      `json:"session"`
}

// Create signs up an organization and its owner.
func (h *Organizations) Create(c *gin.Context) error {
	var in signUpRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	out, err := h.service.SignUp(c.Request.Context(), actor(c), tenancy.SignUpInput{
		Name: in.Name, AdminEmail: in.AdminEmail, Password: in.Password,
	})
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

// List returns a page of organizations.
func (h *Organizations) List(c *gin.Context) error {
	q := request.NewQuery(c)
	page, search, plan := pageOf(q), q.Text("q"), models.Plan(q.OneOf("plan", "free", "pro", "enterprise"))
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), actor(c), tenancy.OrganizationQuery{Query: search, Plan: plan}, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderOrganization))
}

// Get returns one organization.
func (h *Organizations) Get(c *gin.Context) error {
	out, err := h.service.Get(c.Request.Context(), actor(c), models.OrganizationID(c.Param("id")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderOrganization(out))
}

type putOrganizationRequest struct {
	Name string       `json:"name" validate:"required,notblank,max=100,line"`
	Plan *models.Plan `json:"plan" validate:"omitempty,oneof=free pro enterprise"`
}

// Put replaces the editable fields.
func (h *Organizations) Put(c *gin.Context) error {
	var in putOrganizationRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	return h.change(c, tenancy.OrganizationChange{Name: &in.Name, Plan: in.Plan})
}

type patchOrganizationRequest struct {
	Name *string      `json:"name" validate:"omitempty,notblank,max=100,line"`
	Plan *models.Plan `json:"plan" validate:"omitempty,oneof=free pro enterprise"`
}

// Patch changes the fields sent.
func (h *Organizations) Patch(c *gin.Context) error {
	var in patchOrganizationRequest
	if err := h.requests.Patch(c, &in); err != nil {
		return err
	}
	return h.change(c, tenancy.OrganizationChange{Name: in.Name, Plan: in.Plan})
}

func (h *Organizations) change(c *gin.Context, change tenancy.OrganizationChange) error {
	out, err := h.service.Update(c.Request.Context(), actor(c), models.OrganizationID(c.Param("id")), change)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderOrganization(out))
}

// Suspend denies access to an organization's people and keys.
func (h *Organizations) Suspend(c *gin.Context) error {
	out, err := h.service.Suspend(c.Request.Context(), actor(c), models.OrganizationID(c.Param("id")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderOrganization(out))
}

// Unsuspend restores their access.
func (h *Organizations) Unsuspend(c *gin.Context) error {
	out, err := h.service.Unsuspend(c.Request.Context(), actor(c), models.OrganizationID(c.Param("id")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderOrganization(out))
}

// Delete deletes an organization.
func (h *Organizations) Delete(c *gin.Context) error {
	if err := h.service.Delete(c.Request.Context(), actor(c), models.OrganizationID(c.Param("id"))); err != nil {
		return err
	}
	return done(c)
}
