package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/services/tokens"
)

// Projects serves /v1/projects.
type Projects struct {
	requests *Requests
	service  *tenancy.Projects
}

// NewProjects serves a service.
func NewProjects(r *Requests, s *tenancy.Projects) *Projects { return &Projects{r, s} }

// Project is a project as /v1 shows it.
type Project struct {
	ID           models.ProjectID      `json:"id"`
	OrgID        models.OrganizationID `json:"org_id"`
	Name         string                `json:"name"`
	Region       string                `json:"region"`
	PulseAPIKey  string                `json:"pulse_api_key"`
	ClientTokens ClientTokens          `json:"client_tokens"`
	Limits       ProjectLimits         `json:"limits"`
	CreatedAt    time.Time             `json:"created_at"`
	UpdatedAt    time.Time             `json:"updated_at"`
}

// ClientTokens is the policy for tokens a key alone may ask for.
type ClientTokens struct {
	Enabled        bool     `json:"enabled"`
	MaxTTLSeconds  int64    `json:"max_ttl_seconds"`
	Grants         Grants   `json:"grants"`
	AllowedOrigins []string `json:"allowed_origins"`
}

// ProjectLimits are set by the operator; 0 is the plan's or the installation's
// default.
type ProjectLimits struct {
	RequestsPerMinute      int64 `json:"requests_per_minute"`
	ConcurrentParticipants int64 `json:"concurrent_participants"`
	ConcurrentAgents       int64 `json:"concurrent_agents"`
	Rooms                  int64 `json:"rooms"`
	ParticipantMinutes     int64 `json:"participant_minutes_per_month"`
	EgressMinutes          int64 `json:"egress_minutes_per_month"`
}

func renderProject(p models.Project) Project {
	origins := p.ClientTokens.AllowedOrigins
	if origins == nil {
		origins = []string{}
	}
	return Project{
		ID: p.ID, OrgID: p.OrgID, Name: p.Name, Region: p.Region, PulseAPIKey: p.PulseAPIKey,
		ClientTokens: ClientTokens{
			Enabled: p.ClientTokens.Enabled, MaxTTLSeconds: p.ClientTokens.MaxTTLSeconds,
			Grants: renderGrants(p.ClientTokens.Grants), AllowedOrigins: origins,
		},
		Limits:    ProjectLimits(p.Limits),
		CreatedAt: instant(p.CreatedAt), UpdatedAt: instant(p.UpdatedAt),
	}
}

// KeyedProject is a project with a key pair whose secret is shown this once.
type KeyedProject struct {
	Project        Project `json:"project"`
	PulseAPIKey    string  `json:"pulse_api_key"`
	PulseAPISecret string  `json:"pulse_api_secret"`
}

func renderKeyed(k tenancy.KeyedProject) KeyedProject {
	return KeyedProject{renderProject(k.Project), k.Key, k.Secret.Reveal()}
}

type createProjectRequest struct {
	Name   string                `json:"name" validate:"required,notblank,max=100,line"`
	Region string                `json:"region" validate:"omitempty,max=64,region"`
	OrgID  models.OrganizationID `json:"org_id" validate:"max=64"`
}

// Create makes a project and its first key pair.
func (h *Projects) Create(c *gin.Context) error {
	var in createProjectRequest
	if err := h.requests.body(c, &in); err != nil {
		return err
	}
	out, err := h.service.Create(c.Request.Context(), actor(c),
		tenancy.ProjectInput{Name: in.Name, Region: in.Region, OrgID: in.OrgID})
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, renderKeyed(out))
}

// List answers with a page of projects.
func (h *Projects) List(c *gin.Context) error {
	q := query{c: c}
	page, search, org := q.page(), q.text("q", maxQuery), q.text("org_id", maxQuery)
	if err := q.err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), actor(c),
		tenancy.ProjectQuery{OrgID: models.OrganizationID(org), Query: search}, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderProject))
}

// Get answers with one project.
func (h *Projects) Get(c *gin.Context) error {
	out, err := h.service.Get(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderProject(out))
}

type clientTokensRequest struct {
	Enabled        *bool          `json:"enabled"`
	MaxTTLSeconds  *int64         `json:"max_ttl_seconds" validate:"omitempty,min=30,max=86400"`
	Grants         *grantsRequest `json:"grants"`
	AllowedOrigins *[]string      `json:"allowed_origins" validate:"omitempty,max=100,dive,max=255,origin"`
}

type limitsRequest struct {
	RequestsPerMinute      *int64 `json:"requests_per_minute" validate:"omitempty,min=0,max=100000000"`
	ConcurrentParticipants *int64 `json:"concurrent_participants" validate:"omitempty,min=0,max=100000000"`
	ConcurrentAgents       *int64 `json:"concurrent_agents" validate:"omitempty,min=0,max=100000000"`
	Rooms                  *int64 `json:"rooms" validate:"omitempty,min=0,max=100000000"`
	ParticipantMinutes     *int64 `json:"participant_minutes_per_month" validate:"omitempty,min=0,max=100000000"`
	EgressMinutes          *int64 `json:"egress_minutes_per_month" validate:"omitempty,min=0,max=100000000"`
}

type putProjectRequest struct {
	Name         string              `json:"name" validate:"required,notblank,max=100,line"`
	Region       string              `json:"region" validate:"omitempty,max=64,region"`
	ClientTokens clientTokensRequest `json:"client_tokens"`
	Limits       limitsRequest       `json:"limits"`
}

// Put replaces the editable fields: what is not sent becomes what it is in a
// new project, except the limits, which are the operator's.
func (h *Projects) Put(c *gin.Context) error {
	var in putProjectRequest
	if err := h.requests.body(c, &in); err != nil {
		return err
	}
	policy, err := in.ClientTokens.change()
	if err != nil {
		return err
	}
	fresh := models.DefaultClientTokens()
	policy.Enabled = orDefault(policy.Enabled, fresh.Enabled)
	policy.MaxTTLSeconds = orDefault(policy.MaxTTLSeconds, fresh.MaxTTLSeconds)
	policy.Grants = orDefault(policy.Grants, fresh.Grants)
	policy.AllowedOrigins = orDefault(policy.AllowedOrigins, fresh.AllowedOrigins)
	return h.change(c, tenancy.ProjectChange{
		Name: &in.Name, Region: &in.Region, ClientTokens: policy, Limits: models.ProjectLimitsChange(in.Limits),
	})
}

func orDefault[T any](value *T, otherwise T) *T {
	if value != nil {
		return value
	}
	return &otherwise
}

type patchProjectRequest struct {
	Name         *string             `json:"name" validate:"omitempty,notblank,max=100,line"`
	Region       *string             `json:"region" validate:"omitempty,max=64,region"`
	ClientTokens clientTokensRequest `json:"client_tokens"`
	Limits       limitsRequest       `json:"limits"`
}

// Patch changes the fields sent.
func (h *Projects) Patch(c *gin.Context) error {
	var in patchProjectRequest
	if err := h.requests.body(c, &in); err != nil {
		return err
	}
	policy, err := in.ClientTokens.change()
	if err != nil {
		return err
	}
	return h.change(c, tenancy.ProjectChange{
		Name: in.Name, Region: in.Region, ClientTokens: policy, Limits: models.ProjectLimitsChange(in.Limits),
	})
}

func (r clientTokensRequest) change() (models.ClientTokensChange, error) {
	out := models.ClientTokensChange{Enabled: r.Enabled, MaxTTLSeconds: r.MaxTTLSeconds, AllowedOrigins: r.AllowedOrigins}
	if r.Grants != nil {
		if names := r.Grants.serverWide(); len(names) > 0 {
			return out, tokens.GrantNotAllowed("body.client_tokens.grants.", names)
		}
		grants := r.Grants.VideoGrants()
		out.Grants = &grants
	}
	return out, nil
}

func (h *Projects) change(c *gin.Context, change tenancy.ProjectChange) error {
	out, err := h.service.Update(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")), change)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderProject(out))
}

// Delete closes a project.
func (h *Projects) Delete(c *gin.Context) error {
	if err := h.service.Delete(c.Request.Context(), actor(c), models.ProjectID(c.Param("id"))); err != nil {
		return err
	}
	return done(c)
}

type regenerateRequest struct {
	GracePeriodSeconds int64 `json:"grace_period_seconds" validate:"min=0,max=604800"`
}

// RegenerateKeys gives a project a new first key pair.
func (h *Projects) RegenerateKeys(c *gin.Context) error {
	var in regenerateRequest
	if err := h.requests.optionalBody(c, &in); err != nil {
		return err
	}
	out, err := h.service.RegenerateKeys(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")),
		time.Duration(in.GracePeriodSeconds)*time.Second)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderKeyed(out))
}
