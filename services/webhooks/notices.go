package webhooks

import (
	"context"
	_ "embed"
	"errors"
	"strings"
	"text/template"
	"time"

	"github.com/go-json-experiment/json"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/events"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/required"
)

const (
	// noticesAtOnce is how many endpoints' owners a pass informs.
	noticesAtOnce = 20
	// mailFor is for how long a mail is tried to be sent.
	mailFor = 24 * time.Hour
)

//go:embed disabled.txt
var disabledText string

// Notices informs owners of endpoints that Pulse disabled: by an event, which their
// other endpoints receive, and by mail.
type Notices struct {
	c    NoticesConfig
	text *template.Template
}

// NoticesConfig of NewNotices. Every field is required but Mail, without which
// nothing is mailed, and URL.
type NoticesConfig struct {
	Log           *events.Log
	Endpoints     *database.Endpoints
	Organizations *database.Organizations
	Users         *database.Users
	Mail          func(ctx context.Context, to, subject, text string) error `optional:"true"`
	// URL is the dashboard's; "" mentions none.
	URL string
	Now func() time.Time
}

// NewNotices returns the notices. It fails if a required field is missing.
func NewNotices(c NoticesConfig) (*Notices, error) {
	text, err := template.New("disabled").Parse(disabledText)
	return &Notices{c, text}, errors.Join(err, required.Fields(c))
}

// DisabledData is the data of webhook.endpoint_disabled.
type DisabledData struct {
	EndpointID     models.EndpointID `json:"endpoint_id"`
	URL            string            `json:"url"`
	Description    string            `json:"description"`
	DisabledReason string            `json:"disabled_reason"`
	DisabledAt     time.Time         `json:"disabled_at"`
	FailingSince   *time.Time        `json:"failing_since"`
}

// Pass informs owners of endpoints that were not informed yet; one process at a time
// does. The event is there once; a process that dies in between mails again.
func (n *Notices) Pass(ctx context.Context) (int, error) {
	list, err := n.c.Endpoints.Announcing(ctx, noticesAtOnce)
	if err != nil {
		return 0, err
	}
	var failures []error
	for i := range list {
		if err := n.tell(ctx, &list[i]); err != nil {
			failures = append(failures, err)
		}
	}
	return 0, errors.Join(failures...)
}

func (n *Notices) tell(ctx context.Context, e *models.Endpoint) error {
	if e.Enabled { // its owner was faster
		return n.c.Endpoints.Announced(ctx, e)
	}
	at := e.UpdatedAt
	if e.DisabledAt != nil {
		at = *e.DisabledAt
	}
	data, err := json.Marshal(DisabledData{EndpointID: e.ID, URL: e.URL, Description: e.Description, DisabledReason: e.DisabledReason,
		DisabledAt: at, FailingSince: e.FailingSince})
	if err != nil {
		return models.Internal(err)
	}
	err = n.c.Log.Record(ctx, &models.Event{
		ID: ids.Derived(models.EventPrefix, at, events.EndpointDisabled, string(e.ID)), Type: events.EndpointDisabled,
		OrgID: e.OrgID, ProjectID: e.ProjectID, At: at, Data: string(data),
	})
	if err != nil {
		return err
	}
	if err := n.mail(ctx, e); err != nil && n.c.Now().Sub(at) < mailFor {
		return err
	}
	return n.c.Endpoints.Announced(ctx, e)
}

// mail writes to every owner of the organization.
func (n *Notices) mail(ctx context.Context, e *models.Endpoint) error {
	if n.c.Mail == nil {
		return nil
	}
	tenant := models.TenantOf(e.OrgID)
	org, err := n.c.Organizations.Get(ctx, tenant, e.OrgID)
	if models.IsKind(err, models.KindNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	owner := "your organization"
	if e.ProjectID != "" {
		owner = "the project " + string(e.ProjectID)
	}
	var text strings.Builder
	err = n.text.Execute(&text, struct {
		Reason, Owner, URL, Link string
		Since                    *time.Time
	}{e.DisabledReason, owner, e.URL, n.c.URL, e.FailingSince})
	if err != nil {
		return models.Internal(err)
	}
	for _, id := range org.OwnerIDs {
		person, err := n.c.Users.Get(ctx, tenant, id)
		if models.IsKind(err, models.KindNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		err = n.c.Mail(ctx, person.Email, "A webhook endpoint was disabled", text.String())
		if err != nil && !models.IsKind(err, models.KindRateLimited) {
			return err
		}
	}
	return nil
}
