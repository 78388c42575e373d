package tenancy

import (
	"context"
	"errors"
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

// project deletes one project as it was read; conflict database.ChangedSince.
func (r deletion) project(ctx context.Context, projects *database.Projects, t models.Tenant, p *models.Project, now time.Time) (err error) {
	entry, err := r.trail.Begin(ctx, r.actor, audit.Event{
		OrgID: p.OrgID, ProjectID: p.ID, Action: "project.deleted", Type: "project", ID: string(p.ID),
		Before: map[string]any{"name": p.Name},
	})
	if err != nil {
		return err
	}
	defer entry.End(ctx, &err)
	_, err = projects.SoftDelete(ctx, t, p, now)
	r.changes.Publish(models.ProjectChanged(p.ID))
	return err
}

// projectsOf deletes projects of an organization, up to deletedAtOnce; done reports
// that none is left.
func (r deletion) projectsOf(ctx context.Context, projects *database.Projects, org models.OrganizationID, now time.Time) (done bool, err error) {
	err = r.trail.Reapply(ctx, "", func(ctx context.Context) error {
		list, err := projects.List(ctx, models.TenantOf(org), database.ProjectFilter{}, database.Page{Limit: deletedAtOnce})
		for i := 0; err == nil && i < len(list); i++ {
			err = r.project(ctx, projects, models.TenantOf(org), &list[i], now)
		}
		done = len(list) < deletedAtOnce
		return err
	})
	return done && err == nil, err
}

// lateFor is how long after the deletion of an organization a request that began
// before it may still store something. It is more than a request takes.
const lateFor = 2 * time.Minute

// Delete deletes an organization with one write, after which nothing of it works: its
// people, keys and tokens are refused because of it, on other replicas within a second.
// Its projects and people are then deleted too, each project with its own entry and
// event: the first ones before this returns, the rest by FinishDeletions. The documents
// remain.
func (s *Organizations) Delete(ctx context.Context, actor *models.Principal, id models.OrganizationID) (err error) {
	if err := actor.May(models.ActionOrganizationDelete); err != nil {
		return err
	}
	org, err := s.change(ctx, actor, id, func(org *models.Organization) organizationWrite {
		return organizationWrite{action: "organization.deleted", before: map[string]any{"name": org.Name}, write: func() (models.Organization, error) {
			return s.c.Organizations.SoftDelete(ctx, actor.Tenant(), org, models.OrganizationDeletion{
				Pending: true, Kind: actor.Kind, UserID: actor.UserID, SessionID: actor.SessionID, Origin: actor.Origin,
			}, s.c.Now())
		}}
	})
	if err != nil {
		return err
	}
	// The organization is deleted, whatever happens now.
	_, _ = s.finishDeletion(ctx, &org)
	return nil
}

// finishDeletion ends the login sessions of a deleted organization, frees its addresses
// and deletes a part of its projects; done reports that all are deleted. It may be
// repeated, also by two processes at once.
func (s *Organizations) finishDeletion(ctx context.Context, org *models.Organization) (done bool, err error) {
	if err := s.c.Logins.EndOf(ctx, org.ID); err != nil {
		return false, err
	}
	// Later acceptances of invitations find the organization deleted, see Accept.
	if err := s.c.Users.ReleaseOf(ctx, org.ID); err != nil {
		return false, err
	}
	return deletion{s.c.Trail, s.c.Changes, org.Deletion.Actor(org.ID)}.projectsOf(ctx, s.c.Projects, org.ID, s.c.Now())
}

// FinishDeletions does what is left of the deletions of organizations until nothing is
// or ctx ends. A process that dies leaves the rest to the next pass, of any process.
// more is how many organizations have something left that can be done now.
func (s *Organizations) FinishDeletions(ctx context.Context) (more int, err error) {
	var wrong error
	for after := ""; ; {
		leaving, err := s.c.Organizations.Leaving(ctx, database.Page{After: after, Limit: deletedAtOnce})
		if err != nil || len(leaving) == 0 {
			return more, errors.Join(wrong, err)
		}
		for i := range leaving {
			org := &leaving[i]
			after = string(org.ID)
			done, err := s.finishDeletion(ctx, org)
			// The others do not wait for one that fails.
			wrong = errors.Join(wrong, err)
			if err == nil && !done {
				more++
			}
			if done && s.c.Now().Sub(*org.DeletedAt) > lateFor {
				wrong = errors.Join(wrong, s.c.Organizations.Left(ctx, org.ID))
			}
		}
	}
}

// key deletes one API key as it was read; conflict database.ChangedSince.
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
	return r.trail.Reapply(ctx, "", func(ctx context.Context) error {
		for {
			list, err := keys.CreatedBy(ctx, org, by, deletedAtOnce)
			if err != nil || len(list) == 0 {
				return err
			}
			for i := range list {
				k := &list[i]
				err := r.key(ctx, k, func() error {
					err := keys.Remove(ctx, models.TenantOf(org), k)
					r.changes.Publish(models.KeyChanged(k.ID, k.Key))
					return err
				})
				if err != nil {
					return err
				}
			}
		}
	})
}
