package ingress

import (
	"context"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/paging"
)

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

// Query narrows List; zero fields narrow nothing.
type Query struct {
	Project  models.ProjectID
	Status   models.IngressStatus
	RoomName string
}

// List reads a page of a project's ingresses, newest first.
func (s *Ingresses) List(ctx context.Context, actor *models.Principal, q Query, p paging.Request) (paging.Page[models.Ingress], error) {
	project, err := lookup.Project(ctx, s.c.Projects, actor, models.ActionIngressRead, q.Project)
	if err != nil {
		return paging.Page[models.Ingress]{}, err
	}
	scope := "ingress|" + string(project.ID) + "|" + string(q.Status) + "|" + q.RoomName
	return paging.ByID(s.c.Cursors, actor, scope, p, func(at database.Page) ([]models.Ingress, error) {
		return s.c.Store.List(ctx, project.ID, database.IngressFilter{Status: q.Status, RoomName: q.RoomName}, at)
	}, func(i models.Ingress) string { return string(i.ID) })
}

// Update changes an ingress; nil fields stay. Neither the input nor what is
// pulled can change.
type Update struct {
	Name, RoomName, ParticipantIdentity  *string
	ParticipantName, ParticipantMetadata *string
	Transcode, Enabled                   *bool
	Audio                                *models.IngressAudio
	Video                                *models.IngressVideo
}

// Update changes an ingress: from its next run on, and Enabled at once. invalid with
// every field that is wrong; conflict ingress_not_reusable for what is pulled from a
// URL, ingress_lost if LiveKit does not know it any more, room_on_another_cluster.
func (s *Ingresses) Update(ctx context.Context, actor *models.Principal, named models.ProjectID, id string, u Update) (record models.Ingress, err error) {
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
