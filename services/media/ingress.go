package media

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/clusters"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

// Ingresses is the service of ingress.
type Ingresses struct{ c IngressConfig }

// IngressConfig of NewIngresses; every field but Log is required.
type IngressConfig struct {
	Projects   *database.Projects
	Store      *database.Ingresses
	Clusters   *clusters.Set
	Placements *clusters.Placements
	Quotas     *quotas.Limits
	// Sources judges the URLs that are pulled.
	Sources Guard
	Cursors *cursor.Codec
	// Trail records every change.
	Trail *audit.Trail
	Log   zerolog.Logger
	Now   func() time.Time
}

// NewIngresses builds the service. It fails if a required field is missing.
func NewIngresses(c IngressConfig) (*Ingresses, error) {
	return &Ingresses{c}, required.Fields(c)
}

// IngressInput asks for an ingress; nil and empty fields are LiveKit's defaults.
type IngressInput struct {
	Project                              models.ProjectID
	InputType                            models.IngressInput
	Name, RoomName, ParticipantIdentity  string
	ParticipantName, ParticipantMetadata string
	// URL is pulled; it may hold a password or a signature.
	URL                secret.Value
	Transcode, Enabled *bool
	Audio              *models.IngressAudio
	Video              *models.IngressVideo
}

// Create makes an ingress and gives its stream key, which nothing gives again; empty
// for what is pulled from a URL. Errors: invalid with every field that is wrong;
// quota_exceeded; unavailable ingress_not_created if LiveKit or, for a URL, an ingress
// worker does not answer: what was made all the same is deleted within a minute.
func (s *Ingresses) Create(ctx context.Context, actor *models.Principal, in IngressInput) (out models.Ingress, key secret.Value, err error) {
	project, err := lookup.Project(ctx, s.c.Projects, actor, models.ActionIngressWrite, in.Project)
	if err != nil {
		return models.Ingress{}, key, err
	}
	if err := s.check(ctx, &in); err != nil {
		return models.Ingress{}, key, err
	}
	id := models.IngressID(intent.ID(ctx, models.IngressPrefix))
	if intent.Resumed(ctx) {
		if before, key, found, err := s.createdBefore(ctx, project.ID, id); err != nil || found {
			return before, key, err
		}
	}
	now := s.now()
	member, err := s.c.Placements.For(ctx, &project, in.RoomName, now.Add(models.MaxTokenTTLSeconds*time.Second))
	if err != nil {
		return models.Ingress{}, key, err
	}
	record := models.Ingress{
		ID: id, ProjectID: project.ID, OrgID: project.OrgID, Cluster: member.Name, InputType: in.InputType, Name: in.Name, RoomName: in.RoomName,
		ParticipantIdentity: in.ParticipantIdentity, ParticipantName: in.ParticipantName, ParticipantMetadata: in.ParticipantMetadata,
		EnableTranscoding: in.transcodes(), Enabled: in.Enabled == nil || *in.Enabled, Audio: in.Audio, Video: in.Video,
		Status: models.IngressInactive, Open: true, CreatedAt: now, UpdatedAt: now,
	}
	if in.InputType == models.IngressURL {
		record.URL = livekit.RedactPullURL(in.URL.Reveal())
	}
	if err := s.c.Store.Insert(ctx, &record); err != nil {
		return models.Ingress{}, key, err
	}
	if err := s.c.Quotas.AdmitIngress(ctx, project.ID); err != nil {
		s.discard(ctx, &record)
		return models.Ingress{}, key, err
	}
	entry, err := s.begin(ctx, actor, &record, "ingress.created", map[string]any{"input_type": in.InputType, "name": in.Name, "room_name": in.RoomName,
		"participant_identity": in.ParticipantIdentity, "url": record.URL, "enabled": record.Enabled})
	if err != nil {
		s.discard(ctx, &record)
		return models.Ingress{}, key, err
	}
	defer entry.End(ctx, &err)
	state, failed := member.Client.CreateIngress(ctx, in.request(&record))
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if failed != nil {
		return models.Ingress{}, key, s.notCreated(settling, &record, failed)
	}
	out, err = s.apply(settling, record, &state)
	return out, state.StreamKey, err
}

// transcodes is LiveKit's default where nothing else is asked for.
func (in *IngressInput) transcodes() bool {
	if in.Transcode != nil {
		return *in.Transcode
	}
	return in.InputType != models.IngressWHIP
}

// request turns an input into LiveKit's, for a record.
func (in *IngressInput) request(record *models.Ingress) *livekit.IngressRequest {
	return &livekit.IngressRequest{Input: in.InputType, URL: in.URL, Name: models.QualifyIngress(record.ID, in.Name),
		Room: models.QualifyRoom(record.ProjectID, in.RoomName), Identity: in.ParticipantIdentity, ParticipantName: in.ParticipantName,
		ParticipantMetadata: in.ParticipantMetadata, Transcode: in.Transcode, Enabled: in.Enabled, Audio: in.Audio, Video: in.Video}
}

// createdBefore finds what an earlier attempt of the same request made, with its
// stream key, which LiveKit still knows. What LiveKit does not know is made anew.
func (s *Ingresses) createdBefore(ctx context.Context, project models.ProjectID, id models.IngressID) (record models.Ingress, key secret.Value, found bool, err error) {
	record, err = s.c.Store.Get(ctx, project, string(id))
	if models.IsKind(err, models.KindNotFound) {
		return record, key, false, nil
	}
	if err != nil {
		return record, key, false, err
	}
	client, err := s.client(&record)
	if err != nil {
		return record, key, false, err
	}
	list, err := client.ListIngresses(ctx, models.QualifyRoom(project, record.RoomName))
	if err != nil {
		return record, key, false, err
	}
	for i := range list {
		if of, _ := models.SplitIngress(list[i].Name); of == id {
			record, err = s.apply(ctx, record, &list[i])
			return record, list[i].StreamKey, true, err
		}
	}
	return record, key, false, s.c.Store.Delete(ctx, project, id)
}

// notCreated gives the error of an ingress that LiveKit did not confirm. The record of
// one that LiveKit refused is deleted; Compare finds out about one it may have made.
func (s *Ingresses) notCreated(ctx context.Context, record *models.Ingress, failed error) error {
	if !models.IsKind(failed, models.KindUnavailable) {
		s.discard(ctx, record)
		return failed
	}
	reason := "LiveKit did not answer. What it made all the same is deleted within a minute, or as soon as it answers."
	if record.InputType == models.IngressURL {
		reason = "No ingress worker took the URL. What LiveKit made all the same is deleted within a minute."
	}
	return models.NewError(models.KindUnavailable, "ingress_not_created", reason).Because(failed)
}

// discard deletes the record of an ingress that LiveKit has not made.
func (s *Ingresses) discard(ctx context.Context, record *models.Ingress) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := s.c.Store.Delete(ctx, record.ProjectID, record.ID); err != nil {
		s.c.Log.Error().Err(err).Str("ingress_id", string(record.ID)).Msg("ingress: could not delete the record of a refused request; a later pass will")
	}
}

func (s *Ingresses) begin(ctx context.Context, actor *models.Principal, record *models.Ingress, action string, after map[string]any) (*audit.Entry, error) {
	after["project_id"] = record.ProjectID
	return s.c.Trail.Begin(ctx, actor, audit.Event{OrgID: record.OrgID, Action: action, Type: "ingress", ID: record.PublicID(), After: after})
}

// find finds an ingress that LiveKit has made; not_found otherwise.
func (s *Ingresses) find(ctx context.Context, actor *models.Principal, action models.Action, named models.ProjectID, id string) (models.Ingress, error) {
	project, err := lookup.Project(ctx, s.c.Projects, actor, action, named)
	if err != nil {
		return models.Ingress{}, err
	}
	record, err := s.c.Store.Get(ctx, project.ID, id)
	if err == nil && !record.Confirmed {
		err = models.NotFound()
	}
	if err != nil {
		return models.Ingress{}, err
	}
	return record, nil
}

// Get reads an ingress, or not_found.
func (s *Ingresses) Get(ctx context.Context, actor *models.Principal, named models.ProjectID, id string) (models.Ingress, error) {
	return s.find(ctx, actor, models.ActionIngressRead, named, id)
}

// IngressQuery narrows List; zero fields narrow nothing.
type IngressQuery struct {
	Project  models.ProjectID
	Status   models.IngressStatus
	RoomName string
}

// List reads a page of a project's ingresses, newest first.
func (s *Ingresses) List(ctx context.Context, actor *models.Principal, q IngressQuery, p paging.Request) (paging.Page[models.Ingress], error) {
	project, err := lookup.Project(ctx, s.c.Projects, actor, models.ActionIngressRead, q.Project)
	if err != nil {
		return paging.Page[models.Ingress]{}, err
	}
	scope := "ingress|" + string(project.ID) + "|" + string(q.Status) + "|" + q.RoomName
	return paging.ByID(s.c.Cursors, actor, scope, p, func(at database.Page) ([]models.Ingress, error) {
		return s.c.Store.List(ctx, project.ID, database.IngressFilter{Status: q.Status, RoomName: q.RoomName}, at)
	}, func(i models.Ingress) string { return string(i.ID) })
}

// IngressUpdate changes an ingress; nil fields stay. Neither the input nor what is
// pulled can change.
type IngressUpdate struct {
	Name, RoomName, ParticipantIdentity  *string
	ParticipantName, ParticipantMetadata *string
	Transcode, Enabled                   *bool
	Audio                                *models.IngressAudio
	Video                                *models.IngressVideo
}

// Update changes an ingress: from its next run on, and Enabled at once. invalid with
// every field that is wrong; conflict ingress_not_reusable for what is pulled from a
// URL, ingress_lost if LiveKit does not know it any more, room_on_another_cluster.
func (s *Ingresses) Update(ctx context.Context, actor *models.Principal, named models.ProjectID, id string, u IngressUpdate) (record models.Ingress, err error) {
	record, err = s.find(ctx, actor, models.ActionIngressWrite, named, id)
	if err != nil {
		return models.Ingress{}, err
	}
	if !record.InputType.Reusable() {
		return models.Ingress{}, models.Conflict("ingress_not_reusable", "LiveKit cannot change an ingress that pulls a URL.")
	}
	if err := u.check(&record); err != nil {
		return models.Ingress{}, err
	}
	client, err := s.client(&record)
	if err != nil {
		return models.Ingress{}, err
	}
	ask := &livekit.IngressRequest{Identity: text(u.ParticipantIdentity), ParticipantName: text(u.ParticipantName),
		ParticipantMetadata: text(u.ParticipantMetadata), Transcode: u.Transcode, Enabled: u.Enabled, Audio: u.Audio, Video: u.Video}
	if u.Name != nil {
		ask.Name = models.QualifyIngress(record.ID, *u.Name)
	}
	if u.RoomName != nil {
		if err := s.sameCluster(ctx, &record, *u.RoomName); err != nil {
			return models.Ingress{}, err
		}
		ask.Room = models.QualifyRoom(record.ProjectID, *u.RoomName)
	}
	entry, err := s.begin(ctx, actor, &record, "ingress.updated", u.fields())
	if err != nil {
		return models.Ingress{}, err
	}
	defer entry.End(ctx, &err)
	state, err := client.UpdateIngress(ctx, record.IngressID, ask)
	if models.IsKind(err, models.KindNotFound) {
		err = models.Conflict("ingress_lost", "LiveKit does not know the ingress any more; delete it and create another.").Because(err)
	}
	if err != nil {
		return models.Ingress{}, err
	}
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	record, err = s.change(settling, record, func(*models.Ingress) (database.IngressChange, bool) {
		return database.IngressChange{Name: u.Name, RoomName: u.RoomName, ParticipantIdentity: u.ParticipantIdentity, ParticipantName: u.ParticipantName,
			ParticipantMetadata: u.ParticipantMetadata, EnableTranscoding: u.Transcode, Enabled: u.Enabled, Audio: u.Audio, Video: u.Video}, true
	})
	if err != nil {
		return models.Ingress{}, err
	}
	return s.apply(settling, record, &state)
}

func text(given *string) string {
	if given == nil {
		return ""
	}
	return *given
}

// sameCluster refuses a room that is on another cluster than the ingress. One that is on
// none is assigned to that of the ingress.
func (s *Ingresses) sameCluster(ctx context.Context, record *models.Ingress, room string) error {
	project, err := s.c.Projects.Named(ctx, record.ProjectID)
	if err != nil {
		return err
	}
	if err := s.c.Placements.Keep(ctx, record.ProjectID, room, record.Cluster, s.now().Add(models.MaxTokenTTLSeconds*time.Second)); err != nil {
		return err
	}
	member, err := s.c.Placements.Of(ctx, &project, room)
	if err == nil && member.Name != record.Cluster {
		err = models.Conflict("room_on_another_cluster", "The room is on another LiveKit cluster than the ingress.")
	}
	return err
}

// Delete ends an ingress and what it publishes. unavailable if LiveKit does not
// answer: the ingress stays, and Compare deletes it.
func (s *Ingresses) Delete(ctx context.Context, actor *models.Principal, named models.ProjectID, id string) (err error) {
	record, err := s.find(ctx, actor, models.ActionIngressWrite, named, id)
	if err != nil {
		return err
	}
	entry, err := s.begin(ctx, actor, &record, "ingress.deleted", map[string]any{})
	if err != nil {
		return err
	}
	defer entry.End(ctx, &err)
	yes := true
	record, err = s.change(ctx, record, func(r *models.Ingress) (database.IngressChange, bool) {
		return database.IngressChange{DeleteAsked: &yes, Open: &yes}, !r.DeleteAsked
	})
	if err != nil {
		return err
	}
	return s.delete(ctx, &record)
}

// delete has LiveKit delete an ingress, then its record.
func (s *Ingresses) delete(ctx context.Context, record *models.Ingress) error {
	client, err := s.client(record)
	if err != nil {
		return err
	}
	if err := client.DeleteIngress(ctx, record.IngressID); err != nil {
		return err
	}
	return s.c.Store.Delete(ctx, record.ProjectID, record.ID)
}

func (s *Ingresses) now() time.Time { return s.c.Now().UTC().Truncate(time.Millisecond) }

// client calls the cluster an ingress is on.
func (s *Ingresses) client(record *models.Ingress) (*livekit.Client, error) {
	member := s.c.Clusters.Named(record.Cluster)
	if member == nil {
		return nil, models.Unavailable(fmt.Errorf("media: the cluster %s of an ingress is not configured", record.Cluster))
	}
	return member.Client, nil
}

// change updates a record, again if others changed it meanwhile.
func (s *Ingresses) change(ctx context.Context, record models.Ingress, to func(*models.Ingress) (database.IngressChange, bool)) (models.Ingress, error) {
	return changed(record, to, func(r *models.Ingress, c database.IngressChange) (models.Ingress, error) {
		return s.c.Store.Update(ctx, r, c, s.now())
	}, func(r *models.Ingress) (models.Ingress, error) { return s.c.Store.Get(ctx, r.ProjectID, string(r.ID)) })
}
