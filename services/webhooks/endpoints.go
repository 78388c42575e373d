package webhooks

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/events"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/safedial"
	"pulse-control-plane/utils/secret"
)

// Limits of endpoints.
const (
	// MaxGracePeriod is how long a previous secret signs too at most.
	MaxGracePeriod = 7 * 24 * time.Hour
	// MaxPatterns is how many patterns of events an endpoint has at most.
	MaxPatterns = 50
)

// Endpoints are the URLs that tenants have events sent to. It is safe for
// concurrent use.
type Endpoints struct {
	c       EndpointsConfig
	secrets secrets
}

// EndpointsConfig of NewEndpoints; every field is required.
type EndpointsConfig struct {
	Endpoints     *database.Endpoints
	Deliveries    *database.Deliveries
	Events        *database.Events
	Projects      *database.Projects
	Organizations *database.Organizations
	Log           *events.Log
	Guard         *safedial.Guard
	// Secret seals the secrets of endpoints.
	Secret  *database.SealedField
	Cursors *cursor.Codec
	Trail   *audit.Trail
	// Wake has the deliveries of endpoints sent, Recover what Recovery does done.
	Wake    func(ids ...models.EndpointID)
	Recover func()
	Now     func() time.Time
}

// NewEndpoints builds the service. It fails if a required field is missing.
func NewEndpoints(c EndpointsConfig) (*Endpoints, error) {
	return &Endpoints{c: c, secrets: secrets{c.Secret}}, required.Fields(c)
}

// Owner is whose endpoints a caller means: an organization's own, or else a
// project's. The project of a key need not be named.
type Owner struct {
	Project models.ProjectID
	Org     models.OrganizationID
}

// owned is an owner that was found, with its organization.
type owned struct {
	project models.ProjectID
	org     models.OrganizationID
}

func (o owned) key() string {
	if o.project != "" {
		return string(o.project)
	}
	return string(o.org)
}

// owner finds whose endpoints a caller means. forbidden, or not_found for those of
// another tenant.
func (s *Endpoints) owner(ctx context.Context, actor *models.Principal, action models.Action, o Owner) (owned, error) {
	if o.Org == "" {
		project, err := lookup.Project(ctx, s.c.Projects, actor, action, o.Project)
		return owned{project.ID, project.OrgID}, err
	}
	if err := actor.May(action); err != nil {
		return owned{}, err
	}
	if o.Project != "" {
		return owned{}, models.Invalid(models.FieldError{Location: "org_id", Message: "must not be sent together with project_id"})
	}
	if err := mayOrganization(actor); err != nil {
		return owned{}, err
	}
	org, err := s.c.Organizations.Get(ctx, actor.Tenant(), o.Org)
	return owned{"", org.ID}, err
}

// mayOrganization lets owners, admins and the operator act on the endpoints that
// hear of a whole organization.
func mayOrganization(actor *models.Principal) error {
	switch {
	case actor.Kind == models.CallerOperator, actor.Kind == models.CallerPerson && actor.Role.AtLeast(models.RoleAdmin):
		return nil
	case actor.Kind == models.CallerPerson:
		return models.Forbidden("insufficient_role", "You called with the access token of a person with the role "+string(actor.Role)+
			"; this needs the role "+string(models.RoleAdmin)+" or above, for the endpoints of an organization.")
	}
	return actor.Refused("not_allowed", "a person's access token (Authorization: Bearer): an API key acts on the endpoints of its own project")
}

// find reads an endpoint that a caller may act on.
func (s *Endpoints) find(ctx context.Context, actor *models.Principal, action models.Action, id models.EndpointID) (models.Endpoint, error) {
	if err := actor.May(action); err != nil {
		return models.Endpoint{}, err
	}
	e, err := s.c.Endpoints.Get(ctx, actor.Tenant(), id)
	if err != nil {
		return models.Endpoint{}, err
	}
	if e.ProjectID == "" {
		return e, mayOrganization(actor)
	}
	if actor.Project == nil { // a deleted project's endpoints are gone with it
		_, err = s.c.Projects.Get(ctx, actor.Tenant(), e.ProjectID)
	}
	return e, err
}

// EndpointInput is a new endpoint. No Events means all.
type EndpointInput struct {
	Owner            Owner
	URL, Description string
	Events           []string
	Enabled, Ordered bool
}

// Create makes an endpoint and gives its secret, which is not shown again.
// invalid; conflict too_many_endpoints beyond models.MaxEndpoints.
func (s *Endpoints) Create(ctx context.Context, actor *models.Principal, in EndpointInput) (e models.Endpoint, shown secret.Value, err error) {
	owner, err := s.owner(ctx, actor, models.ActionWebhooksWrite, in.Owner)
	if err != nil {
		return models.Endpoint{}, shown, err
	}
	if len(in.Events) == 0 {
		in.Events = []string{"*"}
	}
	if err := s.check(ctx, &in.URL, &in.Events); err != nil {
		return models.Endpoint{}, shown, err
	}
	now := s.c.Now().UTC().Truncate(time.Millisecond)
	e = models.Endpoint{
		ID: models.EndpointID(intent.ID(ctx, models.EndpointPrefix)), OrgID: owner.org, ProjectID: owner.project, Owner: owner.key(),
		URL: in.URL, Description: in.Description, Events: in.Events, Ordered: in.Ordered, Enabled: in.Enabled, CreatedAt: now, UpdatedAt: now,
	}
	if shown, e.Secret, err = s.secrets.fresh(ctx, e.ID); err != nil {
		return models.Endpoint{}, shown, err
	}
	if intent.Resumed(ctx) { // an earlier attempt may have stored it
		if made, err := s.c.Endpoints.Get(ctx, actor.Tenant(), e.ID); !models.IsKind(err, models.KindNotFound) {
			return made, shown, err
		}
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{OrgID: owner.org, Action: "webhooks.endpoint_created", Type: "endpoint", ID: string(e.ID),
		After: map[string]any{"project_id": e.ProjectID, "url": e.URL, "events": e.Events, "enabled": e.Enabled, "ordered": e.Ordered}})
	if err != nil {
		return models.Endpoint{}, secret.Value{}, err
	}
	defer entry.End(ctx, &err)
	return e, shown, s.insert(ctx, &e)
}

// insert stores an endpoint in a free slot of its owner.
func (s *Endpoints) insert(ctx context.Context, e *models.Endpoint) error {
	for range models.MaxEndpoints {
		list, err := s.c.Endpoints.Of(ctx, []string{e.Owner})
		if err != nil {
			return err
		}
		free := int64(0)
		for slices.ContainsFunc(list, func(other models.Endpoint) bool { return other.Slot != nil && *other.Slot == free }) {
			free++
		}
		if free >= models.MaxEndpoints {
			return models.Conflict("too_many_endpoints", "This project or organization has 20 webhook endpoints already.")
		}
		e.Slot = &free
		if err = s.c.Endpoints.Insert(ctx, e); !models.HasCode(err, database.EndpointSlotTaken) {
			return err
		}
	}
	return models.Conflict("concurrent_change", "This was changed at the same time; read it again and retry.")
}

// check checks what of an endpoint is sent.
func (s *Endpoints) check(ctx context.Context, url *string, patterns *[]string) error {
	var wrong []models.FieldError
	if url != nil {
		// A name that does not resolve yet may later.
		if err := s.c.Guard.CheckURL(ctx, *url); err != nil && !errors.Is(err, safedial.ErrLookup) {
			message := strings.TrimPrefix(err.Error(), safedial.ErrURL.Error()+": ")
			if errors.Is(err, safedial.ErrRefused) {
				message = "must lead to a public address; the operator can allow private ones (WEBHOOK_ALLOW_PRIVATE)"
			}
			wrong = append(wrong, models.FieldError{Location: "url", Message: message})
		} else if strings.Contains(*url, "#") {
			wrong = append(wrong, models.FieldError{Location: "url", Message: "must not have a fragment, which no request sends"})
		}
	}
	if patterns != nil {
		if len(*patterns) == 0 || len(*patterns) > MaxPatterns {
			wrong = append(wrong, models.FieldError{Location: "events", Message: "must name 1 to 50 patterns"})
		}
		for _, p := range *patterns {
			if !events.ValidPattern(p) {
				wrong = append(wrong, models.FieldError{Location: "events", Message: "must be types of events, families such as room.*, or *"})
				break
			}
		}
	}
	if len(wrong) > 0 {
		return models.Invalid(wrong...)
	}
	return nil
}

// Get reads an endpoint, or not_found.
func (s *Endpoints) Get(ctx context.Context, actor *models.Principal, id models.EndpointID) (models.Endpoint, error) {
	return s.find(ctx, actor, models.ActionWebhooksRead, id)
}

// List reads a page of the endpoints of a project or organization.
func (s *Endpoints) List(ctx context.Context, actor *models.Principal, o Owner, p paging.Request) (paging.Page[models.Endpoint], error) {
	owner, err := s.owner(ctx, actor, models.ActionWebhooksRead, o)
	if err != nil {
		return paging.Page[models.Endpoint]{}, err
	}
	return paging.ByID(s.c.Cursors, actor, "endpoints|"+owner.key(), p, func(at database.Page) ([]models.Endpoint, error) {
		return s.c.Endpoints.List(ctx, owner.key(), at)
	}, func(e models.Endpoint) string { return string(e.ID) })
}

// EndpointChange is a partial update; nil keeps a field.
type EndpointChange = database.EndpointChange

// Update changes an endpoint. Enabling has what waits sent at once.
func (s *Endpoints) Update(ctx context.Context, actor *models.Principal, id models.EndpointID, c EndpointChange) (e models.Endpoint, err error) {
	err = s.c.Trail.Reapply(ctx, string(id), func(ctx context.Context) error {
		e, err = s.update(ctx, actor, id, c)
		return err
	})
	if err == nil && e.Recovering {
		s.c.Recover()
	}
	return e, err
}

// update changes an endpoint as it is read now; conflict database.ChangedSince.
func (s *Endpoints) update(ctx context.Context, actor *models.Principal, id models.EndpointID, c EndpointChange) (e models.Endpoint, err error) {
	before, err := s.find(ctx, actor, models.ActionWebhooksWrite, id)
	if err != nil {
		return models.Endpoint{}, err
	}
	if err := s.check(ctx, c.URL, c.Events); err != nil {
		return models.Endpoint{}, err
	}
	var changes audit.Changes
	audit.Changed(&changes, "url", before.URL, c.URL)
	audit.Changed(&changes, "description", before.Description, c.Description)
	audit.Changed(&changes, "events", before.Events, c.Events)
	audit.Changed(&changes, "ordered", before.Ordered, c.Ordered)
	audit.Changed(&changes, "enabled", before.Enabled, c.Enabled)
	if c.Enabled != nil && *c.Enabled && before.Enabled {
		c.Enabled = nil
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{OrgID: before.OrgID, Action: "webhooks.endpoint_updated", Type: "endpoint", ID: string(id),
		Before: changes.Before, After: changes.After})
	if err != nil {
		return models.Endpoint{}, err
	}
	defer entry.End(ctx, &err)
	return s.c.Endpoints.Update(ctx, actor.Tenant(), &before, c, s.c.Now().UTC())
}

// Delete deletes an endpoint; what waits is not sent any more.
func (s *Endpoints) Delete(ctx context.Context, actor *models.Principal, id models.EndpointID) error {
	err := s.c.Trail.Reapply(ctx, "", func(ctx context.Context) error { return s.delete(ctx, actor, id) })
	if err == nil {
		s.c.Wake(id)
	}
	return err
}

// delete deletes an endpoint as it is read now; conflict database.ChangedSince.
func (s *Endpoints) delete(ctx context.Context, actor *models.Principal, id models.EndpointID) (err error) {
	e, err := s.find(ctx, actor, models.ActionWebhooksWrite, id)
	if err != nil {
		return err
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{OrgID: e.OrgID, Action: "webhooks.endpoint_deleted", Type: "endpoint", ID: string(id),
		Before: map[string]any{"project_id": e.ProjectID, "url": e.URL, "events": e.Events}})
	if err != nil {
		return err
	}
	defer entry.End(ctx, &err)
	return s.c.Endpoints.Remove(ctx, actor.Tenant(), &e, s.c.Now().UTC())
}

// RotateSecret gives an endpoint a new secret. For a grace period (0 to
// MaxGracePeriod) the previous one signs too.
func (s *Endpoints) RotateSecret(ctx context.Context, actor *models.Principal, id models.EndpointID, grace time.Duration) (e models.Endpoint, shown secret.Value, err error) {
	first, lost := "", false
	err = s.c.Trail.Reapply(ctx, "", func(ctx context.Context) error {
		before, err := s.find(ctx, actor, models.ActionWebhooksWrite, id)
		if err != nil {
			return err
		}
		if lost = first != "" && before.Secret != first; lost { // another rotation was first, whose secret was shown
			return nil
		}
		first = before.Secret
		e, shown, err = s.rotate(ctx, actor, before, grace)
		return err
	})
	if lost {
		err = database.ErrChangedSince()
	}
	if err != nil {
		return models.Endpoint{}, secret.Value{}, err
	}
	return e, shown, nil
}

// rotate gives an endpoint, as it was read, a new secret; conflict database.ChangedSince.
func (s *Endpoints) rotate(ctx context.Context, actor *models.Principal, before models.Endpoint, grace time.Duration) (e models.Endpoint, shown secret.Value, err error) {
	id := before.ID
	shown, sealed, err := s.secrets.fresh(ctx, id)
	if err != nil {
		return models.Endpoint{}, secret.Value{}, err
	}
	if intent.Resumed(ctx) && s.secrets.is(&before, shown) { // an earlier attempt came as far
		return before, shown, nil
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{OrgID: before.OrgID, Action: "webhooks.secret_rotated", Type: "endpoint", ID: string(id),
		After: map[string]any{"grace_period_seconds": int64(grace / time.Second)}})
	if err != nil {
		return models.Endpoint{}, secret.Value{}, err
	}
	defer entry.End(ctx, &err)
	now := s.c.Now().UTC().Truncate(time.Millisecond)
	if e, err = s.c.Endpoints.SetSecrets(ctx, actor.Tenant(), &before, database.EndpointSecrets{Fresh: sealed, PreviousUntil: now.Add(grace)}, now); err != nil {
		return models.Endpoint{}, secret.Value{}, err
	}
	return e, shown, nil
}
