package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/weborigin"
)

// Projects serves /v1/projects.
type Projects struct {
	requests *request.Reader
	service  *tenancy.Projects
}

// NewProjects makes the handlers of a service.
func NewProjects(r *request.Reader, s *tenancy.Projects) *Projects { return &Projects{r, s} }

// Project is a project in /v1.
type Project struct {
	ID           models.ProjectID      `json:"id"`
	OrgID        models.OrganizationID `json:"org_id"`
	Name         string                `json:"name"`
	Region       string                `json:"region"`
	PulseAPIKey  string                `json:"pulse_api_key"`
	ClientTokens ClientTokens          `json:"client_tokens"`
	// Agents are the names of LiveKit agents its tokens may dispatch; "*" is all.
	Agents []string      `json:"agents"`
	Limits ProjectLimits `json:"limits"`
	// Storage is null where nothing can be recorded.
	Storage   *ProjectStorage `json:"storage"`
	Recording Recording       `json:"recording"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
}

// ClientTokens is the policy for tokens requested with a key alone.
type ClientTokens struct {
	Enabled        bool     `json:"enabled"`
	MaxTTLSeconds  int64    `json:"max_ttl_seconds"`
	Grants         Grants   `json:"grants"`
	AllowedOrigins []string `json:"allowed_origins"`
	// AllowedRooms are patterns in which * stands for any characters.
	AllowedRooms []string          `json:"allowed_rooms"`
	Identities   models.Identities `json:"identities"`
	Agents       []string          `json:"agents"`
}

// ProjectLimits are set by the operator; 0 means the default of the plan or the
// installation.
type ProjectLimits struct {
	RequestsPerMinute      int64 `json:"requests_per_minute"`
	ConcurrentParticipants int64 `json:"concurrent_participants"`
	ConcurrentAgents       int64 `json:"concurrent_agents"`
	Rooms                  int64 `json:"rooms"`
	ParticipantMinutes     int64 `json:"participant_minutes_per_month"`
	EgressMinutes          int64 `json:"egress_minutes_per_month"`
	ConcurrentEgresses     int64 `json:"concurrent_egresses"`
	ConcurrentIngresses    int64 `json:"concurrent_ingresses"`
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
			Grants: renderGrants(p.ClientTokens.Grants), AllowedOrigins: origins, AllowedRooms: p.ClientTokens.AllowedRooms,
			Identities: p.ClientTokens.Identities, Agents: p.ClientTokens.Agents,
		},
		Agents:    p.Agents,
		Limits:    ProjectLimits(p.Limits),
		Storage:   renderStorage(p.Storage),
		Recording: Recording(p.Recording),
		CreatedAt: instant(p.CreatedAt), UpdatedAt: instant(p.UpdatedAt),
	}
}

// KeyedProject is a project with a new key pair, whose secret is not shown
// again.
type KeyedProject struct {
	Project        Project `json:"project"`
	PulseAPIKey    string  `json:"pulse_api_key"`
	PulseAPISecret string  `json:"pulse_api_secret"`
}

func renderKeyed(k tenancy.KeyedProject) KeyedProject {
	return KeyedProject{Project: renderProject(k.Project), PulseAPIKey: k.Key, PulseAPISecret: k.Secret.Reveal()}
}

type createProjectRequest struct {
	Name   string                `json:"name" validate:"required,notblank,max=100,line"`
	Region string                `json:"region" validate:"omitempty,max=64,region"`
	OrgID  models.OrganizationID `json:"org_id" validate:"max=64"`
}

// Create creates a project and its first key pair.
func (h *Projects) Create(c *gin.Context) error {
	var in createProjectRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	out, err := h.service.Create(c.Request.Context(), actor(c),
		tenancy.ProjectInput{Name: in.Name, Region: in.Region, OrgID: in.OrgID})
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, renderKeyed(out))
}

// List returns a page of projects.
func (h *Projects) List(c *gin.Context) error {
	q := request.NewQuery(c)
	page, search, org := pageOf(q), q.Text("q"), q.Text("org_id")
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), actor(c),
		tenancy.ProjectQuery{OrgID: models.OrganizationID(org), Query: search}, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderProject))
}

// Get returns one project.
func (h *Projects) Get(c *gin.Context) error {
	out, err := h.service.Get(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderProject(out))
}

type clientTokensRequest struct {
	Enabled        *bool                       `json:"enabled"`
	MaxTTLSeconds  *int64                      `json:"max_ttl_seconds" validate:"omitempty,min=30,max=86400"`
	Grants         *grantsRequest              `json:"grants"`
	AllowedOrigins request.Clearable[[]string] `json:"allowed_origins" validate:"omitempty,max=100,dive,max=255,origin"`
	AllowedRooms   request.Clearable[[]string] `json:"allowed_rooms" validate:"omitempty,max=100,dive,roomname"`
	Identities     *models.Identities          `json:"identities" validate:"omitempty,oneof=any generated"`
	Agents         request.Clearable[[]string] `json:"agents" validate:"omitempty,max=100,dive,min=1,max=128,line"`
}

type limitsRequest struct {
	RequestsPerMinute      request.Clearable[int64] `json:"requests_per_minute" validate:"omitempty,min=0,max=100000000"`
	ConcurrentParticipants request.Clearable[int64] `json:"concurrent_participants" validate:"omitempty,min=0,max=100000000"`
	ConcurrentAgents       request.Clearable[int64] `json:"concurrent_agents" validate:"omitempty,min=0,max=100000000"`
	Rooms                  request.Clearable[int64] `json:"rooms" validate:"omitempty,min=0,max=100000000"`
	ParticipantMinutes     request.Clearable[int64] `json:"participant_minutes_per_month" validate:"omitempty,min=0,max=100000000"`
	EgressMinutes          request.Clearable[int64] `json:"egress_minutes_per_month" validate:"omitempty,min=0,max=100000000"`
	ConcurrentEgresses     request.Clearable[int64] `json:"concurrent_egresses" validate:"omitempty,min=0,max=100000000"`
	ConcurrentIngresses    request.Clearable[int64] `json:"concurrent_ingresses" validate:"omitempty,min=0,max=100000000"`
}

func (r limitsRequest) change() models.ProjectLimitsChange {
	return models.ProjectLimitsChange{
		RequestsPerMinute: r.RequestsPerMinute.Value, ConcurrentParticipants: r.ConcurrentParticipants.Value,
		ConcurrentAgents: r.ConcurrentAgents.Value, Rooms: r.Rooms.Value,
		ParticipantMinutes: r.ParticipantMinutes.Value, EgressMinutes: r.EgressMinutes.Value,
		ConcurrentEgresses: r.ConcurrentEgresses.Value, ConcurrentIngresses: r.ConcurrentIngresses.Value,
	}
}

type putProjectRequest struct {
	Name         string                      `json:"name" validate:"required,notblank,max=100,line"`
	Region       string                      `json:"region" validate:"omitempty,max=64,region"`
	ClientTokens clientTokensRequest         `json:"client_tokens"`
	Agents       request.Clearable[[]string] `json:"agents" validate:"omitempty,max=100,dive,min=1,max=128,line"`
	Limits       limitsRequest               `json:"limits"`
	Storage      *storageRequest             `json:"storage"`
	Recording    *recordingRequest           `json:"recording"`
}

// Put replaces the editable fields: an absent field gets the value it has in a
// new project. Limits and agents are the operator's and stay as they are; so do an
// absent storage, whose credential no answer has, and an absent recording.
func (h *Projects) Put(c *gin.Context) error {
	var in putProjectRequest
	if err := h.requests.Body(c, &in); err != nil {
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
	policy.AllowedRooms = orDefault(policy.AllowedRooms, fresh.AllowedRooms)
	policy.Identities = orDefault(policy.Identities, fresh.Identities)
	policy.Agents = orDefault(policy.Agents, fresh.Agents)
	store, err := storageChange(in.Storage)
	if err != nil {
		return err
	}
	return h.change(c, tenancy.ProjectChange{
		Name: &in.Name, Region: &in.Region, ClientTokens: policy, Agents: in.Agents.Value, Limits: in.Limits.change(),
		Storage: store, Recording: in.Recording.change(),
	})
}

func orDefault[T any](value *T, otherwise T) *T {
	if value != nil {
		return value
	}
	return &otherwise
}

type patchProjectRequest struct {
	Name         *string                           `json:"name" validate:"omitempty,notblank,max=100,line"`
	Region       request.Clearable[string]         `json:"region" validate:"omitempty,max=64,region"`
	ClientTokens clientTokensRequest               `json:"client_tokens"`
	Agents       request.Clearable[[]string]       `json:"agents" validate:"omitempty,max=100,dive,min=1,max=128,line"`
	Limits       limitsRequest                     `json:"limits"`
	Storage      request.Clearable[storageRequest] `json:"storage"`
	Recording    *recordingRequest                 `json:"recording"`
}

// Patch changes the fields sent. Null clears the region, the lists, each limit
// and the storage.
func (h *Projects) Patch(c *gin.Context) error {
	var in patchProjectRequest
	if err := h.requests.Patch(c, &in); err != nil {
		return err
	}
	policy, err := in.ClientTokens.change()
	if err != nil {
		return err
	}
	var store *tenancy.StorageChange
	if in.Storage.Null {
		store = &tenancy.StorageChange{}
	} else if store, err = storageChange(in.Storage.Value); err != nil {
		return err
	}
	return h.change(c, tenancy.ProjectChange{
		Storage: store, Recording: in.Recording.change(),
		Name: in.Name, Region: in.Region.Value, ClientTokens: policy, Agents: in.Agents.Value, Limits: in.Limits.change(),
	})
}

func (r clientTokensRequest) change() (models.ClientTokensChange, error) {
	out := models.ClientTokensChange{Enabled: r.Enabled, MaxTTLSeconds: r.MaxTTLSeconds, AllowedOrigins: r.AllowedOrigins.Value,
		AllowedRooms: r.AllowedRooms.Value, Identities: r.Identities, Agents: r.Agents.Value}
	if r.AllowedOrigins.Value != nil {
		for i, origin := range *r.AllowedOrigins.Value {
			(*r.AllowedOrigins.Value)[i] = weborigin.Serialize(origin)
		}
	}
	if r.Grants != nil {
		if names := r.Grants.serverWide(); len(names) > 0 {
			return out, models.GrantNotAllowed("client_tokens.grants.", names)
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

// Delete deletes a project.
func (h *Projects) Delete(c *gin.Context) error {
	if err := h.service.Delete(c.Request.Context(), actor(c), models.ProjectID(c.Param("id"))); err != nil {
		return err
	}
	return done(c)
}

type regenerateRequest struct {
	GracePeriodSeconds int64 `json:"grace_period_seconds" validate:"min=0,max=604800"`
}

// RegenerateKeys replaces the first key pair of a project.
func (h *Projects) RegenerateKeys(c *gin.Context) error {
	var in regenerateRequest
	if err := h.requests.OptionalBody(c, &in); err != nil {
		return err
	}
	out, err := h.service.RegenerateKeys(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")),
		time.Duration(in.GracePeriodSeconds)*time.Second)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderKeyed(out))
}
