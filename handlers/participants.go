package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

// roomAction does something to a participant of a room that another room is named
// for.
type roomAction func(ctx context.Context, actor *models.Principal, project models.ProjectID, room, identity, destination string) error

// Participant is a participant of a room. Attributes that Pulse sets are left out.
type Participant struct {
	SID                 string                `json:"sid"`
	ParticipantIdentity string                `json:"participant_identity"`
	ParticipantName     string                `json:"participant_name"`
	State               string                `json:"state"`
	Kind                string                `json:"kind"`
	Metadata            string                `json:"metadata"`
	Attributes          map[string]string     `json:"attributes"`
	Permission          ParticipantPermission `json:"permission"`
	IsPublisher         bool                  `json:"is_publisher"`
	JoinedAt            time.Time             `json:"joined_at"`
	Tracks              []Track               `json:"tracks"`
}

// ParticipantPermission is what a participant may do now.
type ParticipantPermission struct {
	CanPublish           bool     `json:"canPublish"`
	CanSubscribe         bool     `json:"canSubscribe"`
	CanPublishData       bool     `json:"canPublishData"`
	CanPublishSources    []string `json:"canPublishSources"`
	CanUpdateOwnMetadata bool     `json:"canUpdateOwnMetadata"`
	Hidden               bool     `json:"hidden"`
}

// Track is a published track.
type Track struct {
	TrackSID  string `json:"track_sid"`
	Type      string `json:"type"`
	Source    string `json:"source"`
	Name      string `json:"name"`
	MimeType  string `json:"mime_type"`
	Muted     bool   `json:"muted"`
	Simulcast bool   `json:"simulcast"`
	Width     int    `json:"width"`
	Height    int    `json:"height"`
}

// ParticipantList is everybody in a room: LiveKit bounds it.
type ParticipantList struct {
	Items      []Participant `json:"items"`
	HasMore    bool          `json:"has_more"`
	NextCursor *string       `json:"next_cursor"`
}

func renderTrack(t livekit.TrackInfo) Track {
	return Track{TrackSID: t.SID, Type: t.Type, Source: t.Source, Name: t.Name, MimeType: t.MimeType, Muted: t.Muted, Simulcast: t.Simulcast,
		Width: t.Width, Height: t.Height}
}

func renderParticipant(p livekit.ParticipantInfo) Participant {
	is := func(b *bool) bool { return b != nil && *b }
	g := p.Permission
	out := Participant{SID: p.SID, ParticipantIdentity: p.Identity, ParticipantName: p.Name, State: p.State, Kind: p.Kind, Metadata: p.Metadata,
		Attributes: p.Attributes, IsPublisher: p.IsPublisher, JoinedAt: instant(p.JoinedAt), Tracks: make([]Track, 0, len(p.Tracks)),
		Permission: ParticipantPermission{CanPublish: is(g.CanPublish), CanSubscribe: is(g.CanSubscribe), CanPublishData: is(g.CanPublishData),
			CanPublishSources: append([]string{}, g.CanPublishSources...), CanUpdateOwnMetadata: is(g.CanUpdateOwnMetadata), Hidden: is(g.Hidden)}}
	for _, t := range p.Tracks {
		out.Tracks = append(out.Tracks, renderTrack(t))
	}
	return out
}

// Participants returns the participants of a room.
func (h *Rooms) Participants(c *gin.Context) error {
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	all, err := h.service.Participants(c.Request.Context(), caller(c), project, c.Param("room"))
	if err != nil {
		return err
	}
	out := ParticipantList{Items: make([]Participant, 0, len(all))}
	for _, p := range all {
		out.Items = append(out.Items, renderParticipant(p))
	}
	return answer(c, http.StatusOK, out)
}

// Participant returns one participant.
func (h *Rooms) Participant(c *gin.Context) error {
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	p, err := h.service.Participant(c.Request.Context(), caller(c), project, c.Param("room"), c.Param("identity"))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderParticipant(p))
}

type patchParticipantRequest struct {
	Name       *string            `json:"name" validate:"omitempty,maxbytes=256,line"`
	Metadata   *string            `json:"metadata" validate:"omitempty,maxbytes=32768"`
	Attributes map[string]string  `json:"attributes" validate:"omitempty,max=64,maxtotal=32768"`
	Permission *permissionRequest `json:"permission"`
}

// permissionRequest replaces what a participant may do: what is left out is not
// allowed, as on LiveKit.
type permissionRequest struct {
	CanPublish           *bool    `json:"canPublish"`
	CanSubscribe         *bool    `json:"canSubscribe"`
	CanPublishData       *bool    `json:"canPublishData"`
	CanPublishSources    []string `json:"canPublishSources" validate:"omitempty,max=4,dive,oneof=camera microphone screen_share screen_share_audio"`
	CanUpdateOwnMetadata *bool    `json:"canUpdateOwnMetadata"`
	Hidden               *bool    `json:"hidden"`
}

// PatchParticipant changes a participant.
func (h *Rooms) PatchParticipant(c *gin.Context) error {
	var in patchParticipantRequest
	if err := h.requests.Patch(c, &in); err != nil {
		return err
	}
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	update := livekit.ParticipantUpdate{Name: in.Name, Metadata: in.Metadata, Attributes: in.Attributes}
	if p := in.Permission; p != nil {
		grants := (&grantsRequest{CanPublish: p.CanPublish, CanSubscribe: p.CanSubscribe, CanPublishData: p.CanPublishData,
			CanPublishSources: p.CanPublishSources, CanUpdateOwnMetadata: p.CanUpdateOwnMetadata, Hidden: p.Hidden}).VideoGrants()
		update.Permission = &grants
	}
	p, err := h.service.UpdateParticipant(c.Request.Context(), caller(c), project, c.Param("room"), c.Param("identity"), update)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderParticipant(p))
}

// DeleteParticipant has a participant leave.
func (h *Rooms) DeleteParticipant(c *gin.Context) error {
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	if err := h.service.Remove(c.Request.Context(), caller(c), project, c.Param("room"), c.Param("identity")); err != nil {
		return err
	}
	return done(c)
}

type muteRequest struct {
	TrackSID string `json:"track_sid,case:ignore" validate:"required,maxbytes=128"`
	Muted    *bool  `json:"muted" validate:"required"`
}

// Mute mutes or unmutes a track.
func (h *Rooms) Mute(c *gin.Context) error {
	var in muteRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	track, err := h.service.Mute(c.Request.Context(), caller(c), project, c.Param("room"), c.Param("identity"), in.TrackSID, *in.Muted)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderTrack(track))
}

type destinationRequest struct {
	DestinationRoom string `json:"destination_room,case:ignore" validate:"required,roomname"`
}

// Move moves a participant to another room.
func (h *Rooms) Move(c *gin.Context) error { return h.send(c, h.service.Move) }

// Forward shows a participant in another room too.
func (h *Rooms) Forward(c *gin.Context) error { return h.send(c, h.service.Forward) }

func (h *Rooms) send(c *gin.Context, do roomAction) error {
	var in destinationRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	if err := do(c.Request.Context(), caller(c), project, c.Param("room"), c.Param("identity"), in.DestinationRoom); err != nil {
		return err
	}
	return done(c)
}
