package ingress

import (
	"context"
	"errors"
	"reflect"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

const (
	// comparedAfter is the age below which a record is not compared: its request may
	// still be running.
	comparedAfter = 10 * time.Second
	// createdWithin is how long after its record was made an ingress may be without
	// LiveKit's id: the request's own deadline, and some.
	createdWithin = 30 * time.Second
	// forgottenAfter is how long after it ended LiveKit lists an ingress that pulled a
	// URL: its last events are on their way.
	forgottenAfter = time.Minute
	// lostRetry is how often LiveKit is asked for an ingress that it did not list.
	lostRetry = 10 * time.Minute
)

// Compare brings the records of ingresses up to date with what LiveKit lists, deletes
// those that were deleted while LiveKit was away or whose project is gone, and
// finds out about those that LiveKit did not confirm, or that are due. A cluster that
// cannot be asked changes nothing. It is the pass of a worker that one replica runs.
func (s *Ingresses) Compare(ctx context.Context) error {
	lists := map[string]*listedOf{} // by cluster; nil if it cannot be asked
	gone := map[models.ProjectID]bool{}
	var failures []error
	for after := models.IngressID(""); ; {
		open, err := s.c.Store.Open(ctx, after, database.MaxBatch)
		if err != nil {
			return err
		}
		for i := range open {
			record := &open[i]
			listed, asked := lists[record.Cluster]
			if !asked {
				if listed, err = s.listed(ctx, record); err != nil {
					failures = append(failures, err)
				}
				lists[record.Cluster] = listed
			}
			if listed == nil || listed.at.Sub(record.CreatedAt) < comparedAfter {
				continue
			}
			if _, known := gone[record.ProjectID]; !known {
				project, err := s.c.Projects.Named(ctx, record.ProjectID)
				if err != nil && !models.IsKind(err, models.KindNotFound) {
					failures = append(failures, err)
					continue
				}
				gone[record.ProjectID] = err != nil || project.IsDeleted
			}
			failures = append(failures, s.compare(ctx, record, listed, gone[record.ProjectID]))
		}
		if len(open) < database.MaxBatch {
			return errors.Join(append(failures, s.lookAgain(ctx))...)
		}
		after = open[len(open)-1].ID
	}
}

// listedOf are those of a cluster that Pulse made, by their records, and when
// LiveKit was asked for them.
type listedOf struct {
	at time.Time
	of map[models.IngressID]livekit.IngressState
}

// listed lists the ingresses of a record's cluster.
func (s *Ingresses) listed(ctx context.Context, record *models.Ingress) (*listedOf, error) {
	client, err := s.client(record)
	if err != nil {
		return nil, err
	}
	out := &listedOf{at: s.now()}
	list, err := client.ListIngresses(ctx, "")
	if err != nil {
		return nil, err
	}
	out.of = make(map[models.IngressID]livekit.IngressState, len(list))
	for _, state := range list {
		if id, _ := models.SplitIngress(state.Name); id != "" {
			out.of[id] = state
		}
	}
	return out, nil
}

func (s *Ingresses) compare(ctx context.Context, record *models.Ingress, listed *listedOf, gone bool) error {
	state, there := listed.of[record.ID]
	switch {
	case !record.Confirmed && listed.at.Sub(record.CreatedAt) < createdWithin:
		return nil
	case !record.Confirmed && there: // no caller has its stream key or its id
		record.IngressID = state.ID
		return s.delete(ctx, record)
	case !record.Confirmed:
		return s.c.Store.Delete(ctx, record.ProjectID, record.ID)
	case record.DeleteAsked || gone:
		return s.delete(ctx, record)
	case there && drift(record, &state) == (database.IngressChange{}):
		_, err := s.apply(ctx, *record, &state)
		return errors.Join(ignoreGone(err), s.keep(ctx, record))
	}
	client, err := s.client(record)
	if err != nil {
		return err
	}
	state, err = client.GetIngress(ctx, record.IngressID) // the list is older than the record
	switch {
	case models.IsKind(err, models.KindNotFound):
		return s.lost(ctx, record)
	case err != nil:
		return err
	}
	return s.repair(ctx, record, &state)
}

// repair gives a record what LiveKit has of its ingress, unless it was changed since it
// was read: the answer to a change was lost, or its process died.
func (s *Ingresses) repair(ctx context.Context, record *models.Ingress, state *livekit.IngressState) error {
	updated := *record
	if c := drift(record, state); c != (database.IngressChange{}) {
		var err error
		if updated, err = s.c.Store.Update(ctx, record, c, s.now()); err != nil {
			return ignoreGone(err)
		}
	}
	_, err := s.apply(ctx, updated, state)
	return errors.Join(ignoreGone(err), s.keep(ctx, &updated))
}

// drift gives what an ingress was asked for at LiveKit and its record does not have.
func drift(r *models.Ingress, state *livekit.IngressState) (c database.IngressChange) {
	project, room, ours := models.SplitRoom(state.Room)
	id, name := models.SplitIngress(state.Name)
	if !r.InputType.Reusable() || !ours || project != r.ProjectID || id != r.ID {
		return c // no caller of Pulse changed it
	}
	c = database.IngressChange{Name: unlike(r.Name, name), RoomName: unlike(r.RoomName, room), ParticipantIdentity: unlike(r.ParticipantIdentity, state.Identity),
		ParticipantName: unlike(r.ParticipantName, state.ParticipantName), ParticipantMetadata: unlike(r.ParticipantMetadata, state.ParticipantMetadata),
		EnableTranscoding: unlike(r.EnableTranscoding, state.Transcode), Enabled: unlike(r.Enabled, state.Enabled)}
	if state.Audio != nil && !reflect.DeepEqual(state.Audio, r.Audio) {
		c.Audio = state.Audio
	}
	if state.Video != nil && !reflect.DeepEqual(state.Video, r.Video) {
		c.Video = state.Video
	}
	return c
}

// unlike is what is there, if that is not what is known; nil otherwise.
func unlike[T comparable](known, there T) *T {
	if known == there {
		return nil
	}
	return &there
}

// lookAgain looks at the ingresses that are due though not open: what pulled a URL is
// deleted at LiveKit, which would list it forever; what LiveKit lost may be back.
func (s *Ingresses) lookAgain(ctx context.Context) error {
	list, err := s.c.Store.Due(ctx, s.now(), database.MaxBatch)
	if err != nil {
		return err
	}
	var failures []error
	away := map[string]bool{} // clusters that do not answer are asked once a pass
	for i := range list {
		record, due := &list[i], s.now().Add(forgottenAfter) // what fails lets others have their turn
		if !away[record.Cluster] {
			next, err := s.lookAt(ctx, record)
			if err == nil {
				due = next
			}
			away[record.Cluster] = models.IsKind(err, models.KindUnavailable)
			failures = append(failures, ignoreGone(err))
		}
		_, err = s.change(ctx, *record, func(r *models.Ingress) (database.IngressChange, bool) {
			return database.IngressChange{DueAt: &due}, !r.Open
		})
		failures = append(failures, ignoreGone(err))
	}
	return errors.Join(failures...)
}

// lookAt looks at an ingress that is due, and returns when it is due again; zero is never.
func (s *Ingresses) lookAt(ctx context.Context, record *models.Ingress) (due time.Time, err error) {
	member := s.c.Clusters.Named(record.Cluster)
	if member == nil { // taken out, maybe for a while
		return s.now().Add(lostRetry), nil
	}
	state, err := member.Client.GetIngress(ctx, record.IngressID)
	switch {
	case models.IsKind(err, models.KindNotFound) && record.InputType.Reusable():
		return s.now().Add(lostRetry), nil
	case models.IsKind(err, models.KindNotFound):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, err
	case record.InputType.Reusable() || !state.Status.Over():
		_, err = s.apply(ctx, *record, &state)
		return s.now().Add(forgottenAfter), err
	}
	return time.Time{}, member.Client.DeleteIngress(ctx, record.IngressID)
}

// lost is an ingress that LiveKit does not know any more: a pulled one has ended, an
// encoder's stream key is invalid.
func (s *Ingresses) lost(ctx context.Context, record *models.Ingress) error {
	status, reason, no, now := models.IngressError, "LiveKit does not know the ingress any more.", false, s.now()
	due := now.Add(lostRetry)
	if record.Status == models.IngressComplete {
		status, reason = models.IngressComplete, ""
	}
	_, err := s.change(ctx, *record, func(r *models.Ingress) (database.IngressChange, bool) {
		c := database.IngressChange{Status: &status, Error: &reason, Open: &no, DueAt: &due}
		if r.StartedAt != nil && r.EndedAt == nil {
			c.EndedAt = &now
		}
		return c, r.Open && !r.DeleteAsked
	})
	return ignoreGone(err)
}
