package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const projects = "projects"

// projectsCollection holds the tenants' projects.
func projectsCollection() Collection {
	return Collection{
		Name: projects,
		Fields: []Field{
			{Name: "org_id", Kind: String}, {Name: "pulse_api_key", Kind: String}, {Name: "name", Kind: String},
			{Name: "name_key", Kind: String}, {Name: "is_deleted", Kind: Bool}, {Name: "keys_version", Kind: Int},
			{Name: "version", Kind: Int}, {Name: "updated_at", Kind: Time},
		},
		Indexes: []Index{
			{Keys: []string{"pulse_api_key"}, Unique: true},
			{Keys: []string{"org_id"}},
			{Keys: []string{"org_id", "_id"}},
			{Keys: []string{"is_deleted"}},
			{Keys: []string{"is_deleted", "_id"}},
			{Keys: []string{"org_id", "name"}},
			{Keys: []string{"name_key"}},
		},
		Sealed: []Sealed{{Field: "storage.secret", Purpose: "storage", BoundTo: "storage|{id}"}},
	}
}

// Projects is the repository of projects.
type Projects struct{ engine Engine }

// NewProjects returns the repository over an engine.
func NewProjects(e Engine) *Projects { return &Projects{e} }

// ProjectFilter narrows a list; empty fields do not.
type ProjectFilter struct {
	Organization models.OrganizationID
	// Prefix is the start of the folded name.
	Prefix string
}

// ProjectChange is a partial update; nil fields do not change.
type ProjectChange struct {
	Name         *string
	NameKey      *string
	Region       *string
	ClientTokens models.ClientTokensChange
	Agents       *[]string
	Limits       models.ProjectLimitsChange
	Recording    *models.RecordingChange
	Storage      *StorageChange
}

// StorageChange sets a project's storage; To nil is none.
type StorageChange struct{ To *models.Storage }

func (r *Projects) own(t models.Tenant, id models.ProjectID) (bson.D, error) {
	if held := t.Project(); held != "" && held != id {
		return nil, models.NotFound()
	}
	filter, err := ofOrganization(t)
	if err != nil {
		return nil, err
	}
	return append(filter, bson.E{Key: "_id", Value: string(id)}, alive()), nil
}

// Insert stores a new project.
func (r *Projects) Insert(ctx context.Context, p *models.Project) error {
	return insertOnce(ctx, r.engine, projects, p, string(p.ID))
}

// Get reads one project of a tenant, or not_found.
func (r *Projects) Get(ctx context.Context, t models.Tenant, id models.ProjectID) (models.Project, error) {
	filter, err := r.own(t, id)
	if err != nil {
		return models.Project{}, err
	}
	return one[models.Project](ctx, r.engine, projects, Query{Filter: filter})
}

// Named reads one project of any tenant, including deleted ones, for background
// work; or not_found.
func (r *Projects) Named(ctx context.Context, id models.ProjectID) (models.Project, error) {
	return one[models.Project](ctx, r.engine, projects, Query{Filter: bson.D{{Key: "_id", Value: string(id)}}})
}

// OfOrganization calls each for the ids of an organization's projects, up to
// limit. It reads them page by page, in order of their ids.
func (r *Projects) OfOrganization(ctx context.Context, org models.OrganizationID, limit int64, each func(models.ProjectID)) error {
	type project struct {
		ID models.ProjectID `bson:"_id"`
	}
	return pages(ctx, r.engine, projects, bson.D{{Key: "org_id", Value: string(org)}, alive()}, "_id", limit,
		func(p *project) string { return string(p.ID) },
		func(p project) error { each(p.ID); return nil })
}

// List reads a page of a tenant's projects.
func (r *Projects) List(ctx context.Context, t models.Tenant, f ProjectFilter, p Page) ([]models.Project, error) {
	filter, err := ofProject(t, "_id")
	if err != nil {
		return nil, err
	}
	filter = append(filter, alive())
	if org, all := t.Organization(); f.Organization != "" {
		if !all && f.Organization != org {
			return []models.Project{}, nil
		}
		if all {
			filter = append(filter, bson.E{Key: "org_id", Value: string(f.Organization)})
		}
	}
	if t.Project() != "" && p.After != "" {
		// An API key sees one project, so there is no second page.
		return []models.Project{}, nil
	}
	if f.Prefix != "" {
		filter = append(filter, bson.E{Key: "name_key", Value: prefixed(f.Prefix)})
	}
	return page[models.Project](ctx, r.engine, projects, filter, p)
}

// Update changes one project of a tenant, as it was read, and returns it; conflict
// ChangedSince.
func (r *Projects) Update(ctx context.Context, t models.Tenant, read *models.Project, c ProjectChange, now time.Time) (models.Project, error) {
	filter, err := r.asRead(t, read)
	if err != nil {
		return models.Project{}, err
	}
	set := fields{{Key: "updated_at", Value: now}}
	setIf(&set, "name", c.Name)
	setIf(&set, "name_key", c.NameKey)
	setIf(&set, "region", c.Region)
	setIf(&set, "client_tokens.enabled", c.ClientTokens.Enabled)
	setIf(&set, "client_tokens.max_ttl_seconds", c.ClientTokens.MaxTTLSeconds)
	setIf(&set, "client_tokens.grants", c.ClientTokens.Grants)
	setIf(&set, "client_tokens.allowed_origins", c.ClientTokens.AllowedOrigins)
	setIf(&set, "client_tokens.allowed_rooms", c.ClientTokens.AllowedRooms)
	setIf(&set, "client_tokens.identities", c.ClientTokens.Identities)
	setIf(&set, "client_tokens.agents", c.ClientTokens.Agents)
	setIf(&set, "agents", c.Agents)
	if c.Limits != (models.ProjectLimitsChange{}) {
		set = append(set, bson.E{Key: "limits_changed_at", Value: now})
	}
	setIf(&set, "limits.requests_per_minute", c.Limits.RequestsPerMinute)
	setIf(&set, "limits.concurrent_participants", c.Limits.ConcurrentParticipants)
	setIf(&set, "limits.concurrent_agents", c.Limits.ConcurrentAgents)
	setIf(&set, "limits.rooms", c.Limits.Rooms)
	setIf(&set, "limits.participant_minutes_per_month", c.Limits.ParticipantMinutes)
	setIf(&set, "limits.egress_minutes_per_month", c.Limits.EgressMinutes)
	setIf(&set, "limits.concurrent_egresses", c.Limits.ConcurrentEgresses)
	setIf(&set, "limits.concurrent_ingresses", c.Limits.ConcurrentIngresses)
	if c.Recording != nil {
		setIf(&set, "recording.enabled", c.Recording.Enabled)
		setIf(&set, "recording.layout", c.Recording.Layout)
		setIf(&set, "recording.encoding", c.Recording.Encoding)
		setIf(&set, "recording.audio_only", c.Recording.AudioOnly)
	}
	if c.Storage != nil {
		set = append(set, bson.E{Key: "storage", Value: c.Storage.To})
	}
	return changedAsRead[models.Project](ctx, r.engine, projects, filter, set.update())
}

func (r *Projects) asRead(t models.Tenant, read *models.Project) (bson.D, error) {
	filter, err := r.own(t, read.ID)
	return asRead(filter, read.Version, read.UpdatedAt), err
}

// ReplaceKey replaces the first API key of a project, if it is still the old
// one; conflict ChangedSince.
func (r *Projects) ReplaceKey(ctx context.Context, t models.Tenant, id models.ProjectID, old, fresh string, now time.Time) (models.Project, error) {
	filter, err := r.own(t, id)
	if err != nil {
		return models.Project{}, err
	}
	filter = append(filter, bson.E{Key: "pulse_api_key", Value: old})
	return changedAsRead[models.Project](ctx, r.engine, projects, filter, fields{
		{Key: "pulse_api_key", Value: fresh}, {Key: "updated_at", Value: now},
	}.update())
}

// SetLeavingKeys stores which API keys of a project are being deleted, if the
// version is still the same; conflict ChangedSince.
func (r *Projects) SetLeavingKeys(ctx context.Context, t models.Tenant, id models.ProjectID, version int64, leaving []models.LeavingKey) error {
	filter, err := r.own(t, id)
	if err != nil {
		return err
	}
	filter = append(filter, bson.E{Key: "keys_version", Value: version})
	_, err = changed[models.Project](ctx, r.engine, projects, filter, fields{
		{Key: "leaving_keys", Value: leaving}, {Key: "keys_version", Value: version + 1},
	}.update())
	if models.IsKind(err, models.KindNotFound) {
		err = ErrChangedSince()
	}
	return err
}

// SoftDelete marks one project of a tenant, as it was read, as deleted and returns
// it; conflict ChangedSince.
func (r *Projects) SoftDelete(ctx context.Context, t models.Tenant, read *models.Project, now time.Time) (models.Project, error) {
	filter, err := r.asRead(t, read)
	if err != nil {
		return models.Project{}, err
	}
	return changedAsRead[models.Project](ctx, r.engine, projects, filter, fields{
		{Key: "is_deleted", Value: true}, {Key: "deleted_at", Value: now}, {Key: "updated_at", Value: now},
	}.update())
}
