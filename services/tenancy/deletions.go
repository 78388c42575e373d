package tenancy

import (
	"context"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/lookup"
)

// deletedAtOnce is how many projects or keys one read takes that are deleted with
// what they belong to.
const deletedAtOnce = 100

// deletion deletes projects and keys. Each has an entry of its own in the trail, from
// which its event is made once, wherever the process dies.
type deletion struct {
	trail   *audit.Trail
	changes *lookup.Changes
	actor   *models.Principal
}

// project deletes one project; not_found if another process was first.
func (r deletion) project(ctx context.Context, projects *database.Projects, t models.Tenant, p *models.Project, now time.Time) (err error) {
	entry, err := r.trail.Begin(ctx, r.actor, audit.Event{
		OrgID: p.OrgID, ProjectID: p.ID, Action: "project.deleted", Type: "project", ID: string(p.ID),
		Before: map[string]any{"name": p.Name},
	})
	if err != nil {
		return err
	}
	defer entry.End(ctx, &err)
	if _, err = projects.SoftDelete(ctx, t, p.ID, now); err == nil || !models.IsKind(err, models.KindNotFound) {
		r.changes.Publish(models.ProjectChanged(p.ID))
	}
	return err
}

// projectsOf deletes every project of an organization.
func (r deletion) projectsOf(ctx context.Context, projects *database.Projects, org models.OrganizationID, now time.Time) error {
	for {
		list, err := projects.List(ctx, models.TenantOf(org), database.ProjectFilter{}, database.Page{Limit: deletedAtOnce})
		if err != nil || len(list) == 0 {
			return err
		}
		for i := range list {
			err := r.project(ctx, projects, models.TenantOf(org), &list[i], now)
			if err != nil && !models.IsKind(err, models.KindNotFound) {
				return err
			}
		}
	}
}

// key deletes one API key; not_found if another process was first.
func (r deletion) key(ctx context.Context, k *models.APIKey, remove func() error) (err error) {
	entry, err := r.trail.Begin(ctx, r.actor, audit.Event{
		OrgID: k.OrgID, ProjectID: k.ProjectID, Action: "key.deleted", Type: "key", ID: string(k.ID),
		Before: map[string]any{"name": k.Name, "project_id": k.ProjectID},
	})
	if err != nil {
		return err
	}
	defer entry.End(ctx, &err)
	return remove()
}

// keysBy deletes every API key of an organization that a user created.
func (r deletion) keysBy(ctx context.Context, keys *database.APIKeys, org models.OrganizationID, by models.UserID) error {
	for {
		list, err := keys.CreatedBy(ctx, org, by, deletedAtOnce)
		if err != nil || len(list) == 0 {
			return err
		}
		for i := range list {
			k := &list[i]
			err := r.key(ctx, k, func() error {
				err := keys.Remove(ctx, models.TenantOf(org), k.ProjectID, k.ID)
				r.changes.Publish(models.KeyChanged(k.ID, k.Key))
				return err
			})
			if err != nil && !models.IsKind(err, models.KindNotFound) {
				return err
			}
		}
	}
}
