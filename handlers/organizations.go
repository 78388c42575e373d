package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/secret"
)

// Organizations serves /v1/organizations.
type Organizations struct {
	requests *Requests
	service  *tenancy.Organizations
}

// NewOrganizations serves a service.
func NewOrganizations(r *Requests, s *tenancy.Organizations) *Organizations {
	return &Organizations{r, s}
}

// Organization is a tenant as /v1 shows it.
type Organization struct {
	ID         models.OrganizationID `json:"id"`
	Name       string                `json:"name"`
	AdminEmail string                `json:"admin_email"`
	Plan       models.Plan           `json:"plan"`
	// SuspendedAt is null unless the operator keeps its people and keys out.
	SuspendedAt *time.Time `json:"suspended_at"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
}

func renderOrganization(o models.Organization) Organization {
	var suspended *time.Time
	if o.SuspendedAt != nil {
		at := instant(*o.SuspendedAt)
		suspended = &at
	}
	return Organization{ID: o.ID, Name: o.Name, AdminEmail: o.AdminEmail, Plan: o.Plan, SuspendedAt: suspended,
		CreatedAt: instant(o.CreatedAt), UpdatedAt: instant(o.UpdatedAt)}
}

type signUpRequest struct {
	Name       string       `json:"name" validate:"required,notblank,max=100,line"`
	AdminEmail string       `json:"admin_email" validate:"required,max=254,email"`
	Password   secret.Value `json:"password" validate:"required,min=10,max=128,uncommon"`
}

// SignedUp is the answer to a sign-up.
type SignedUp struct {
	Organization Organization `json:"organization"`
	User         User         `json:"user"`
	Session      Session      `json:"session"`
}

// Create founds an organization and its owner.
func (h *Organizations) Create(c *gin.Context) error {
	var in signUpRequest
	if err := h.requests.body(c, &in); err != nil {
		return err
	}
	out, err := h.service.SignUp(c.Request.Context(), actor(c), tenancy.SignUpInput{
		Name: in.Name, AdminEmail: in.AdminEmail, Password: in.Password,
	})
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, SignedUp{renderOrganization(out.Organization), renderUser(out.User), renderSession(out.Login)})
}

// List answers with a page of organizations.
func (h *Organizations) List(c *gin.Context) error {
	q := query{c: c}
	page, search, plan := q.page(), q.text("q", maxQuery), models.Plan(q.text("plan", maxQuery))
	if plan != "" && !plan.Valid() {
		q.refuse("plan", "must be free, pro or enterprise")
	}
	if err := q.err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), actor(c), tenancy.OrganizationQuery{Query: search, Plan: plan}, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderOrganization))
}

// Get answers with one organization.
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
	if err := h.requests.body(c, &in); err != nil {
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
	if err := h.requests.body(c, &in); err != nil {
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

// Suspend keeps an organization's people and keys out.
func (h *Organizations) Suspend(c *gin.Context) error {
	out, err := h.service.Suspend(c.Request.Context(), actor(c), models.OrganizationID(c.Param("id")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderOrganization(out))
}

// Unsuspend lets them in again.
func (h *Organizations) Unsuspend(c *gin.Context) error {
	out, err := h.service.Unsuspend(c.Request.Context(), actor(c), models.OrganizationID(c.Param("id")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderOrganization(out))
}

// Delete closes an organization.
func (h *Organizations) Delete(c *gin.Context) error {
	if err := h.service.Delete(c.Request.Context(), actor(c), models.OrganizationID(c.Param("id"))); err != nil {
		return err
	}
	return done(c)
}
