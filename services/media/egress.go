package media

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/clusters"
	"pulse-control-plane/services/fields"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

// settleTimeout bounds storing the outcome of a start after the caller may have
// disconnected. With livekit.EgressStartTimeout it stays below 25 s.
const settleTimeout = time.Second

// Storages gives the storage of a project with its credentials opened; nil is the
// egress worker's own disk. conflict storage_not_configured if there is none.
type Storages interface {
	Of(p *models.Project) (*livekit.Upload, error)
}

// Egresses is the service of egress.
type Egresses struct {
	c EgressConfig
	// asked is when the workers of running egresses were asked last, owedAt when closed
	// records were looked through for missing entries. Only the pass of Compare uses them.
	asked  map[string]time.Time
	owedAt time.Time
}

// EgressConfig of NewEgresses; every field but Web, StopWait and Log is required.
type EgressConfig struct {
	Projects   *database.Projects
	Store      *database.Egresses
	Clusters   *clusters.Set
	Placements *clusters.Placements
	Quotas     *quotas.Limits
	Storages   Storages
	// Rooms knows the rooms that requests open.
	Rooms *database.Rooms
	// Failed informs tenants of an automatic recording that could not be started, maybe
	// more than once.
	Failed func(ctx context.Context, record *models.Egress) error
	// Targets judges the targets of rtmp, Pages those of web egress.
	Targets, Pages fields.Guard
	// Web allows web egress (EGRESS_WEB).
	Web     bool
	Cursors *cursor.Codec
	// Trail records every change.
	Trail *audit.Trail
	// Wake starts a pass of StopAsked in this process, WakeDue one of StartDue.
	Wake, WakeDue func()
	// StopWait is how long a stop waits for an egress to be active; 0 is 10 s.
	StopWait time.Duration
	Log      zerolog.Logger
	Now      func() time.Time
}

// NewEgresses builds the service. It fails if a required field is missing.
func NewEgresses(c EgressConfig) (*Egresses, error) {
	if c.StopWait == 0 {
		c.StopWait = stopWait
	}
	return &Egresses{c: c, asked: map[string]time.Time{}}, required.Fields(c)
}

// EgressInput asks for an egress. Which fields a type takes, check says.
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

// OutputInput asks for an output. Targets are the URLs of rtmp.
type OutputInput struct {
	models.EgressOutput
	Targets []secret.Value
	// Live asks for a playlist of the latest segments of hls too.
	Live bool
}

// Start starts an egress and answers when LiveKit confirmed it, at the latest after
// 25 s. Errors: invalid with every field that a type does not take or whose value is
// wrong; forbidden web_egress_disabled; conflict storage_not_configured;
// quota_exceeded; not_found if the room is not open; unavailable egress_not_started
// if no worker took it, whose record is failed. An egress that runs is no error.
func (s *Egresses) Start(ctx context.Context, actor *models.Principal, in EgressInput) (out models.Egress, err error) {
	project, err := lookup.Project(ctx, s.c.Projects, actor, models.ActionEgressWrite, in.Project)
	if err != nil {
		return models.Egress{}, err
	}
	if err := s.check(ctx, &in); err != nil {
		return models.Egress{}, err
	}
	id, before, err := s.startedBefore(ctx, project.ID)
	if err != nil || before != nil {
		return *cmp.Or(before, &models.Egress{}), err
	}
	now := s.now()
	record := models.Egress{
		ID: id, ProjectID: project.ID, OrgID: project.OrgID, Type: in.Type, RoomName: in.RoomName,
		ParticipantIdentity: in.ParticipantIdentity, TrackSID: in.TrackSID, AudioTrackSID: in.AudioTrackSID, VideoTrackSID: in.VideoTrackSID,
		URL: in.URL, Layout: in.Layout, Status: models.EgressStarting, Open: true, CreatedAt: now, UpdatedAt: now,
	}
	ask, err := s.request(&project, &record, &in)
	if err != nil {
		return models.Egress{}, err
	}
	member, err := s.c.Placements.Of(ctx, &project, in.RoomName)
	if err != nil {
		return models.Egress{}, err
	}
	asked := audit.CallerOf(actor)
	record.Cluster, record.Asked = member.Name, &asked
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
		return models.Egress{}, s.notStarted(settling, &record, failed)
	}
	return s.started(settling, record, &state)
}

// started stores the state that LiveKit answered with and the audit entry, both at
// once: the database can commit them together. A database that is late is no error,
// because the egress runs and a caller that tries again would start another. Compare
// stores what is missing; until then only Pulse's id finds the record.
func (s *Egresses) started(ctx context.Context, record models.Egress, state *livekit.EgressState) (models.Egress, error) {
	entered := make(chan error, 1)
	go func() { entered <- s.enter(ctx, &record, models.AuditSuccess, nil) }()
	settled := record
	settled.Asked = nil // the next change takes it away
	updated, err := s.apply(ctx, settled, state)
	if models.IsKind(err, models.KindUnavailable) {
		s.c.Log.Error().Err(err).Str("egress_id", string(record.ID)).Msg("egress: could not record LiveKit's answer to a start")
		updated, err = record, nil
	}
	if late := <-entered; late != nil {
		s.c.Log.Error().Err(late).Str("egress_id", string(record.ID)).Msg("egress: the audit entry of a start is late")
	}
	return updated, err
}

// startTries bounds the failed starts of one request that is sent again.
const startTries = 10

// startedBefore gives the id of the egress that a request starts, or the egress that
// an earlier attempt of the same request may have started. One that failed is
// started again, with another id.
func (s *Egresses) startedBefore(ctx context.Context, project models.ProjectID) (models.EgressID, *models.Egress, error) {
	id := models.EgressID(intent.ID(ctx, models.EgressPrefix))
	for n := 1; intent.Resumed(ctx) && n < startTries; n++ {
		record, err := s.c.Store.Get(ctx, project, string(id))
		switch {
		case models.IsKind(err, models.KindNotFound):
			return id, nil, nil
		case err != nil:
			return id, nil, err
		case record.Status != models.EgressFailed:
			record, err = s.enterLate(ctx, &record)
			return id, &record, err
		}
		id = models.EgressID(intent.ID(ctx, models.EgressPrefix, strconv.Itoa(n)))
	}
	return id, nil, nil
}

// discard deletes the record of a start that LiveKit was not asked for.
func (s *Egresses) discard(ctx context.Context, record *models.Egress) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := s.c.Store.Discard(ctx, record.ProjectID, record.ID); err != nil {
		s.c.Log.Error().Err(err).Str("egress_id", string(record.ID)).Msg("egress: could not delete the record of a refused start")
	}
}

// admit refuses an egress beyond the project's quotas. Its record counts already,
// so that of several at once no more are admitted than may be; a refused one's is
// deleted.
func (s *Egresses) admit(ctx context.Context, record *models.Egress) error {
	refused := s.c.Quotas.AdmitEgress(ctx, record.ProjectID)
	if refused == nil {
		return nil
	}
	if err := s.enter(ctx, record, models.AuditFailure, refused); err != nil {
		return err // Compare writes the entry
	}
	s.discard(ctx, record)
	return refused
}

// notStarted stores why LiveKit did not start an egress, and gives the error
// for the caller.
func (s *Egresses) notStarted(ctx context.Context, record *models.Egress, failed error) error {
	reason := "LiveKit refused the start."
	switch {
	case models.IsKind(failed, models.KindUnavailable):
		reason = "LiveKit did not confirm the start: no egress worker took it."
		failed = models.NewError(models.KindUnavailable, "egress_not_started", reason+" The egress "+string(record.ID)+" has failed.").Because(failed)
	case models.IsKind(failed, models.KindNotFound):
		reason = "The room is not open, or has no such participant or track."
		failed = models.NewError(models.KindNotFound, "not_found", reason).Because(failed)
	}
	err := s.enter(ctx, record, models.AuditFailure, failed)
	if err == nil {
		err = s.presume(ctx, record, models.EgressFailed, reason)
	}
	if err != nil {
		s.c.Log.Error().Err(err).Str("egress_id", string(record.ID)).Msg("egress: could not record that the start failed")
	}
	return failed
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
	Project  models.ProjectID
	Status   models.EgressStatus
	RoomName string
}

// List reads a page of a project's egresses, newest first.
func (s *Egresses) List(ctx context.Context, actor *models.Principal, q EgressQuery, p paging.Request) (paging.Page[models.Egress], error) {
	project, err := lookup.Project(ctx, s.c.Projects, actor, models.ActionEgressRead, q.Project)
	if err != nil {
		return paging.Page[models.Egress]{}, err
	}
	scope := "egress|" + string(project.ID) + "|" + string(q.Status) + "|" + q.RoomName
	return paging.ByID(s.c.Cursors, actor, scope, p, func(at database.Page) ([]models.Egress, error) {
		return s.c.Store.List(ctx, project.ID, database.EgressFilter{Status: q.Status, RoomName: q.RoomName}, at)
	}, func(e models.Egress) string { return string(e.ID) })
}

// Now is the time up to which the duration of an open egress is counted.
func (s *Egresses) Now() time.Time { return s.now() }

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
