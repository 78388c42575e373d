package handlers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/tenancy"
)

// Members serves /v1/organizations/:id/members.
type Members struct {
	requests *request.Reader
	service  *tenancy.Members
}

// NewMembers makes the handlers of a service.
func NewMembers(r *request.Reader, s *tenancy.Members) *Members { return &Members{r, s} }

// List returns a page of the people of an organization.
func (h *Members) List(c *gin.Context) error {
	q := request.NewQuery(c)
	page := pageOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), actor(c), models.OrganizationID(c.Param("id")), page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderUser))
}

// Get returns one person.
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
	if err := h.requests.Patch(c, &in); err != nil {
		return err
	}
	out, err := h.service.ChangeRole(c.Request.Context(), actor(c),
		models.OrganizationID(c.Param("id")), models.UserID(c.Param("user_id")), in.Role)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderUser(out))
}

// Delete removes a person from the organization; ?revoke_keys=true also deletes
// the API keys they created.
func (h *Members) Delete(c *gin.Context) error {
	q := request.NewQuery(c)
	revoke := q.Flag("revoke_keys")
	if err := q.Err(); err != nil {
		return err
	}
	if err := h.service.Remove(c.Request.Context(), actor(c), tenancy.RemoveInput{
		OrgID: models.OrganizationID(c.Param("id")), UserID: models.UserID(c.Param("user_id")), RevokeKeys: revoke,
	}); err != nil {
		return err
	}
	return done(c)
}
