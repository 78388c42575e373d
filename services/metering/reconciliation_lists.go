package metering

import (
	"context"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

// listing is the cluster's lists at one time.
type listing struct {
	at time.Time
	// read names the lists that were read: sids of rooms, allRooms, ….
	read map[string]bool
	// present are the ids of everything listed.
	present map[string]bool
	// found has one event per listed object, as a correction would say it.
	found []models.LiveKitEvent
}

// list reads all lists.
func (r *Reconciliation) list(ctx context.Context) (*listing, error) {
	l := &listing{at: r.c.Inbox.now().UTC(), read: map[string]bool{}, present: map[string]bool{}}
	rooms, err := r.c.Cluster.Rooms(ctx)
	if err != nil {
		return nil, err
	}
	l.read[allRooms] = true
	type people struct {
		active  []models.EventParticipant
		joining []string
		err     error
	}
	of := make([]people, len(rooms))
	var group errgroup.Group
	group.SetLimit(listedAtOnce)
	for i := range rooms {
		if _, _, ours := models.SplitRoom(rooms[i].Name); !ours {
			continue
		}
		group.Go(func() error {
			of[i].active, of[i].joining, of[i].err = r.c.Cluster.Participants(ctx, rooms[i].Name)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i := range rooms {
		project, name, ours := models.SplitRoom(rooms[i].Name)
		if !ours {
			continue
		}
		e := models.LiveKitEvent{ProjectID: project, RoomName: name, RoomSID: rooms[i].SID, RoomCreatedAt: rooms[i].CreatedAt, RoomKey: rooms[i].Name}
		l.add(e, rooms[i].SID, models.SubjectRoom)
		if of[i].err != nil {
			continue
		}
		l.read[rooms[i].SID] = true
		for _, p := range of[i].active {
			e.Participant = &p
			l.add(e, p.SID, models.SubjectParticipant)
		}
		for _, sid := range of[i].joining {
			l.present[elsewhere(sid, rooms[i].SID)] = true
		}
	}
	l.addMedia(ctx, allEgresses, models.SubjectEgress, r.c.Cluster.Egresses)
	l.addMedia(ctx, allIngresses, models.SubjectIngress, r.c.Cluster.Ingresses)
	return l, nil
}

// addMedia adds a list of egresses or ingresses. A cluster without these services
// returns an error; then there is nothing to compare.
func (l *listing) addMedia(ctx context.Context, name string, subject models.Subject, list func(context.Context) ([]livekit.Media, error)) {
	media, err := list(ctx)
	if err != nil {
		return
	}
	l.read[name] = true
	for i := range media {
		project, room, ours := models.SplitRoom(media[i].RoomName)
		if !ours {
			l.present[media[i].ID] = true // a page's, whose tenant its record names
			continue
		}
		l.add(models.LiveKitEvent{ProjectID: project, RoomName: room, RoomSID: media[i].RoomSID,
			RoomKey: media[i].RoomName, Media: &media[i].EventMedia}, media[i].ID, subject)
	}
}

func (l *listing) add(e models.LiveKitEvent, id string, subject models.Subject) {
	e.SessionID, e.Subject, e.Event = id, subject, models.EventFoundPresent
	l.present[listed(subject, id, e.RoomSID)] = true
	l.found = append(l.found, e)
}

// listed is what a session is known by in a list: a participant may be in several
// rooms under one sid.
func listed(subject models.Subject, id, roomSID string) string {
	if subject != models.SubjectParticipant {
		return id
	}
	return elsewhere(participantOf(id), roomSID)
}

// participantOf gives the sid of the participant of a session.
func participantOf(session string) string {
	sid, _, _ := strings.Cut(session, "@")
	return sid
}

func listedSession(s *models.UsageSession) string { return listed(s.Subject, s.ID, s.RoomSID) }

func listedEvent(e *models.LiveKitEvent) string { return listed(e.Subject, e.SessionID, e.RoomSID) }

// listOf names the list that a session must be in, and whether it was read.
func (l *listing) listOf(s *models.UsageSession) (name string, read bool) {
	switch s.Subject {
	case models.SubjectRoom:
		return allRooms, l.read[allRooms]
	case models.SubjectEgress:
		return allEgresses, l.read[allEgresses]
	case models.SubjectIngress:
		return allIngresses, l.read[allIngresses]
	case models.SubjectParticipant:
	}
	// A participant can't be in a room that is gone.
	return s.RoomSID, l.read[s.RoomSID] || l.read[allRooms] && !l.present[s.RoomSID]
}
