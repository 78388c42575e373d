package events

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/required"
)

const (
	// latestClock is how far the clocks of replicas may be apart for a list between
	// two times to be whole, and latestNews how long after it happened LiveKit may
	// tell of something.
	latestClock = time.Hour
	latestNews  = 25 * time.Hour
)

// Feed is what callers read of the log: lists, single events and streams.
type Feed struct {
	c FeedConfig

	mu sync.Mutex
	// open are the streams, and counts how many each caller and address has.
	open   map[*Stream]struct{}
	counts map[string]int
	// closing is closed when streams must end.
	closing chan struct{}
	closed  bool
	// reading holds a token for each page that is read from the database for a
	// stream, so that readers that come back together do not all ask at once.
	reading chan struct{}
}

// FeedConfig of NewFeed; every field is required.
type FeedConfig struct {
	Events  *database.Events
	LiveKit *database.LiveKitEvents
	// Projects reads projects of a tenant.
	Projects lookup.Projects
	Tail     *Tail
	Cursors  *cursor.Codec
	// Settle waits, for a short time, for the events of what this process has done.
	Settle func(ctx context.Context)
}

// NewFeed returns the feed. It fails if a required field is missing.
func NewFeed(c FeedConfig) (*Feed, error) {
	return &Feed{c: c, open: map[*Stream]struct{}{}, counts: map[string]int{}, closing: make(chan struct{}),
		reading: make(chan struct{}, pagesAtOnce)}, required.Fields(c)
}

// Scope says whose events a caller asks for; a key need not name anything.
type Scope struct {
	Project models.ProjectID
	Org     models.OrganizationID
}

// of gives whose events are meant: a key's project, the project that a person or
// the operator names, or the organization that they name. all is true if the
// operator may name nothing and mean everything. Errors: forbidden; not_found for
// another tenant's; invalid for a caller that names nothing.
func (f *Feed) of(ctx context.Context, actor *models.Principal, s Scope, all bool) (database.EventsOf, error) {
	if err := actor.May(models.ActionEventsRead); err != nil {
		return database.EventsOf{}, err
	}
	org, everyone := actor.Tenant().Organization()
	if s.Org != "" && (actor.Project != nil || !everyone && s.Org != org) {
		return database.EventsOf{}, models.NotFound()
	}
	if actor.Project == nil && s.Project == "" {
		switch {
		case s.Org != "":
			return database.EventsOf{Org: s.Org}, nil
		case everyone && all:
			return database.EventsOf{}, nil
		}
		return database.EventsOf{}, models.Invalid(models.FieldError{Location: "project_id", Message: "or org_id is required for a person or the operator"})
	}
	project, err := lookup.Project(ctx, f.c.Projects, actor, models.ActionEventsRead, s.Project)
	if err == nil && s.Org != "" && project.OrgID != s.Org {
		err = models.NotFound()
	}
	return database.EventsOf{Project: project.ID}, err
}

// filterOf reads a pattern of types; "" is all. It answers invalid for one that
// selects nothing.
func filterOf(pattern string) (database.EventFilter, error) {
	family, all := cutFamily(pattern)
	switch {
	case pattern == "" || pattern == "*":
		return database.EventFilter{}, nil
	case !ValidPattern(pattern):
		return database.EventFilter{}, models.Invalid(models.FieldError{Location: "type",
			Message: `is not a type of event, nor a family as in "room.*"`})
	case all:
		return database.EventFilter{Family: family}, nil
	}
	return database.EventFilter{Type: pattern}, nil
}

// Query asks for a list. Type is a pattern; Start and End leave what happened in
// [Start, End); zero fields narrow nothing.
type Query struct {
	Scope
	Type       string
	Start, End time.Time
}

// List reads a page of events, latest arrival first.
func (f *Feed) List(ctx context.Context, actor *models.Principal, q Query, p paging.Request) (paging.Page[models.Event], error) {
	of, err := f.of(ctx, actor, q.Scope, false)
	if err != nil {
		return paging.Page[models.Event]{}, err
	}
	filter, err := filterOf(q.Type)
	if err != nil {
		return paging.Page[models.Event]{}, err
	}
	filter.Start, filter.End = q.Start, q.End
	f.c.Settle(ctx)
	list := strings.Join([]string{"events", string(of.Project), string(of.Org), q.Type}, "|")
	return paging.ByID(f.c.Cursors, actor, list, p, func(at database.Page) ([]models.Event, error) {
		below := int64(0)
		if at.After != "" {
			if below, err = strconv.ParseInt(at.After, 10, 64); err != nil {
				return nil, models.Internal(err)
			}
		}
		if filter.Above, below, err = f.span(ctx, q, below); err != nil {
			return nil, err
		}
		return f.c.Events.List(ctx, of, filter, below, int64(at.Limit))
	}, func(e models.Event) string { return strconv.FormatInt(e.Seq, 10) })
}

// span gives between which numbers events of a time may be, so that a list of one
// day does not read all days since.
func (f *Feed) span(ctx context.Context, q Query, below int64) (above, under int64, err error) {
	if !q.End.IsZero() {
		first, err := f.c.Events.FirstSince(ctx, q.End.Add(latestNews))
		if err != nil {
			return 0, 0, err
		}
		if first > 0 && (below == 0 || first < below) {
			below = first
		}
	}
	if !q.Start.IsZero() {
		first, err := f.c.Events.FirstSince(ctx, q.Start.Add(-latestClock))
		if err != nil {
			return 0, 0, err
		}
		above = first - 1
	}
	return above, below, nil
}

// Get reads an event by its id, or by LiveKit's id, which usage sessions name as
// their evidence; named is the project it must be of, if one is. not_found for
// another tenant's.
func (f *Feed) Get(ctx context.Context, actor *models.Principal, named models.ProjectID, id string) (models.Event, error) {
	e, err := f.get(ctx, actor, id)
	if err == nil && (e.Type == models.EventGap || named != "" && e.ProjectID != named) {
		err = models.NotFound()
	}
	if err != nil {
		return models.Event{}, err
	}
	return e, nil
}

func (f *Feed) get(ctx context.Context, actor *models.Principal, id string) (models.Event, error) {
	if err := actor.May(models.ActionEventsRead); err != nil {
		return models.Event{}, err
	}
	if strings.HasPrefix(id, models.EventPrefix) {
		return f.c.Events.Get(ctx, actor.Tenant(), id)
	}
	e, err := f.c.LiveKit.Named(ctx, id)
	if err != nil {
		return models.Event{}, err
	}
	if e.ProjectID == "" {
		return models.Event{}, models.NotFound()
	}
	project, err := lookup.Project(ctx, f.c.Projects, actor, models.ActionEventsRead, e.ProjectID)
	if err != nil {
		return models.Event{}, err
	}
	told, err := ToldBy(&e, project.OrgID)
	if err != nil {
		return models.Event{}, err
	}
	return told[0], nil
}
