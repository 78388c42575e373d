package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/tenancy"
)

// APIKeys serves /v1/projects/:id/keys.
type APIKeys struct {
	requests *request.Reader
	service  *tenancy.Keys
}

// NewAPIKeys makes the handlers of a service.
func NewAPIKeys(r *request.Reader, s *tenancy.Keys) *APIKeys { return &APIKeys{r, s} }

// APIKey is a key pair in /v1, without its secret.
type APIKey struct {
	ID          models.KeyID     `json:"id"`
	ProjectID   models.ProjectID `json:"project_id"`
	Name        string           `json:"name"`
	PulseAPIKey string           `json:"pulse_api_key"`
	SecretHint  string           `json:"secret_hint"`
	Scopes      []models.Scope   `json:"scopes"`
	AllowedIPs  []string         `json:"allowed_ips"`
	ExpiresAt   *time.Time       `json:"expires_at"`
	// RotatedAt is when another pair replaced this one, or null.
	RotatedAt  *time.Time `json:"rotated_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	// CreatedBy is null if a key or the operator created the pair.
	CreatedBy *models.UserID `json:"created_by"`
	CreatedAt time.Time      `json:"created_at"`
}

func renderAPIKey(k models.APIKey) APIKey {
	out := APIKey{
		ID: k.ID, ProjectID: k.ProjectID, Name: k.Name, PulseAPIKey: k.Key, SecretHint: k.SecretHint,
		Scopes: k.Scopes, AllowedIPs: k.AllowedIPs, ExpiresAt: instantOrNull(k.ExpiresAt),
		RotatedAt: instantOrNull(k.RotatedAt), LastUsedAt: instantOrNull(k.LastUsedAt), CreatedAt: instant(k.CreatedAt),
	}
	if out.AllowedIPs == nil {
		out.AllowedIPs = []string{}
	}
	if k.CreatedBy != "" {
		out.CreatedBy = &k.CreatedBy
	}
	return out
}

// CreatedAPIKey is a new pair with its secret, which is not shown again.
type CreatedAPIKey struct {
	Key            APIKey `json:"key"`
	PulseAPIKey    string `json:"pulse_api_key"`
	PulseAPISecret string `json:"pulse_api_secret"`
}

type createAPIKeyRequest struct {
	Name       string         `json:"name" validate:"required,notblank,max=100,line"`
	Scopes     []models.Scope `json:"scopes" validate:"omitempty,max=20,dive,oneof=* tokens:create rooms:read rooms:write egress:write ingress:write usage:read webhooks:write keys:write"`
	ExpiresAt  *time.Time     `json:"expires_at"`
	AllowedIPs []string       `json:"allowed_ips" validate:"omitempty,max=100,dive,max=64"`
}

// Create adds a pair to a project.
func (h *APIKeys) Create(c *gin.Context) error {
	var in createAPIKeyRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	out, err := h.service.Create(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")), tenancy.KeyPairInput{
		Name: in.Name, Scopes: in.Scopes, ExpiresAt: in.ExpiresAt, AllowedIPs: in.AllowedIPs,
	})
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, CreatedAPIKey{Key: renderAPIKey(out.Key), PulseAPIKey: out.Key.Key, PulseAPISecret: out.Secret.Reveal()})
}

// List returns a page of a project's pairs.
func (h *APIKeys) List(c *gin.Context) error {
	q := request.NewQuery(c)
	page := pageOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")), page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderAPIKey))
}

// Get returns one pair of a project.
func (h *APIKeys) Get(c *gin.Context) error {
	out, err := h.service.Get(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")), models.KeyID(c.Param("key_id")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderAPIKey(out))
}

type patchAPIKeyRequest struct {
	Name       *string                      `json:"name" validate:"omitempty,notblank,max=100,line"`
	Scopes     *[]models.Scope              `json:"scopes" validate:"omitempty,min=1,max=20,dive,oneof=* tokens:create rooms:read rooms:write egress:write ingress:write usage:read webhooks:write keys:write"`
	ExpiresAt  request.Clearable[time.Time] `json:"expires_at"`
	AllowedIPs request.Clearable[[]string]  `json:"allowed_ips" validate:"omitempty,max=100,dive,max=64"`
}

// Patch changes the fields sent. A null expires_at means the pair never
// expires; a null allowed_ips allows every address.
func (h *APIKeys) Patch(c *gin.Context) error {
	var in patchAPIKeyRequest
	if err := h.requests.Patch(c, &in); err != nil {
		return err
	}
	expires := in.ExpiresAt.Value
	if in.ExpiresAt.Null {
		expires = nil
	}
	out, err := h.service.Update(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")), models.KeyID(c.Param("key_id")),
		tenancy.KeyPairChange{
			Name: in.Name, Scopes: in.Scopes, AllowedIPs: in.AllowedIPs.Value,
			ExpiresAt: expires, NoExpiry: in.ExpiresAt.Null,
		})
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderAPIKey(out))
}

// Delete deletes a pair. ?force=true also deletes the last usable one.
func (h *APIKeys) Delete(c *gin.Context) error {
	q := request.NewQuery(c)
	force := q.Flag("force")
	if err := q.Err(); err != nil {
		return err
	}
	if err := h.service.Delete(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")), models.KeyID(c.Param("key_id")), force); err != nil {
		return err
	}
	return done(c)
}
