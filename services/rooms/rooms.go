package rooms

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/clusters"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/required"
)

// Rooms is the service of rooms and their participants.
type Rooms struct {
	c     Config
	lists *roomLists
}

// Config of New; every field is required.
type Config struct {
	Projects   *database.Projects
	Store      *database.Rooms
	Clusters   *clusters.Set
	Placements *clusters.Placements
	Quotas     *quotas.Limits
	// Recording gives the egress that starts with a room, on the project's storage and
	// within its quotas; settled must be called with how the opening ended.
	Recording func(ctx context.Context, p *models.Project, room string) (ask *livekit.EgressRequest, settled func(context.Context, error), err error)
	Cursors   *cursor.Codec
	// Trail records every change.
	Trail *audit.Trail
	Now   func() time.Time
}

// New builds the service. It fails if a required field is missing.
func New(c Config) (*Rooms, error) {
	return &Rooms{c: c, lists: newRoomLists(c.Now)}, required.Fields(c)
}

// Room is an open room of a project, under the tenant's name for it.
type Room struct {
	livekit.RoomInfo
	Tags   map[string]string
	Region string
}

// Input creates a room. nil options are LiveKit's defaults; timeouts are in
// seconds.
type Input struct {
	Project  models.ProjectID
	RoomName string
	// Recorded records the room, or not; nil leaves it to the project's setting.
	Recorded *bool
	livekit.RoomOptions
}

// at is a project's room and the cluster it is on.
type at struct {
	project models.Project
	member  *clusters.Member
	name    string
	// qualified is the room's name on the cluster.
	qualified string
}

// find checks the caller's permission and finds the cluster of a room. A name no
// room can have is not found.
func (s *Rooms) find(ctx context.Context, actor *models.Principal, action models.Action, named models.ProjectID, room string) (at, error) {
	project, err := lookup.Project(ctx, s.c.Projects, actor, action, named)
	if err != nil {
		return at{}, err
	}
	if !models.ValidRoomName(room) {
		return at{}, models.NotFound()
	}
	member, err := s.c.Placements.Of(ctx, &project, room)
	return at{project, member, room, models.QualifyRoom(project.ID, room)}, err
}

// Create opens a room; created is false for one that is open already, which stays
// as it is. invalid for max_participants beyond the project's quota; quota_exceeded
// if no other room is allowed; conflict storage_not_configured if it is to be recorded
// and there is nowhere to.
func (s *Rooms) Create(ctx context.Context, actor *models.Principal, in Input) (room Room, created bool, err error) {
	project, err := lookup.Project(ctx, s.c.Projects, actor, models.ActionRoomsWrite, in.Project)
	if err != nil {
		return Room{}, false, err
	}
	limits, err := s.c.Quotas.QuotasOf(ctx, project.ID)
	if err != nil {
		return Room{}, false, err
	}
	if most := limits.ConcurrentParticipants; most > 0 && in.MaxParticipants != nil && *in.MaxParticipants > most {
		return Room{}, false, models.Invalid(models.FieldError{Location: "max_participants",
			Message: fmt.Sprintf("must be at most %d, the project's quota of concurrent participants", most)})
	}
	member, err := s.c.Placements.For(ctx, &project, in.RoomName, s.c.Now().Add(models.MaxTokenTTLSeconds*time.Second))
	if err != nil {
		return Room{}, false, err
	}
	qualified := models.QualifyRoom(project.ID, in.RoomName)
	switch open, err := member.Client.GetRoom(ctx, qualified); {
	case err == nil:
		created, err := s.openedBefore(ctx, qualified, open.SID, in.Tags)
		if err != nil {
			return Room{}, false, err
		}
		room, err := s.shown(ctx, &project, member, open)
		return room, created, err
	case !models.IsKind(err, models.KindNotFound):
		return Room{}, false, err
	}
	recording, settled, err := s.recording(ctx, actor, &project, &in)
	if err != nil {
		return Room{}, false, err
	}
	defer func() { settled(ctx, err) }()
	in.Recording = recording
	if err := s.c.Quotas.AdmitRoom(ctx, project.ID, in.RoomName); err != nil {
		return Room{}, false, err
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: project.OrgID, Action: "room.created", Type: "room", ID: in.RoomName,
		After: map[string]any{"project_id": project.ID, "max_participants": in.MaxParticipants, "empty_timeout": in.EmptyTimeout,
			"departure_timeout": in.DepartureTimeout, "tags": in.Tags, "recording": in.Recording != nil},
	})
	if err != nil {
		return Room{}, false, err
	}
	defer entry.End(ctx, &err)
	// So that another attempt knows whose the room is, and those that record what tokens
	// open that this is not theirs.
	if intent.Mark(ctx) != "" || project.Recording.Enabled {
		if err := s.keep(ctx, qualified, "", in.Tags); err != nil {
			return Room{}, false, err
		}
	}
	opened, err := member.Client.CreateRoom(ctx, qualified, in.RoomOptions)
	if err != nil {
		return Room{}, false, err
	}
	s.lists.forget(member.Name)
	if err := s.keep(ctx, qualified, opened.SID, in.Tags); err != nil {
		return Room{}, false, err
	}
	room, err = s.shown(ctx, &project, member, opened)
	return room, true, err
}

// recording gives the egress that starts with a new room; nil for none. A caller
// who asks for it needs the right to start an egress; quota_exceeded beyond the
// project's quotas of egresses.
func (s *Rooms) recording(ctx context.Context, actor *models.Principal, p *models.Project, in *Input) (ask *livekit.EgressRequest, settled func(context.Context, error), err error) {
	if in.Recorded != nil && !*in.Recorded || in.Recorded == nil && !p.Recording.Enabled {
		return nil, func(context.Context, error) {}, nil
	}
	if in.Recorded != nil {
		if err := actor.May(models.ActionEgressWrite); err != nil {
			return nil, nil, err
		}
	}
	return s.c.Recording(ctx, p, in.RoomName)
}

// openedBefore reports whether an earlier attempt of the same request opened a room,
// and stores its tags if that attempt could not.
func (s *Rooms) openedBefore(ctx context.Context, qualified, sid string, tags map[string]string) (bool, error) {
	if !intent.Resumed(ctx) {
		return false, nil
	}
	kept, err := s.c.Store.Named(ctx, []string{qualified})
	if err != nil || len(kept) == 0 || kept[0].Intent != intent.Mark(ctx) || kept[0].SID != "" && kept[0].SID != sid {
		return false, err
	}
	return true, s.keep(ctx, qualified, sid, tags)
}

// Get reads a room; not_found if it is not open.
func (s *Rooms) Get(ctx context.Context, actor *models.Principal, named models.ProjectID, name string) (Room, error) {
	where, err := s.find(ctx, actor, models.ActionRoomsRead, named, name)
	if err != nil {
		return Room{}, err
	}
	open, err := where.member.Client.GetRoom(ctx, where.qualified)
	if err != nil {
		return Room{}, err
	}
	return s.shown(ctx, &where.project, where.member, open)
}

// Change is a partial change of a room; nil fields stay.
type Change struct {
	Metadata *string
	Tags     map[string]string
}

// Update changes a room; not_found if it is not open.
func (s *Rooms) Update(ctx context.Context, actor *models.Principal, named models.ProjectID, name string, c Change) (room Room, err error) {
	where, err := s.find(ctx, actor, models.ActionRoomsWrite, named, name)
	if err != nil {
		return Room{}, err
	}
	open, err := where.member.Client.GetRoom(ctx, where.qualified)
	if err != nil {
		return Room{}, err
	}
	entry, err := s.begin(ctx, actor, &where, "room.updated", map[string]any{"metadata_bytes": lengthOf(c.Metadata), "tags": c.Tags})
	if err != nil {
		return Room{}, err
	}
	defer entry.End(ctx, &err)
	if c.Metadata != nil {
		if open, err = where.member.Client.UpdateRoomMetadata(ctx, where.qualified, *c.Metadata); err != nil {
			return Room{}, err
		}
		s.lists.forget(where.member.Name)
	}
	if c.Tags != nil {
		if err := s.keep(ctx, where.qualified, open.SID, c.Tags); err != nil {
			return Room{}, err
		}
	}
	return s.shown(ctx, &where.project, where.member, open)
}

// Delete ends a room: its participants leave. not_found if it is not open.
func (s *Rooms) Delete(ctx context.Context, actor *models.Principal, named models.ProjectID, name string) (err error) {
	where, err := s.find(ctx, actor, models.ActionRoomsWrite, named, name)
	if err != nil {
		return err
	}
	if _, err := where.member.Client.GetRoom(ctx, where.qualified); err != nil {
		return err
	}
	entry, err := s.begin(ctx, actor, &where, "room.ended", nil)
	if err != nil {
		return err
	}
	defer entry.End(ctx, &err)
	defer s.lists.forget(where.member.Name)
	return where.member.Client.DeleteRoom(ctx, where.qualified)
}

// begin writes the entry of a change of a room before it is made.
func (s *Rooms) begin(ctx context.Context, actor *models.Principal, where *at, action string, after map[string]any) (*audit.Entry, error) {
	fields := map[string]any{"project_id": where.project.ID}
	for name, value := range after {
		fields[name] = value
	}
	return s.c.Trail.Begin(ctx, actor, audit.Event{OrgID: where.project.OrgID, Action: action, Type: "room", ID: where.name, After: fields})
}

func lengthOf(text *string) any {
	if text == nil {
		return nil
	}
	return len(*text)
}

// keep stores a room's tags for this opening of it.
func (s *Rooms) keep(ctx context.Context, qualified, sid string, tags map[string]string) error {
	return s.c.Store.Put(ctx, &models.Room{ID: qualified, SID: sid, Tags: tags, Intent: intent.Mark(ctx), ExpiresAt: s.c.Now().UTC().Add(models.RoomKept)})
}

// shown is a room as its tenant sees it.
func (s *Rooms) shown(ctx context.Context, project *models.Project, member *clusters.Member, open livekit.RoomInfo) (Room, error) {
	all, err := s.withTags(ctx, project, member, []livekit.RoomInfo{open})
	if err != nil {
		return Room{}, err
	}
	return all[0], nil
}

// withTags adds what Pulse keeps of rooms and strips their names.
func (s *Rooms) withTags(ctx context.Context, project *models.Project, member *clusters.Member, open []livekit.RoomInfo) ([]Room, error) {
	names := make([]string, len(open))
	for i := range open {
		names[i] = open[i].Name
	}
	kept, err := s.c.Store.Named(ctx, names)
	if err != nil {
		return nil, err
	}
	tags := map[string]map[string]string{}
	for i := range kept {
		tags[kept[i].ID+"\x00"+kept[i].SID] = kept[i].Tags
	}
	out := make([]Room, len(open))
	for i := range open {
		out[i] = Room{RoomInfo: open[i], Tags: tags[open[i].Name+"\x00"+open[i].SID]}
		if member != nil {
			out[i].Region = member.Region
		}
		out[i].Name = strings.TrimPrefix(open[i].Name, models.QualifyRoom(project.ID, ""))
	}
	return out, nil
}
