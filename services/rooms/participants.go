package rooms

import (
	"context"
	"strings"
	"unicode/utf8"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

// Participants lists the participants of a room, the latest to join first;
// not_found if it is not open.
func (s *Rooms) Participants(ctx context.Context, actor *models.Principal, named models.ProjectID, room string) ([]livekit.ParticipantInfo, error) {
	where, err := s.find(ctx, actor, models.ActionRoomsRead, named, room)
	if err != nil {
		return nil, err
	}
	if _, err := where.member.Client.GetRoom(ctx, where.qualified); err != nil {
		return nil, err
	}
	return where.member.Client.ListParticipants(ctx, where.qualified)
}

// Participant reads one participant, or not_found.
func (s *Rooms) Participant(ctx context.Context, actor *models.Principal, named models.ProjectID, room, identity string) (livekit.ParticipantInfo, error) {
	where, err := s.find(ctx, actor, models.ActionRoomsRead, named, room)
	if err != nil {
		return livekit.ParticipantInfo{}, err
	}
	if !utf8.ValidString(identity) { // no participant has it, and LiveKit can't be asked
		return livekit.ParticipantInfo{}, models.NotFound()
	}
	return where.member.Client.GetParticipant(ctx, where.qualified, identity)
}

// act finds a participant, writes the audit entry and does something to it.
func (s *Rooms) act(ctx context.Context, actor *models.Principal, named models.ProjectID, room, identity, action string, after map[string]any,
	do func(where *at) error) (err error) {
	where, err := s.find(ctx, actor, models.ActionRoomsWrite, named, room)
	if err != nil {
		return err
	}
	if !utf8.ValidString(identity) {
		return models.NotFound()
	}
	if _, err := where.member.Client.GetParticipant(ctx, where.qualified, identity); err != nil {
		return err
	}
	fields := map[string]any{"participant_identity": identity}
	for name, value := range after {
		fields[name] = value
	}
	entry, err := s.begin(ctx, actor, &where, action, fields)
	if err != nil {
		return err
	}
	defer entry.End(ctx, &err)
	defer s.lists.forget(where.member.Name)
	return do(&where)
}

// Remove has a participant leave a room. It may come back with a token that is
// still valid: tokens.Revocations prevents that.
func (s *Rooms) Remove(ctx context.Context, actor *models.Principal, named models.ProjectID, room, identity string) error {
	return s.act(ctx, actor, named, room, identity, "participant.removed", nil, func(where *at) error {
		return where.member.Client.KickParticipant(ctx, where.qualified, identity)
	})
}

// UpdateParticipant changes a participant. Attributes that begin with "pulse." are
// invalid; an empty value removes an attribute, as on LiveKit.
func (s *Rooms) UpdateParticipant(ctx context.Context, actor *models.Principal, named models.ProjectID, room, identity string,
	u livekit.ParticipantUpdate) (out livekit.ParticipantInfo, err error) {
	for name := range u.Attributes {
		if strings.HasPrefix(name, "pulse.") {
			return out, models.Invalid(models.FieldError{Location: "attributes." + name, Message: "starts with pulse., which is reserved"})
		}
	}
	after := map[string]any{"name": u.Name, "metadata_bytes": lengthOf(u.Metadata), "attributes": len(u.Attributes), "permission": u.Permission != nil}
	err = s.act(ctx, actor, named, room, identity, "participant.updated", after, func(where *at) error {
		out, err = where.member.Client.UpdateParticipant(ctx, where.qualified, identity, u)
		return err
	})
	return out, err
}

// Mute mutes or unmutes a track of a participant.
func (s *Rooms) Mute(ctx context.Context, actor *models.Principal, named models.ProjectID, room, identity, track string, muted bool) (out livekit.TrackInfo, err error) {
	action := "participant.muted"
	if !muted {
		action = "participant.unmuted"
	}
	err = s.act(ctx, actor, named, room, identity, action, map[string]any{"track_sid": track}, func(where *at) error {
		out, err = where.member.Client.MuteTrack(ctx, where.qualified, identity, track, muted)
		return err
	})
	return out, err
}

// Move moves a participant to another room of the project, on the same cluster.
func (s *Rooms) Move(ctx context.Context, actor *models.Principal, named models.ProjectID, room, identity, destination string) error {
	return s.send(ctx, actor, named, room, identity, "participant.moved", destination, (*livekit.Client).MoveParticipant)
}

// Forward shows a participant's tracks in another room of the project too.
func (s *Rooms) Forward(ctx context.Context, actor *models.Principal, named models.ProjectID, room, identity, destination string) error {
	return s.send(ctx, actor, named, room, identity, "participant.forwarded", destination, (*livekit.Client).ForwardParticipant)
}

func (s *Rooms) send(ctx context.Context, actor *models.Principal, named models.ProjectID, room, identity, action, destination string,
	call func(*livekit.Client, context.Context, string, string, string) error) error {
	return s.act(ctx, actor, named, room, identity, action, map[string]any{"destination_room": destination}, func(where *at) error {
		other, err := s.c.Placements.Of(ctx, &where.project, destination)
		if err != nil {
			return err
		}
		if other != where.member {
			return models.Conflict("room_on_another_cluster", "The destination room is on another LiveKit cluster.")
		}
		return call(where.member.Client, ctx, where.qualified, identity, models.QualifyRoom(where.project.ID, destination))
	})
}

// Data is sent to the participants of a room, or to those named.
type Data struct {
	Payload    []byte
	Topic      string
	Identities []string
}

// SendData sends data; not_found if the room is not open. It changes nothing that
// is kept, so it leaves no audit entry.
func (s *Rooms) SendData(ctx context.Context, actor *models.Principal, named models.ProjectID, room string, d Data) error {
	where, err := s.find(ctx, actor, models.ActionRoomsWrite, named, room)
	if err != nil {
		return err
	}
	if _, err := where.member.Client.GetRoom(ctx, where.qualified); err != nil {
		return err
	}
	return where.member.Client.SendData(ctx, where.qualified, d.Payload, d.Topic, d.Identities)
}
