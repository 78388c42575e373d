package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"pulse-control-plane/models"
	"pulse-control-plane/services/tenancy"
)

// APIKeys serves /v1/projects/:id/keys.
type APIKeys struct {
	requests *Requests
	service  *tenancy.Keys
}

// NewAPIKeys serves a service.
func NewAPIKeys(r *Requests, s *tenancy.Keys) *APIKeys { return &APIKeys{r, s} }

// APIKey is a key pair as /v1 shows it, without its secret.
type APIKey struct {
	ID          models.KeyID     `json:"id"`
	ProjectID   models.ProjectID `json:"project_id"`
	Name        string           `json:"name"`
	PulseAPIKey string           `json:"pulse_api_key"`
	SecretHint  string           `json:"secret_hint"`
	Scopes      []models.Scope   `json:"scopes"`
	AllowedIPs  []string         `json:"allowed_ips"`
	ExpiresAt   *time.Time       `json:"expires_at"`
	// RotatedAt is when another pair took this one's place, or null.
	RotatedAt  *time.Time `json:"rotated_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	// CreatedBy is the person who made it, or null for a key or the operator.
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

func instantOrNull(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	at := instant(*t)
	return &at
}

// CreatedAPIKey is a pair whose secret is shown this once.
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

// Create makes a further pair of a project.
func (h *APIKeys) Create(c *gin.Context) error {
	var in createAPIKeyRequest
	if err := h.requests.body(c, &in); err != nil {
		return err
	}
	out, err := h.service.Create(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")), tenancy.KeyPairInput{
		Name: in.Name, Scopes: in.Scopes, ExpiresAt: in.ExpiresAt, AllowedIPs: in.AllowedIPs,
	})
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, CreatedAPIKey{renderAPIKey(out.Key), out.Key.Key, out.Secret.Reveal()})
}

// List answers with a page of a project's pairs.
func (h *APIKeys) List(c *gin.Context) error {
	q := query{c: c}
	page := q.page()
	if err := q.err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")), page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderAPIKey))
}

// Get answers with one pair of a project.
func (h *APIKeys) Get(c *gin.Context) error {
	out, err := h.service.Get(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")), models.KeyID(c.Param("key_id")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderAPIKey(out))
}

// nullableTime tells a time that is absent from one that is null.
type nullableTime struct {
	at   *time.Time
	null bool
}

// SetNull notes a null.
func (n *nullableTime) SetNull() { n.null = true }

// UnmarshalJSON takes an RFC 3339 time.
func (n *nullableTime) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &n.at) }

type patchAPIKeyRequest struct {
	Name       *string         `json:"name" validate:"omitempty,notblank,max=100,line"`
	Scopes     *[]models.Scope `json:"scopes" validate:"omitempty,min=1,max=20,dive,oneof=* tokens:create rooms:read rooms:write egress:write ingress:write usage:read webhooks:write keys:write"`
	ExpiresAt  nullableTime    `json:"expires_at" pulse:"nullable"`
	AllowedIPs *[]string       `json:"allowed_ips" validate:"omitempty,max=100,dive,max=64"`
}

// Patch changes the fields sent; expires_at null takes the end away.
func (h *APIKeys) Patch(c *gin.Context) error {
	var in patchAPIKeyRequest
	if err := h.requests.body(c, &in); err != nil {
		return err
	}
	out, err := h.service.Update(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")), models.KeyID(c.Param("key_id")),
		tenancy.KeyPairChange{
			Name: in.Name, Scopes: in.Scopes, AllowedIPs: in.AllowedIPs,
			ExpiresAt: in.ExpiresAt.at, NoExpiry: in.ExpiresAt.null,
		})
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderAPIKey(out))
}

// Delete ends a pair.
func (h *APIKeys) Delete(c *gin.Context) error {
	q := query{c: c}
	force := q.flag("force")
	if err := q.err(); err != nil {
		return err
	}
	if err := h.service.Delete(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")), models.KeyID(c.Param("key_id")), force); err != nil {
		return err
	}
	return done(c)
}
