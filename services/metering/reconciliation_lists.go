package metering

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

// listing is the lists of all clusters at one time.
type listing struct {
	at time.Time
	// clusters are the names of the clusters, by their API keys.
	clusters map[string]string
	// read names the lists that were read: sids of rooms, on(allRooms, "default"), ….
	read map[string]bool
	// present are the ids of everything listed.
	present map[string]bool
	// found has one event per listed object, as a correction would say it.
	found []models.LiveKitEvent
	// heard has the clusters of open sessions that are listed: true if an event of
	// LiveKit told of one of them.
	heard map[string]bool
}

func newListing(at time.Time) *listing {
	return &listing{at: at, clusters: map[string]string{}, read: map[string]bool{}, present: map[string]bool{}, heard: map[string]bool{}}
}

// hear notes whether an event of LiveKit told of an open session that is listed.
func (l *listing) hear(s *models.UsageSession) {
	if cluster, known := l.clusters[s.Cluster]; known && l.present[listedSession(s)] {
		told := slices.ContainsFunc(s.EventIDs, func(id string) bool { return !strings.HasPrefix(id, correctionPrefix) })
		l.heard[cluster] = l.heard[cluster] || told
	}
}

// silent names the sightings of clusters of whose sessions no event told.
func (l *listing) silent() []string {
	var names []string
	for cluster, heard := range l.heard {
		if !heard {
			names = append(names, on(noEvents, cluster))
		}
	}
	return names
}

// Silent names the clusters that listed people, rooms, egresses or ingresses in the
// time before now of whom no event of LiveKit told: their webhook is not set to
// Pulse, or does not reach it.
func (r *Reconciliation) Silent(ctx context.Context, within time.Duration) ([]string, error) {
	clusters := r.c.Clusters()
	names := make([]string, len(clusters))
	for i := range clusters {
		names[i] = on(noEvents, clusters[i].Name)
	}
	seen, err := r.c.Sightings.Of(ctx, names)
	if err != nil {
		return nil, err
	}
	var silent []string
	for i, name := range names {
		if at, ok := seen[name]; ok && r.c.Inbox.now().Sub(at) < within {
			silent = append(silent, clusters[i].Name)
		}
	}
	return silent, nil
}

// read reads the lists of all clusters, all at once. unavailable if no cluster
// answers.
func (r *Reconciliation) read(ctx context.Context) (*listing, error) {
	all := newListing(r.c.Inbox.now().UTC())
	clusters := r.c.Clusters()
	of, failed := make([]*listing, len(clusters)), make([]error, len(clusters))
	var reading sync.WaitGroup
	for i, c := range clusters {
		reading.Go(func() { of[i], failed[i] = c.list(ctx, all.at) })
	}
	reading.Wait()
	if err := errors.Join(failed...); err != nil {
		if !slices.Contains(failed, nil) {
			return nil, err
		}
		r.c.Log.Warn().Err(err).Msg("reconciliation: a cluster can't be read; nothing on it is corrected")
	}
	for i, c := range clusters {
		for _, key := range c.Keys {
			all.clusters[key] = c.Name
		}
		if l := of[i]; failed[i] == nil {
			maps.Copy(all.read, l.read)
			maps.Copy(all.present, l.present)
			all.found = append(all.found, l.found...)
		}
	}
	for _, list := range []string{allRooms, allEgresses, allIngresses} {
		all.read[list] = !slices.ContainsFunc(clusters, func(c Cluster) bool { return !all.read[on(list, c.Name)] })
	}
	return all, nil
}

// list reads all lists of a cluster.
func (c *Cluster) list(ctx context.Context, at time.Time) (*listing, error) {
	l := newListing(at)
	rooms, err := c.Lists.Rooms(ctx)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	l.read[on(allRooms, c.Name)] = true
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
			of[i].active, of[i].joining, of[i].err = c.Lists.Participants(ctx, rooms[i].Name)
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
		e := models.LiveKitEvent{Cluster: c.Keys[0], ProjectID: project, RoomName: name, RoomSID: rooms[i].SID, RoomCreatedAt: rooms[i].CreatedAt, RoomKey: rooms[i].Name}
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
	c.addMedia(ctx, l, allEgresses, models.SubjectEgress, c.Lists.Egresses)
	c.addMedia(ctx, l, allIngresses, models.SubjectIngress, c.Lists.Ingresses)
	return l, nil
}

// addMedia adds a list of egresses or ingresses. A cluster without these services
// returns an error; then there is nothing to compare.
func (c *Cluster) addMedia(ctx context.Context, l *listing, name string, subject models.Subject, list func(context.Context) ([]livekit.Media, error)) {
	media, err := list(ctx)
	if err != nil {
		return
	}
	l.read[on(name, c.Name)] = true
	for i := range media {
		project, room, ours := models.SplitRoom(media[i].RoomName)
		if !ours {
			l.present[media[i].ID] = true // a page's, whose tenant its record names
			continue
		}
		if subject == models.SubjectIngress && media[i].StartedAt.IsZero() {
			l.present[media[i].ID] = true // it runs; LiveKit does not name the start of its run
			continue
		}
		l.add(models.LiveKitEvent{Cluster: c.Keys[0], ProjectID: project, RoomName: room, RoomSID: media[i].RoomSID,
			RoomKey: media[i].RoomName, Media: &media[i].EventMedia}, media[i].ID, subject)
	}
}

func (l *listing) add(e models.LiveKitEvent, id string, subject models.Subject) {
	e.SessionID, e.Subject, e.Event = id, subject, models.EventFoundPresent
	l.present[listed(subject, id, e.RoomSID)] = true
	l.found = append(l.found, e)
}

// has reports whether a session is listed: by its id or, for a run of an ingress, by
// the id of an ingress whose run is listed without its start.
func (l *listing) has(s *models.UsageSession) bool {
	return l.present[listedSession(s)] || s.Subject == models.SubjectIngress && l.present[participantOf(s.ID)]
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

// listOf names the list that a session must be in, and whether it was read: its
// cluster's, or those of all if no cluster of now reported it.
func (l *listing) listOf(s *models.UsageSession) (name string, read bool) {
	of := func(list string) string {
		if cluster, known := l.clusters[s.Cluster]; known {
			return on(list, cluster)
		}
		return list
	}
	switch s.Subject {
	case models.SubjectRoom:
		name = of(allRooms)
	case models.SubjectEgress:
		name = of(allEgresses)
	case models.SubjectIngress:
		name = of(allIngresses)
	case models.SubjectParticipant:
		// A participant can't be in a room that is gone.
		return s.RoomSID, l.read[s.RoomSID] || l.read[of(allRooms)] && !l.present[s.RoomSID]
	}
	return name, l.read[name]
}
