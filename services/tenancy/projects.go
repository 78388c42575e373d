package tenancy

import (
	"context"
	"slices"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/services/storage"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

// MaxGracePeriod is how long an old API key can work after its rotation at most.
const MaxGracePeriod = 7 * 24 * time.Hour

// firstPairName is the name of a new project's first API key.
const firstPairName = "default"

// Projects manages projects and the first API key of each.
type Projects struct{ c ProjectsConfig }

// ProjectsConfig of NewProjects; every field is required.
type ProjectsConfig struct {
	Projects      *database.Projects
	Organizations *database.Organizations
	APIKeys       *database.APIKeys
	KeyAuth       *auth.Keys
	Hasher        *hashing.Hasher
	Cursors       *cursor.Codec
	// Changes is told what every write changed.
	Changes *lookup.Changes
	// Trail records every change.
	Trail *audit.Trail
	// Quotas limits the number of projects of an organization.
	Quotas *quotas.Limits
	// Agents are the agents that projects without a setting of their own may
	// dispatch (AGENTS_DEFAULT).
	Agents []string
	// Vault seals the credentials of storages, whose endpoints Targets judges.
	// EgressLocal tells that egress workers may keep recordings themselves.
	Vault       *storage.Vault
	Targets     TargetGuard
	EgressLocal bool
	Now         func() time.Time
}

// NewProjects builds the service. It fails if a required field is missing.
func NewProjects(c ProjectsConfig) (*Projects, error) {
	return &Projects{c}, required.Fields(c)
}

// ProjectInput is a project to be created. OrgID is for the operator.
type ProjectInput struct {
	Name, Region string
	OrgID        models.OrganizationID
}

// KeyedProject is a project with a new API key, whose secret is shown once.
type KeyedProject struct {
	Project models.Project
	Key     string
	Secret  secret.Value
}

// Create creates a project with its first API key. quota_exceeded if the
// organization's plan does not allow another project.
func (s *Projects) Create(ctx context.Context, actor *models.Principal, in ProjectInput) (out KeyedProject, err error) {
	if err := actor.May(models.ActionProjectCreate); err != nil {
		return KeyedProject{}, err
	}
	org, err := s.organizationFor(ctx, actor, in.OrgID)
	if err != nil {
		return KeyedProject{}, err
	}
	now := s.c.Now()
	project := models.Project{
		ID: models.ProjectID(intent.ID(ctx, models.ProjectPrefix)), OrgID: org, Name: in.Name, NameKey: foldName(in.Name),
		Region: in.Region, ClientTokens: models.DefaultClientTokens(), CreatedAt: now, UpdatedAt: now,
	}
	if out, err := s.createdBefore(ctx, org, project.ID); !models.IsKind(err, models.KindNotFound) {
		return out, err
	}
	settled, err := s.c.Quotas.AdmitProject(ctx, org, project.ID)
	if err != nil {
		return KeyedProject{}, err
	}
	defer func() { settled(err) }()
	// The key comes first: without its project it grants nothing.
	pair, err := mintPair(ctx, s.c.Hasher, models.APIKey{
		ProjectID: project.ID, OrgID: org, Name: firstPairName, Scopes: []models.Scope{models.ScopeAll},
		CreatedBy: actor.UserID, CreatedAt: now,
	})
	if err != nil {
		return KeyedProject{}, err
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: org, ProjectID: project.ID, Action: "project.created", Type: "project", ID: string(project.ID),
		After: map[string]any{"name": in.Name, "region": in.Region, "key_id": pair.Key.ID},
	})
	if err != nil {
		return KeyedProject{}, err
	}
	defer entry.End(ctx, &err)
	if err := s.c.APIKeys.Insert(ctx, &pair.Key); err != nil {
		return KeyedProject{}, err
	}
	project.PulseAPIKey = pair.Key.Key
	if err := s.c.Projects.Insert(ctx, &project); err != nil {
		return KeyedProject{}, err
	}
	s.c.Changes.Publish(models.KeyChanged(pair.Key.ID, pair.Key.Key))
	return KeyedProject{Project: s.complete(project), Key: pair.Key.Key, Secret: pair.Secret}, nil
}

// createdBefore returns the project that an earlier attempt of the same request
// created; not_found if none did.
func (s *Projects) createdBefore(ctx context.Context, org models.OrganizationID, id models.ProjectID) (KeyedProject, error) {
	if !intent.Resumed(ctx) {
		return KeyedProject{}, models.NotFound()
	}
	project, err := s.c.Projects.Get(ctx, models.TenantOf(org), id)
	if err != nil {
		return KeyedProject{}, err
	}
	pair, err := madeBefore(ctx, s.c.APIKeys, models.TenantOf(org), id)
	return KeyedProject{Project: s.complete(project), Key: pair.Key.Key, Secret: pair.Secret}, err
}

func (s *Projects) organizationFor(ctx context.Context, actor *models.Principal, asked models.OrganizationID) (models.OrganizationID, error) {
	if actor.Kind != models.CallerOperator {
		if asked != "" && asked != actor.OrgID {
			return "", models.NotFound()
		}
		return actor.OrgID, nil
	}
	if asked == "" {
		return "", models.Invalid(models.FieldError{Location: "org_id", Message: "is required for the operator"})
	}
	org, err := s.c.Organizations.Get(ctx, actor.Tenant(), asked)
	return org.ID, err
}

// Get reads one project of the caller's tenant.
func (s *Projects) Get(ctx context.Context, actor *models.Principal, id models.ProjectID) (models.Project, error) {
	if err := actor.May(models.ActionProjectRead); err != nil {
		return models.Project{}, err
	}
	project, err := s.c.Projects.Get(ctx, actor.Tenant(), id)
	return s.complete(project), err
}

// complete fills in the settings that a project takes from the installation, or
// that documents of earlier versions lack.
func (s *Projects) complete(p models.Project) models.Project {
	p.ClientTokens.Complete()
	if p.Agents == nil {
		p.Agents = slices.Concat([]string{}, s.c.Agents)
	}
	return p
}

// ProjectQuery filters List; Query is a prefix of the name.
type ProjectQuery struct {
	OrgID models.OrganizationID
	Query string
}

// List reads a page of the projects that the caller may see.
func (s *Projects) List(ctx context.Context, actor *models.Principal, q ProjectQuery, p paging.Request) (paging.Page[models.Project], error) {
	if err := actor.May(models.ActionProjectRead); err != nil {
		return paging.Page[models.Project]{}, err
	}
	page, err := paging.ByID(s.c.Cursors, actor, "projects|"+string(q.OrgID), p, func(at database.Page) ([]models.Project, error) {
		return s.c.Projects.List(ctx, actor.Tenant(), database.ProjectFilter{Organization: q.OrgID, Prefix: foldName(q.Query)}, at)
	}, func(p models.Project) string { return string(p.ID) })
	for i := range page.Items {
		page.Items[i] = s.complete(page.Items[i])
	}
	return page, err
}

// ProjectChange is a partial update; nil keeps a field.
type ProjectChange struct {
	Name         *string
	Region       *string
	ClientTokens models.ClientTokensChange
	// Agents and Limits are the operator's to change; a nil list of agents stands
	// for the installation's default.
	Agents    *[]string
	Limits    models.ProjectLimitsChange
	Recording *models.RecordingChange
	Storage   *StorageChange
}

// Update changes a project.
func (s *Projects) Update(ctx context.Context, actor *models.Principal, id models.ProjectID, c ProjectChange) (project models.Project, err error) {
	if err := actor.May(models.ActionProjectUpdate); err != nil {
		return models.Project{}, err
	}
	if c.Limits != (models.ProjectLimitsChange{}) || c.Agents != nil {
		if err := actor.May(models.ActionLimitsChange); err != nil {
			return models.Project{}, err
		}
	}
	err = s.c.Trail.Reapply(ctx, string(id), func(ctx context.Context) error {
		project, err = s.update(ctx, actor, id, c)
		return err
	})
	if err != nil {
		return models.Project{}, err
	}
	s.c.Changes.Publish(models.ProjectChanged(id))
	return s.complete(project), nil
}

// update changes a project as it is read now; conflict database.ChangedSince.
func (s *Projects) update(ctx context.Context, actor *models.Principal, id models.ProjectID, c ProjectChange) (project models.Project, err error) {
	before, err := s.c.Projects.Get(ctx, actor.Tenant(), id)
	if err != nil {
		return models.Project{}, err
	}
	store, err := s.storageChange(ctx, &before, c)
	if err != nil {
		return models.Project{}, err
	}
	entry, err := s.c.Trail.Begin(ctx, actor, projectUpdated(&before, c, store))
	if err != nil {
		return models.Project{}, err
	}
	defer entry.End(ctx, &err)
	return s.c.Projects.Update(ctx, actor.Tenant(), &before, database.ProjectChange{
		Name: c.Name, NameKey: foldNameIf(c.Name), Region: c.Region, ClientTokens: c.ClientTokens, Agents: c.Agents, Limits: c.Limits,
		Recording: c.Recording, Storage: store,
	}, s.c.Now())
}

// Delete deletes a project: its keys stop at once; the document remains.
func (s *Projects) Delete(ctx context.Context, actor *models.Principal, id models.ProjectID) (err error) {
	if err := actor.May(models.ActionProjectDelete); err != nil {
		return err
	}
	var project models.Project
	err = s.c.Trail.Reapply(ctx, "", func(ctx context.Context) error {
		if project, err = s.c.Projects.Get(ctx, actor.Tenant(), id); err != nil {
			return err
		}
		return deletion{s.c.Trail, s.c.Changes, actor}.project(ctx, s.c.Projects, actor.Tenant(), &project, s.c.Now())
	})
	if err != nil {
		return err
	}
	s.c.Quotas.ProjectGone(ctx, project.OrgID, id)
	return nil
}
