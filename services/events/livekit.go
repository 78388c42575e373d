package events

import (
	"context"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/ids"
)

// maxKind bounds the name of a LiveKit event that passes through.
const maxKind = 64

// Take stores the events for tenants that follow from LiveKit's, in order: a step of
// metering's inbox. Events of rooms that are no tenant's are left out.
func (s *Sources) Take(ctx context.Context, list []models.LiveKitEvent) error {
	out := make([]models.Event, 0, len(list))
	for i := range list {
		e := &list[i]
		if e.ProjectID == "" {
			continue
		}
		org, err := s.orgs.Get(ctx, string(e.ProjectID))
		if models.IsKind(err, models.KindNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		told, err := ToldBy(e, org)
		if err != nil {
			return err
		}
		out = append(out, told...)
	}
	return s.c.Log.Append(ctx, out)
}

// ToldBy gives what a LiveKit event of an organization's project tells: the event
// itself and what follows from it. The same LiveKit event gives the same.
func ToldBy(e *models.LiveKitEvent, org models.OrganizationID) ([]models.Event, error) {
	in := readSaid(e.Body)
	kind, data := in.told(e)
	first, err := ofLiveKit(e, org, kind, data)
	if err != nil {
		return nil, err
	}
	out := []models.Event{first}
	if media, ok := data.(egressData); ok && kind == EgressEnded {
		if made := recorded(media.Results); len(made) > 0 {
			available, err := ofLiveKit(e, org, RecordingAvailable,
				recordingData{EgressID: media.EgressID, RoomName: media.RoomName, RoomSID: media.RoomSID, Results: made}, RecordingAvailable)
			if err != nil {
				return nil, err
			}
			out = append(out, available)
		}
	}
	return out, nil
}

// ofLiveKit makes an event of LiveKit's; more tells those of one apart.
func ofLiveKit(e *models.LiveKitEvent, org models.OrganizationID, kind string, data any, more ...string) (models.Event, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return models.Event{}, models.Internal(err)
	}
	return models.Event{
		ID:   ids.Derived(models.EventPrefix, e.CreatedAt, append([]string{e.Cluster, e.ID}, more...)...),
		Type: kind, Family: models.FamilyOf(kind), OrgID: org, ProjectID: e.ProjectID, Order: e.RoomKey, SourceID: e.ID,
		At: e.At().UTC().Truncate(time.Millisecond), Data: string(text),
	}, nil
}

// told gives the type and data of a LiveKit event.
func (in *said) told(e *models.LiveKitEvent) (kind string, data any) {
	kind, corrected := typeOf(e)
	switch models.FamilyOf(kind) {
	case "room":
		return kind, roomData{RoomName: e.RoomName, RoomSID: e.RoomSID, Metadata: in.Room.Metadata, CreatedAt: orNull(e.RoomCreatedAt), Reconciled: corrected}
	case "participant":
		return kind, in.participant(e, corrected)
	case "track":
		return kind, in.track(e)
	case "egress":
		return kind, in.egress(e, corrected)
	case "ingress":
		return kind, in.ingress(e, corrected)
	}
	return in.other(e)
}

// Kinds of LiveKit event that metering has no use for.
const (
	trackPublished   = "track_published"
	trackUnpublished = "track_unpublished"
)

// found gives the types of what reconciliation found there and found gone.
func found(subject models.Subject) (present, gone string) {
	switch subject {
	case models.SubjectRoom:
		return RoomStarted, RoomFinished
	case models.SubjectParticipant:
		return ParticipantJoined, ParticipantLeft
	case models.SubjectEgress:
		return EgressStarted, EgressEnded
	case models.SubjectIngress:
		return IngressStarted, IngressEnded
	}
	return "", ""
}

// typeOf gives the type that a kind of LiveKit event has in the catalogue, or "";
// corrected reports whether reconciliation wrote it.
func typeOf(e *models.LiveKitEvent) (kind string, corrected bool) {
	present, gone := found(e.Subject)
	switch e.Event {
	case models.EventRoomStarted:
		return RoomStarted, false
	case models.EventRoomFinished:
		return RoomFinished, false
	case models.EventParticipantJoined:
		return ParticipantJoined, false
	case models.EventParticipantLeft:
		return ParticipantLeft, false
	case trackPublished:
		return TrackPublished, false
	case trackUnpublished:
		return TrackUnpublished, false
	case models.EventEgressStarted:
		return EgressStarted, false
	case models.EventEgressUpdated:
		return EgressUpdated, false
	case models.EventEgressEnded:
		return EgressEnded, false
	case models.EventIngressStarted:
		return IngressStarted, false
	case models.EventIngressEnded:
		return IngressEnded, false
	case models.EventFoundPresent:
		return present, true
	case models.EventFoundGone:
		return gone, true
	}
	return "", false
}

func (in *said) participant(e *models.LiveKitEvent, corrected bool) participantData {
	out := participantData{RoomName: e.RoomName, RoomSID: e.RoomSID, Reconciled: corrected,
		ParticipantName: in.Participant.Name, Metadata: in.Participant.Metadata, Attributes: map[string]string{}}
	if p := e.Participant; p != nil {
		out.ParticipantIdentity, out.ParticipantSID, out.Kind, out.JoinedAt = p.Identity, p.SID, p.Kind, orNull(p.JoinedAt)
		if e.Event == models.EventParticipantLeft {
			out.Reason = p.Reason
		}
	}
	for name, value := range in.Participant.Attributes {
		if !strings.HasPrefix(name, "pulse.") {
			out.Attributes[name] = value
		}
	}
	return out
}

func (in *said) track(e *models.LiveKitEvent) trackData {
	t := &in.Track
	out := trackData{RoomName: e.RoomName, RoomSID: e.RoomSID, Track: trackInfo{
		TrackSID: t.SID, Type: t.Type.or("audio", "", ""), Source: t.Source.or("unknown", "", ""), Name: t.Name, MimeType: t.MimeType,
		Muted: t.Muted, Simulcast: t.Simulcast, Width: int64(t.Width), Height: int64(t.Height)}}
	if e.Participant != nil {
		out.ParticipantIdentity, out.ParticipantSID = e.Participant.Identity, e.Participant.SID
	}
	return out
}

func (in *said) egress(e *models.LiveKitEvent, corrected bool) egressData {
	out := egressData{EgressID: e.SessionID, RoomName: e.RoomName, RoomSID: e.RoomSID, Type: in.Egress.kind(), Results: in.Egress.results(),
		Error: safeText(in.Egress.Error), Reconciled: corrected}
	if m := e.Media; m != nil {
		out.EgressID, out.Status = m.ID, word(m.Status).or("starting", "EGRESS_", "")
		out.StartedAt, out.EndedAt = orNull(m.StartedAt), orNull(m.EndedAt)
		if !m.StartedAt.IsZero() && m.EndedAt.After(m.StartedAt) {
			out.DurationSeconds = whole(m.EndedAt.Sub(m.StartedAt)).seconds()
		}
	}
	return out
}

func (in *said) ingress(e *models.LiveKitEvent, corrected bool) ingressData {
	i := &in.Ingress
	_, name := models.SplitIngress(i.Name)
	left := "rtmp" // what LiveKit leaves out; without a body nobody knows
	if corrected {
		left = ""
	}
	out := ingressData{IngressID: ingressOf(e.SessionID), Name: name, InputType: i.InputType.or(left, "", "_INPUT"), RoomName: e.RoomName, RoomSID: e.RoomSID,
		ParticipantIdentity: i.ParticipantIdentity, Error: safeText(i.State.Error), Reconciled: corrected}
	if m := e.Media; m != nil {
		out.IngressID, out.Status = ingressOf(m.ID), word(m.Status).or("inactive", "ENDPOINT_", "")
		out.StartedAt, out.EndedAt = orNull(m.StartedAt), orNull(m.EndedAt)
	}
	return out
}

// ingressOf gives the ingress of one of its runs.
func ingressOf(run string) string {
	id, _, _ := strings.Cut(run, "@")
	return id
}

// other passes on a kind of LiveKit event that the catalogue does not have.
func (in *said) other(e *models.LiveKitEvent) (kind string, data otherData) {
	data = otherData{Event: e.Event, RoomName: e.RoomName, RoomSID: e.RoomSID, TrackSID: in.Track.SID}
	if p := e.Participant; p != nil {
		data.ParticipantIdentity, data.ParticipantSID = p.Identity, p.SID
	}
	switch m := e.Media; {
	case m == nil:
	case strings.HasPrefix(m.ID, "IN_"):
		data.IngressID = ingressOf(m.ID)
	default:
		data.EgressID = m.ID
	}
	return LiveKitPrefix + livekitKind(e.Event), data
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}
