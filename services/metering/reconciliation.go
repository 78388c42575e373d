package metering

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/times"
)

const (
	// listedAtOnce is how many rooms' participants are listed at a time.
	listedAtOnce = 8
	// settling is the age below which a session is not corrected: its own event
	// may be on its way, and clocks differ.
	settling = 2 * time.Second
)

// Names of the sightings of complete lists.
const (
	allRooms     = "rooms"
	allEgresses  = "egresses"
	allIngresses = "ingresses"
	// noEvents is seen on a cluster that lists people of whom no event told.
	noEvents = "no events"
)

// on names one of them for one cluster. The bare name is that all clusters' lists
// were read.
func on(list, cluster string) string { return list + "@" + cluster }

// Lists is what reconciliation reads from a cluster. On an error the list is
// unknown; whatever is missing in a list that was read is gone.
type Lists interface {
	Rooms(ctx context.Context) ([]livekit.Room, error)
	// Participants returns the participants of a room, and the sids of those that
	// are still joining.
	Participants(ctx context.Context, room string) (active []models.EventParticipant, joining []string, err error)
	Egresses(ctx context.Context) ([]livekit.Media, error)
	Ingresses(ctx context.Context) ([]livekit.Media, error)
}

// Cluster is one whose lists are compared.
type Cluster struct {
	Name string
	// Keys are its API keys; the first signs its corrections.
	Keys  []string
	Lists Lists
}

// Reconciliation compares open usage sessions with what the clusters list, because
// LiveKit drops events that it can't deliver. Differences become corrections:
// events in the inbox, which processes them like LiveKit's. Clusters are compared
// each by itself: one that does not answer changes nothing on the others.
type Reconciliation struct {
	c           ReconciliationConfig
	corrections *prometheus.CounterVec
}

// ReconciliationConfig of NewReconciliation. Every field except Log is required.
type ReconciliationConfig struct {
	// Clusters are those of now.
	Clusters  func() []Cluster
	Inbox     *Inbox
	Sessions  *database.UsageSessions
	Sightings *database.Sightings
	Log       zerolog.Logger
}

// NewReconciliation builds the service. It fails if a required field is missing.
func NewReconciliation(c ReconciliationConfig) (*Reconciliation, error) {
	return &Reconciliation{c, newCorrections()}, required.Fields(c)
}

// Compare reads the clusters' lists and stores corrections. If the rooms of a
// cluster can't be listed, it closes nothing there; if the participants of a room
// can't be listed, it closes none of them. What no cluster of now reported is
// closed only when all of them were read. unavailable if none can be read.
func (r *Reconciliation) Compare(ctx context.Context) error {
	l, err := r.read(ctx)
	if err != nil {
		return err
	}
	gone, known, err := r.missing(ctx, l)
	if err != nil {
		return err
	}
	corrections, err := r.unannounced(ctx, l, known)
	if err != nil {
		return err
	}
	closing, err := r.closing(ctx, l, gone)
	if err != nil {
		return err
	}
	corrections = append(corrections, closing...)
	group, keeping := errgroup.WithContext(ctx)
	group.SetLimit(parallelWrites)
	for i := range corrections {
		group.Go(func() error {
			e := &corrections[i]
			fresh, err := r.c.Inbox.Keep(keeping, e)
			if fresh {
				r.corrections.WithLabelValues(e.Event, string(e.Subject)).Inc()
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(corrections) > 0 {
		r.c.Log.Warn().Int("corrections", len(corrections)).
			Msg("reconciliation: LiveKit's events are missing; if this repeats, check webhook.urls in LiveKit's configuration")
	}
	names := l.silent()
	for name, read := range l.read {
		if read {
			names = append(names, name)
		}
	}
	return r.c.Sightings.Saw(ctx, names, l.at)
}

// missing returns the open sessions that are not listed, and the ids of all open
// sessions.
func (r *Reconciliation) missing(ctx context.Context, l *listing) (gone []models.UsageSession, known map[string]bool, err error) {
	known = map[string]bool{}
	for after := ""; ; {
		open, err := r.c.Sessions.Open(ctx, after, database.MaxBatch)
		if err != nil {
			return nil, nil, err
		}
		for i := range open {
			s := &open[i]
			known[listedSession(s)] = true
			l.hear(s)
			if _, read := l.listOf(s); read && !l.has(s) && s.JoinedAt.Before(l.at.Add(-settling)) {
				gone = append(gone, *s)
			}
		}
		if len(open) < database.MaxBatch {
			return gone, known, nil
		}
		after = open[len(open)-1].ID
	}
}

// unannounced returns corrections for listed sessions that are not open: those
// without an event, and those that an earlier correction closed. A session that
// its own event ended after the list was read is not corrected.
func (r *Reconciliation) unannounced(ctx context.Context, l *listing, open map[string]bool) ([]models.LiveKitEvent, error) {
	var out []models.LiveKitEvent
	for batch := range slices.Chunk(l.found, database.MaxBatch/2) {
		var ids []string
		for i := range batch {
			e := &batch[i]
			if open[listedEvent(e)] {
				continue
			}
			ids = append(ids, e.SessionID)
			if e.Subject == models.SubjectParticipant {
				ids = append(ids, elsewhere(e.SessionID, e.RoomSID))
			}
		}
		if len(ids) == 0 {
			continue
		}
		closed, err := r.c.Sessions.Named(ctx, ids)
		if err != nil {
			return nil, err
		}
		ended, gone := map[string]bool{}, map[string]time.Time{}
		for i := range closed {
			key := listedSession(&closed[i])
			ended[key] = closed[i].Open || closed[i].EndReason != models.EndedByReconciliation
			gone[key] = closed[i].Observed.GoneFoundAt
		}
		for _, e := range batch {
			key := listedEvent(&e)
			if !open[key] && !ended[key] && beganOf(&e).Before(l.at.Add(-settling)) {
				e.ID, e.CreatedAt = correctionID("present", key, gone[key]), l.at
				out = append(out, e)
			}
		}
	}
	return out, nil
}

func beganOf(e *models.LiveKitEvent) time.Time {
	switch {
	case e.Participant != nil:
		return e.Participant.JoinedAt
	case e.Media != nil:
		return e.Media.StartedAt
	}
	return e.RoomCreatedAt
}

// closing returns corrections for sessions that are gone. A session was last seen
// at the latest of: the previous read of its list, its start, and a correction that
// found it. A list that was read before the session was known did not contain it.
func (r *Reconciliation) closing(ctx context.Context, l *listing, gone []models.UsageSession) ([]models.LiveKitEvent, error) {
	out := make([]models.LiveKitEvent, 0, len(gone))
	for rest := gone; len(rest) > 0; {
		batch := rest[:min(len(rest), database.MaxBatch)]
		rest = rest[len(batch):]
		names := make([]string, len(batch))
		for i := range batch {
			names[i], _ = l.listOf(&batch[i])
		}
		seen, err := r.seen(ctx, names)
		if err != nil {
			return nil, err
		}
		for i := range batch {
			s := &batch[i]
			key := s.ID
			if s.RoomName != "" {
				key = models.QualifyRoom(s.ProjectID, s.RoomName)
			}
			last := times.Latest(s.JoinedAt, s.Observed.PresentAt)
			if !s.RecordedAt.After(seen[names[i]]) {
				last = times.Latest(last, seen[names[i]])
			}
			var participant *models.EventParticipant
			if s.Subject == models.SubjectParticipant {
				participant = &models.EventParticipant{SID: participantOf(s.ID), Identity: s.Identity, Kind: s.Kind}
			}
			out = append(out, models.LiveKitEvent{
				ID: correctionID("gone", s.ID, s.Observed.PresentAt), Cluster: s.Cluster, Event: models.EventFoundGone, ProjectID: s.ProjectID,
				RoomName: s.RoomName, RoomSID: s.RoomSID, RoomKey: key, SessionID: s.ID, Subject: s.Subject, Participant: participant,
				LastSeenAt: last, CreatedAt: l.at,
			})
		}
	}
	return out, nil
}

// seen returns when lists were last read. Where those of all clusters were, each
// cluster's was.
func (r *Reconciliation) seen(ctx context.Context, names []string) (map[string]time.Time, error) {
	all, err := r.c.Sightings.Of(ctx, []string{allRooms, allEgresses, allIngresses})
	if err != nil {
		return nil, err
	}
	seen, err := r.c.Sightings.Of(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		list, _, _ := strings.Cut(name, "@")
		seen[name] = times.Latest(seen[name], all[list])
	}
	return seen, nil
}

// correctionPrefix begins the ids of corrections; LiveKit's begin with EV_.
const correctionPrefix = "EVP_"

// correctionID names a correction by the session and the opposite correction before
// it. While a correction waits to be processed, the next comparison finds the same
// difference and produces the same id, so nothing is stored twice.
func correctionID(what, session string, before time.Time) string {
	id := correctionPrefix + what + "_" + session
	if !before.IsZero() {
		id += fmt.Sprintf("_%d", before.UnixMilli())
	}
	return id
}
