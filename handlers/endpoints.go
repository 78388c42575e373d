package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/webhooks"
)

// Endpoints serves /v1/webhooks/endpoints.
type Endpoints struct {
	requests *request.Reader
	service  *webhooks.Endpoints
}

// NewEndpoints makes the handlers of a service.
func NewEndpoints(r *request.Reader, s *webhooks.Endpoints) *Endpoints { return &Endpoints{r, s} }

// Endpoint is a webhook endpoint in /v1, without its secret.
type Endpoint struct {
	ID    models.EndpointID     `json:"id"`
	OrgID models.OrganizationID `json:"org_id"`
	// ProjectID is null for an endpoint that receives the events of the whole organization.
	ProjectID   *models.ProjectID `json:"project_id"`
	URL         string            `json:"url"`
	Description string            `json:"description"`
	Events      []string          `json:"events"`
	Ordered     bool              `json:"ordered"`
	Enabled     bool              `json:"enabled"`
	// DisabledReason is gone or failing if Pulse disabled it, else null.
	DisabledReason *string    `json:"disabled_reason"`
	DisabledAt     *time.Time `json:"disabled_at"`
	FailingSince   *time.Time `json:"failing_since"`
	Recovering     bool       `json:"recovering"`
	// PreviousSecretUntil is until when the secret before the last rotation signs
	// too, or null.
	PreviousSecretUntil *time.Time `json:"previous_secret_until"`
	CreatedAt           time.Time  `json:"created_at"`
	UpdatedAt           time.Time  `json:"updated_at"`
}

// SecretEndpoint is an endpoint with its secret, which is not shown again.
type SecretEndpoint struct {
	Endpoint Endpoint `json:"endpoint"`
	Secret   string   `json:"secret"`
}

func renderEndpoint(e models.Endpoint) Endpoint {
	out := Endpoint{
		ID: e.ID, OrgID: e.OrgID, URL: e.URL, Description: e.Description, Events: e.Events, Ordered: e.Ordered, Enabled: e.Enabled,
		DisabledAt: instantOrNull(e.DisabledAt), FailingSince: instantOrNull(e.FailingSince), Recovering: e.Recovering,
		PreviousSecretUntil: instantOrNull(e.PreviousUntil), CreatedAt: instant(e.CreatedAt), UpdatedAt: instant(e.UpdatedAt),
	}
	if e.ProjectID != "" {
		out.ProjectID = &e.ProjectID
	}
	if e.DisabledReason != "" {
		out.DisabledReason = &e.DisabledReason
	}
	return out
}

// ownerOf reads project_id and org_id, "" if absent.
func ownerOf(q *request.Query) webhooks.Owner {
	return webhooks.Owner{Project: projectOf(q), Org: models.OrganizationID(q.Text("org_id"))}
}

type createEndpointRequest struct {
	URL         string   `json:"url" validate:"required,maxbytes=2048,line"`
	Description string   `json:"description" validate:"omitempty,max=200,line"`
	Events      []string `json:"events" validate:"omitempty,max=50,dive,max=64,line"`
	Enabled     *bool    `json:"enabled"`
	Ordered     bool     `json:"ordered"`
	OrgID       string   `json:"org_id" validate:"omitempty,max=128,line"`
	ProjectID   string   `json:"project_id" validate:"omitempty,max=128,line"`
}

// Create makes an endpoint.
func (h *Endpoints) Create(c *gin.Context) error {
	var in createEndpointRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	q := request.NewQuery(c)
	owner := ownerOf(q)
	for _, named := range []struct {
		name, sent string
		asked      *string
	}{{"org_id", in.OrgID, (*string)(&owner.Org)}, {"project_id", in.ProjectID, (*string)(&owner.Project)}} {
		if named.sent == "" {
			continue
		}
		if *named.asked != "" && *named.asked != named.sent {
			q.Refuse(named.name, "differs from that of the body")
		}
		*named.asked = named.sent
	}
	if err := q.Err(); err != nil {
		return err
	}
	out, secret, err := h.service.Create(c.Request.Context(), actor(c), webhooks.EndpointInput{
		Owner: owner, URL: in.URL, Description: in.Description, Events: in.Events, Enabled: in.Enabled == nil || *in.Enabled, Ordered: in.Ordered,
	})
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, SecretEndpoint{renderEndpoint(out), secret.Reveal()})
}

// List returns a page of endpoints.
func (h *Endpoints) List(c *gin.Context) error {
	q := request.NewQuery(c)
	page, owner := pageOf(q), ownerOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), actor(c), owner, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderEndpoint))
}

// Get returns one endpoint.
func (h *Endpoints) Get(c *gin.Context) error {
	out, err := h.service.Get(c.Request.Context(), actor(c), models.EndpointID(c.Param("id")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderEndpoint(out))
}

type patchEndpointRequest struct {
	URL         *string   `json:"url" validate:"omitempty,min=1,maxbytes=2048,line"`
	Description *string   `json:"description" validate:"omitempty,max=200,line"`
	Events      *[]string `json:"events" validate:"omitempty,min=1,max=50,dive,max=64,line"`
	Ordered     *bool     `json:"ordered"`
	Enabled     *bool     `json:"enabled"`
}

// Patch changes the fields sent.
func (h *Endpoints) Patch(c *gin.Context) error {
	var in patchEndpointRequest
	if err := h.requests.Patch(c, &in); err != nil {
		return err
	}
	out, err := h.service.Update(c.Request.Context(), actor(c), models.EndpointID(c.Param("id")), webhooks.EndpointChange(in))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderEndpoint(out))
}

// Delete deletes an endpoint.
func (h *Endpoints) Delete(c *gin.Context) error {
	if err := h.service.Delete(c.Request.Context(), actor(c), models.EndpointID(c.Param("id"))); err != nil {
		return err
	}
	return done(c)
}

type rotateEndpointSecretRequest struct {
	GracePeriodSeconds int64 `json:"grace_period_seconds" validate:"min=0,max=604800"`
}

// RotateSecret gives an endpoint a new secret.
func (h *Endpoints) RotateSecret(c *gin.Context) error {
	var in rotateEndpointSecretRequest
	if err := h.requests.OptionalBody(c, &in); err != nil {
		return err
	}
	out, secret, err := h.service.RotateSecret(c.Request.Context(), actor(c), models.EndpointID(c.Param("id")), time.Duration(in.GracePeriodSeconds)*time.Second)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, SecretEndpoint{renderEndpoint(out), secret.Reveal()})
}

// Test sends a test event to an endpoint.
func (h *Endpoints) Test(c *gin.Context) error {
	out, err := h.service.Test(c.Request.Context(), actor(c), models.EndpointID(c.Param("id")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusAccepted, renderDelivery(out))
}

type recoverEndpointRequest struct {
	Since *time.Time `json:"since" validate:"required"`
}

// Recover has delivered what an endpoint missed.
func (h *Endpoints) Recover(c *gin.Context) error {
	var in recoverEndpointRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	out, err := h.service.Recover(c.Request.Context(), actor(c), models.EndpointID(c.Param("id")), *in.Since)
	if err != nil {
		return err
	}
	return answer(c, http.StatusAccepted, renderEndpoint(out))
}
