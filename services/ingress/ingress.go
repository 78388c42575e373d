package ingress

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/clusters"
	"pulse-control-plane/services/fields"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

// settleTimeout bounds storing what LiveKit answered after the caller may have
// disconnected.
const settleTimeout = time.Second

// Ingresses is the service of ingress.
type Ingresses struct{ c Config }

// Config of New; every field but Log is required.
type Config struct {
	Projects   *database.Projects
	Store      *database.Ingresses
	Clusters   *clusters.Set
	Placements *clusters.Placements
	Quotas     *quotas.Limits
	// Sources judges the URLs that are pulled.
	Sources fields.Guard
	Cursors *cursor.Codec
	// Trail records every change.
	Trail *audit.Trail
	Log   zerolog.Logger
	Now   func() time.Time
}

// New builds the service. It fails if a required field is missing.
func New(c Config) (*Ingresses, error) {
	return &Ingresses{c}, required.Fields(c)
}

// Input asks for an ingress; nil and empty fields are LiveKit's defaults.
type Input struct {
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
// worker does not answer: what was made nevertheless is deleted within a minute.
func (s *Ingresses) Create(ctx context.Context, actor *models.Principal, in Input) (out models.Ingress, key secret.Value, err error) {
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
func (in *Input) transcodes() bool {
	if in.Transcode != nil {
		return *in.Transcode
	}
	return in.InputType != models.IngressWHIP
}

// request turns an input into LiveKit's, for a record.
func (in *Input) request(record *models.Ingress) *livekit.IngressRequest {
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

func (s *Ingresses) now() time.Time { return s.c.Now().UTC().Truncate(time.Millisecond) }

// client calls the cluster an ingress is on.
func (s *Ingresses) client(record *models.Ingress) (*livekit.Client, error) {
	member := s.c.Clusters.Named(record.Cluster)
	if member == nil {
		return nil, models.Unavailable(fmt.Errorf("ingress: the cluster %s of an ingress is not configured", record.Cluster))
	}
	return member.Client, nil
}

// change updates a record, again if others changed it meanwhile.
func (s *Ingresses) change(ctx context.Context, record models.Ingress, to func(*models.Ingress) (database.IngressChange, bool)) (models.Ingress, error) {
	return database.UpdateLatest(record, to, func(r *models.Ingress, c database.IngressChange) (models.Ingress, error) {
		return s.c.Store.Update(ctx, r, c, s.now())
	}, func(r *models.Ingress) (models.Ingress, error) { return s.c.Store.Get(ctx, r.ProjectID, string(r.ID)) })
}
