package media

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/services/storage"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

const (
	// settleTimeout bounds writing down how a start ended after the caller may have
	// gone.
	settleTimeout = 5 * time.Second
	// stopWait is how long a stop waits for an egress to be active.
	stopWait = 20 * time.Second
	// stopRetry is the time between two attempts of a stop.
	stopRetry = 250 * time.Millisecond
	// MaxTargets is how many targets of rtmp an egress may have at a time.
	MaxTargets = 10
)

// Guard judges URLs that tenants name.
type Guard interface {
	CheckURL(ctx context.Context, raw string) error
}

// Egresses is the service of egress.
type Egresses struct{ c EgressConfig }

// EgressConfig of NewEgresses; every field but Web is required.
type EgressConfig struct {
	Projects   *database.Projects
	Store      *database.Egresses
	Clusters   *livekit.Clusters
	Placements *livekit.Placements
	Quotas     *quotas.Limits
	Vault      *storage.Vault
	// Targets judges the targets of rtmp, Pages those of web egress.
	Targets, Pages Guard
	// Web allows web egress (EGRESS_WEB).
	Web     bool
	Cursors *cursor.Codec
	// Trail records every change.
	Trail *audit.Trail
	Log   zerolog.Logger
	Now   func() time.Time
}

// NewEgresses builds the service. It fails if a required field is missing.
func NewEgresses(c EgressConfig) (*Egresses, error) { return &Egresses{c}, required.Fields(c) }

// EgressInput asks for an egress. Which fields a type takes, Start says.
type EgressInput struct {
	Project                                models.ProjectID
	Type                                   models.EgressType
	RoomName, ParticipantIdentity          string
	TrackSID, AudioTrackSID, VideoTrackSID string
	URL, Layout                            string
	ScreenShare, AudioOnly, VideoOnly      bool
	AwaitStartSignal                       bool
	Outputs                                []OutputInput
	Encoding                               livekit.Encoding
}

// OutputInput asks for an output. URLs are the targets of rtmp.
type OutputInput struct {
	models.EgressOutput
	Targets []secret.Value
	// Live asks for a playlist of the latest segments of hls too.
	Live bool
}

// Start starts an egress and answers when LiveKit confirmed it. Errors: invalid for
// fields that a type does not take or values it does not allow; conflict
// storage_not_configured; quota_exceeded; not_found if the room is not open;
// unavailable if no worker took it, whose record is failed.
func (s *Egresses) Start(ctx context.Context, actor *models.Principal, in EgressInput) (out models.Egress, err error) {
	project, err := lookup.Project(ctx, s.c.Projects, actor, models.ActionEgressWrite, in.Project)
	if err != nil {
		return models.Egress{}, err
	}
	if err := s.check(ctx, &in); err != nil {
		return models.Egress{}, err
	}
	record := models.Egress{
		ID: models.EgressID(ids.New(models.EgressPrefix)), ProjectID: project.ID, OrgID: project.OrgID, Type: in.Type, RoomName: in.RoomName,
		ParticipantIdentity: in.ParticipantIdentity, TrackSID: in.TrackSID, AudioTrackSID: in.AudioTrackSID, VideoTrackSID: in.VideoTrackSID,
		URL: in.URL, Layout: in.Layout, Status: models.EgressStarting, Open: true,
	}
	now := s.now()
	record.CreatedAt, record.UpdatedAt = now, now
	ask, err := s.request(&project, &record, &in)
	if err != nil {
		return models.Egress{}, err
	}
	member, err := s.c.Placements.Of(ctx, &project, in.RoomName)
	if err != nil {
		return models.Egress{}, err
	}
	record.Cluster = member.Name
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: project.OrgID, Action: "egress.started", Type: "egress", ID: string(record.ID),
		After: map[string]any{"project_id": project.ID, "type": in.Type, "room_name": in.RoomName, "outputs": kindsOf(record.Outputs)},
	})
	if err != nil {
		return models.Egress{}, err
	}
	defer entry.End(ctx, &err)
	if err := s.c.Store.Insert(ctx, &record); err != nil {
		return models.Egress{}, err
	}
	if err := s.admit(ctx, &record); err != nil {
		return models.Egress{}, err
	}
	state, failed := member.Client.StartEgress(ctx, ask)
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if failed != nil {
		return s.notStarted(settling, &record, failed)
	}
	return s.confirmed(settling, record, &state)
}

// notStarted writes down why LiveKit did not start an egress.
func (s *Egresses) notStarted(ctx context.Context, record *models.Egress, failed error) (models.Egress, error) {
	status, reason, now := models.EgressFailed, startFailure(failed), s.now()
	_, err := s.c.Store.Update(ctx, record.ProjectID, record.ID, []models.EgressStatus{models.EgressStarting},
		database.EgressChange{Status: &status, Error: &reason, EndedAt: &now}, now)
	if err != nil && !models.IsKind(err, models.KindNotFound) {
		s.c.Log.Error().Err(err).Str("egress_id", string(record.ID)).Msg("egress: could not write down that it did not start")
	}
	return models.Egress{}, asStartError(failed, record)
}

// startFailure is the reason of a failed start as its record tells it.
func startFailure(err error) string {
	switch {
	case models.IsKind(err, models.KindUnavailable):
		return "LiveKit did not confirm the start: no egress worker took it."
	case models.IsKind(err, models.KindNotFound):
		return "The room was not open."
	}
	return "LiveKit refused the start."
}

// asStartError names the record of a start that was not confirmed.
func asStartError(err error, record *models.Egress) error {
	if models.IsKind(err, models.KindUnavailable) {
		e := models.NewError(models.KindUnavailable, "egress_not_started",
			fmt.Sprintf("LiveKit did not confirm the start: no egress worker took it. The egress %s has failed.", record.ID))
		return e.Because(err)
	}
	if models.IsKind(err, models.KindNotFound) {
		return models.NewError(models.KindNotFound, "room_not_found", "The room is not open, or has no such participant or track.")
	}
	return err
}

// confirmed completes a record with what LiveKit answered.
func (s *Egresses) confirmed(ctx context.Context, record models.Egress, state *livekit.EgressState) (models.Egress, error) {
	updated, err := s.c.Store.Update(ctx, record.ProjectID, record.ID, nil, database.EgressChange{EgressID: &state.ID}, s.now())
	if err != nil {
		return models.Egress{}, err
	}
	return s.apply(ctx, updated, state)
}

// admit refuses an egress beyond the project's quotas and takes its record away.
func (s *Egresses) admit(ctx context.Context, record *models.Egress) error {
	refused := s.c.Quotas.AdmitEgress(ctx, record.ProjectID, func(limit int64) (int64, error) {
		return s.c.Store.CountOpen(ctx, record.ProjectID, limit)
	})
	if refused == nil {
		return nil
	}
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := s.c.Store.Discard(settling, record.ProjectID, record.ID); err != nil {
		s.c.Log.Error().Err(err).Str("egress_id", string(record.ID)).Msg("egress: could not take the record of a refused start away")
	}
	return refused
}

// Get reads an egress by either of its ids, or not_found.
func (s *Egresses) Get(ctx context.Context, actor *models.Principal, named models.ProjectID, id string) (models.Egress, error) {
	project, err := lookup.Project(ctx, s.c.Projects, actor, models.ActionEgressRead, named)
	if err != nil {
		return models.Egress{}, err
	}
	return s.c.Store.Get(ctx, project.ID, id)
}

// EgressQuery narrows List; zero fields narrow nothing.
type EgressQuery struct {
	Project models.ProjectID
	database.EgressFilter
}

// List reads a page of a project's egresses, newest first.
func (s *Egresses) List(ctx context.Context, actor *models.Principal, q EgressQuery, p paging.Request) (paging.Page[models.Egress], error) {
	project, err := lookup.Project(ctx, s.c.Projects, actor, models.ActionEgressRead, q.Project)
	if err != nil {
		return paging.Page[models.Egress]{}, err
	}
	scope := "egress|" + string(project.ID) + "|" + string(q.Status) + "|" + q.RoomName
	return paging.ByID(s.c.Cursors, actor, scope, p, func(at database.Page) ([]models.Egress, error) {
		return s.c.Store.List(ctx, project.ID, q.EgressFilter, at)
	}, func(e models.Egress) string { return string(e.ID) })
}

func (s *Egresses) now() time.Time { return s.c.Now().UTC().Truncate(time.Millisecond) }

// client calls the cluster an egress runs on.
func (s *Egresses) client(e *models.Egress) (*livekit.Client, error) {
	member := s.c.Clusters.Named(e.Cluster)
	if member == nil {
		return nil, models.Unavailable(fmt.Errorf("media: the cluster %s of an egress is not configured", e.Cluster))
	}
	return member.Client, nil
}

func kindsOf(list []models.EgressOutput) []models.OutputKind {
	out := make([]models.OutputKind, len(list))
	for i := range list {
		out[i] = list[i].Kind
	}
	return out
}
