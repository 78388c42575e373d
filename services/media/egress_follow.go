package media

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/utils/ids"
)

const (
	// confirmWithin is how long after its record was made a start may be without
	// LiveKit's id: the start's own deadline, and some.
	confirmWithin = livekit.EgressStartTimeout + 36*time.Second
	// followedAfter is the age below which a record is not compared: its own events
	// are on their way.
	followedAfter = 10 * time.Second
	// MaxResults bounds the results of an egress that are kept.
	MaxResults = 100
	// maxError bounds the reason of a failure that is kept, in bytes.
	maxError = 1 << 10
)

// Consume keeps the records of egresses up to date with LiveKit's events.
func (s *Egresses) Consume(ctx context.Context, b *metering.Batch) error {
	about := map[string]bool{}
	var asked []string
	for i := range b.Events {
		e := &b.Events[i]
		switch e.Event {
		case models.EventEgressStarted, models.EventEgressUpdated, models.EventEgressEnded:
		default:
			continue
		}
		if e.Media == nil {
			continue
		}
		if !about[e.Media.ID] {
			asked = append(asked, e.Media.ID)
		}
		about[e.Media.ID] = true
	}
	if len(asked) == 0 {
		return nil
	}
	known := map[string]models.Egress{}
	for chunk := range slices.Chunk(asked, database.MaxBatch) {
		list, err := s.c.Store.Named(ctx, chunk)
		if err != nil {
			return err
		}
		for i := range list {
			known[list[i].EgressID] = list[i]
		}
	}
	for i := range b.Events {
		e := &b.Events[i]
		if e.Media == nil || !about[e.Media.ID] {
			continue
		}
		state, readable := livekit.EgressOf(e)
		if !readable {
			continue
		}
		record, found := known[state.ID]
		if !found {
			var err error
			if record, found, err = s.adopt(ctx, e, &state); err != nil {
				return err
			}
			if !found {
				continue
			}
		}
		updated, err := s.apply(ctx, record, &state)
		if err != nil {
			return err
		}
		known[state.ID] = updated
	}
	return nil
}

// adopt finds the record of an egress that its start has not named yet, by its
// path, or makes one for an egress that a room's configuration started.
func (s *Egresses) adopt(ctx context.Context, e *models.LiveKitEvent, state *livekit.EgressState) (record models.Egress, found bool, err error) {
	if e.ProjectID == "" {
		return models.Egress{}, false, nil // of the operator, or a web egress that its start will name
	}
	for _, path := range state.Paths {
		id := recordOf(path)
		if id == "" {
			continue
		}
		record, err := s.c.Store.Update(ctx, e.ProjectID, id, nil, database.EgressChange{EgressID: &state.ID}, s.now())
		if err == nil {
			return record, true, nil
		}
		if !models.IsKind(err, models.KindNotFound) {
			return models.Egress{}, false, err
		}
	}
	project, err := s.c.Projects.Named(ctx, e.ProjectID)
	if models.IsKind(err, models.KindNotFound) {
		return models.Egress{}, false, nil
	}
	if err != nil {
		return models.Egress{}, false, err
	}
	member := s.c.Clusters.OfKey(e.Cluster)
	if member == nil {
		return models.Egress{}, false, nil
	}
	record = models.Egress{
		ID: models.EgressID(ids.Derived(models.EgressPrefix, e.CreatedAt, state.ID)), EgressID: state.ID, ProjectID: project.ID, OrgID: project.OrgID,
		Cluster: member.Name, Type: state.Type, RoomName: e.RoomName, Automatic: true, Status: models.EgressStarting, Open: true,
		Outputs: state.Outputs, CreatedAt: s.now(), UpdatedAt: s.now(),
	}
	if project.Storage != nil {
		record.CDNBaseURL = project.Storage.CDNBaseURL
	}
	err = s.c.Store.Insert(ctx, &record)
	if models.IsKind(err, models.KindConflict) { // made by another replica, or named meanwhile
		list, err := s.c.Store.Named(ctx, []string{state.ID})
		if err != nil || len(list) == 0 {
			return models.Egress{}, false, err
		}
		return list[0], true, nil
	}
	return record, err == nil, err
}

// recordOf finds the id of a record in a path that place built; "" if there is none.
func recordOf(path string) models.EgressID {
	at := strings.LastIndex(path, "-"+models.EgressPrefix)
	if at < 0 {
		return ""
	}
	id := path[at+1:]
	const length = len(models.EgressPrefix) + 36
	if len(id) < length || !ids.Valid(models.EgressPrefix, id[:length]) {
		return ""
	}
	return models.EgressID(id[:length])
}

// apply brings a record forward to a state LiveKit told. It never goes back.
func (s *Egresses) apply(ctx context.Context, record models.Egress, state *livekit.EgressState) (models.Egress, error) {
	if !record.Open || state.Status.Rank() < record.Status.Rank() {
		return record, nil
	}
	from := []models.EgressStatus{}
	for _, status := range models.EgressStatuses() {
		if status.Rank() <= state.Status.Rank() && !status.Final() {
			from = append(from, status)
		}
	}
	var change database.EgressChange
	if state.Status != record.Status {
		change.Status = &state.Status
	}
	if !state.StartedAt.IsZero() && record.StartedAt == nil {
		change.StartedAt = &state.StartedAt
	}
	if state.Status.Final() {
		ended := state.EndedAt
		if ended.IsZero() {
			ended = s.now()
		}
		reason := state.Error[:min(len(state.Error), maxError)]
		change.EndedAt, change.Error = &ended, &reason
		results := results(&record, state)
		change.Results = &results
	}
	if change == (database.EgressChange{}) {
		return record, nil
	}
	updated, err := s.c.Store.Update(ctx, record.ProjectID, record.ID, from, change, s.now())
	if models.IsKind(err, models.KindNotFound) { // another event brought it further
		return s.c.Store.Get(ctx, record.ProjectID, string(record.ID))
	}
	return updated, err
}

// results completes what LiveKit says an egress made with the URLs it is played
// back from.
func results(record *models.Egress, state *livekit.EgressState) []models.EgressResult {
	out := slices.Clone(state.Results[:min(len(state.Results), MaxResults)])
	for i := range out {
		if record.CDNBaseURL != "" && out[i].Path != "" {
			out[i].URL = strings.TrimRight(record.CDNBaseURL, "/") + "/" + strings.TrimLeft(out[i].Path, "/")
		}
	}
	return out
}

// lost ends an egress that LiveKit does not know any more.
func (s *Egresses) lost(ctx context.Context, record models.Egress) (models.Egress, error) {
	return s.apply(ctx, record, &livekit.EgressState{Status: models.EgressAborted, EndedAt: s.now(), Error: "LiveKit does not know the egress any more."})
}

// Compare brings the records of open egresses up to date with what LiveKit lists,
// and stops those that were to stop as soon as they are active. A cluster that
// cannot be asked changes nothing.
func (s *Egresses) Compare(ctx context.Context) error {
	running := map[string]map[string]livekit.EgressState{}
	var failures []error
	for _, member := range s.c.Clusters.All() {
		list, err := member.Client.RunningEgresses(ctx)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		running[member.Name] = map[string]livekit.EgressState{}
		for _, state := range list {
			running[member.Name][state.ID] = state
		}
	}
	for after := models.EgressID(""); ; {
		open, err := s.c.Store.Open(ctx, after, database.MaxBatch)
		if err != nil {
			return err
		}
		for i := range open {
			if listed, read := running[open[i].Cluster]; read {
				failures = append(failures, s.compare(ctx, open[i], listed))
			}
		}
		if len(open) < database.MaxBatch {
			return errors.Join(failures...)
		}
		after = open[len(open)-1].ID
	}
}

func (s *Egresses) compare(ctx context.Context, record models.Egress, listed map[string]livekit.EgressState) error {
	age := s.now().Sub(record.CreatedAt)
	if age < followedAfter && !record.StopAsked {
		return nil
	}
	client, err := s.client(&record)
	if err != nil {
		return err
	}
	if record.EgressID == "" {
		return s.unconfirmed(ctx, record, listed, age)
	}
	state, running := listed[record.EgressID]
	if !running {
		if state, err = client.GetEgress(ctx, record.EgressID); models.IsKind(err, models.KindNotFound) {
			_, err = s.lost(ctx, record)
			return err
		}
		if err != nil {
			return err
		}
	}
	if record, err = s.apply(ctx, record, &state); err != nil {
		return err
	}
	if record.StopAsked && record.Status == models.EgressActive {
		_, err = s.stop(ctx, client, record)
	}
	return err
}

// unconfirmed is a start whose process did not come to write down how it ended.
func (s *Egresses) unconfirmed(ctx context.Context, record models.Egress, listed map[string]livekit.EgressState, age time.Duration) error {
	for _, state := range listed {
		if slices.ContainsFunc(state.Paths, func(path string) bool { return recordOf(path) == record.ID }) {
			_, err := s.confirmed(ctx, record, &state)
			return err
		}
	}
	if age < confirmWithin {
		return nil
	}
	status, reason, now := models.EgressFailed, "LiveKit did not confirm the start.", s.now()
	_, err := s.c.Store.Update(ctx, record.ProjectID, record.ID, []models.EgressStatus{models.EgressStarting},
		database.EgressChange{Status: &status, Error: &reason, EndedAt: &now}, now)
	if models.IsKind(err, models.KindNotFound) {
		return nil
	}
	return err
}
