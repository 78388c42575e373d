package handlers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/services/tenancy"
)

// Members serves /v1/organizations/:id/members.
type Members struct {
	requests *Requests
	service  *tenancy.Members
}

// NewMembers serves a service.
func NewMembers(r *Requests, s *tenancy.Members) *Members { return &Members{r, s} }

// List answers with a page of the people of an organization.
func (h *Members) List(c *gin.Context) error {
	q := query{c: c}
	page := q.page()
	if err := q.err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), actor(c), models.OrganizationID(c.Param("id")), page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderUser))
}

// Get answers with one person.
func (h *Members) Get(c *gin.Context) error {
	out, err := h.service.Get(c.Request.Context(), actor(c),
		models.OrganizationID(c.Param("id")), models.UserID(c.Param("user_id")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderUser(out))
}

type patchMemberRequest struct {
	Role models.Role `json:"role" validate:"required,oneof=owner admin developer viewer"`
}

// Patch changes a person's role.
func (h *Members) Patch(c *gin.Context) error {
	var in patchMemberRequest
	if err := h.requests.body(c, &in); err != nil {
		return err
	}
	out, err := h.service.ChangeRole(c.Request.Context(), actor(c),
		models.OrganizationID(c.Param("id")), models.UserID(c.Param("user_id")), in.Role)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderUser(out))
}

// Delete puts a person out, with ?revoke_keys=true together with their keys.
func (h *Members) Delete(c *gin.Context) error {
	q := query{c: c}
	revoke := q.flag("revoke_keys")
	if err := q.err(); err != nil {
		return err
	}
	if err := h.service.Remove(c.Request.Context(), actor(c), tenancy.RemoveInput{
		OrgID: models.OrganizationID(c.Param("id")), UserID: models.UserID(c.Param("user_id")), RevokeKeys: revoke,
	}); err != nil {
		return err
	}
	return done(c)
}
