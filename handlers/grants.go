package handlers

import "pulse-control-plane/models"

// Grants are the grants of LiveKit's VideoGrant that stay inside a room.
type Grants struct {
	RoomJoin              *bool    `json:"roomJoin,omitempty"`
	RoomAdmin             *bool    `json:"roomAdmin,omitempty"`
	CanPublish            *bool    `json:"canPublish,omitempty"`
	CanSubscribe          *bool    `json:"canSubscribe,omitempty"`
	CanPublishData        *bool    `json:"canPublishData,omitempty"`
	CanPublishSources     []string `json:"canPublishSources,omitempty" validate:"omitempty,max=4,dive,oneof=camera microphone screen_share screen_share_audio"`
	CanUpdateOwnMetadata  *bool    `json:"canUpdateOwnMetadata,omitempty"`
	CanSubscribeMetrics   *bool    `json:"canSubscribeMetrics,omitempty"`
	CanManageAgentSession *bool    `json:"canManageAgentSession,omitempty"`
	Hidden                *bool    `json:"hidden,omitempty"`
	Recorder              *bool    `json:"recorder,omitempty"`
	Agent                 *bool    `json:"agent,omitempty"`
}

func renderGrants(g models.VideoGrants) Grants { return Grants(g) }

// grantsRequest also names the grants that are server-wide on LiveKit, so that
// they are refused by name.
type grantsRequest struct {
	RoomJoin              *bool    `json:"roomJoin"`
	RoomAdmin             *bool    `json:"roomAdmin"`
	CanPublish            *bool    `json:"canPublish"`
	CanSubscribe          *bool    `json:"canSubscribe"`
	CanPublishData        *bool    `json:"canPublishData"`
	CanPublishSources     []string `json:"canPublishSources" validate:"omitempty,max=4,dive,oneof=camera microphone screen_share screen_share_audio"`
	CanUpdateOwnMetadata  *bool    `json:"canUpdateOwnMetadata"`
	CanSubscribeMetrics   *bool    `json:"canSubscribeMetrics"`
	CanManageAgentSession *bool    `json:"canManageAgentSession"`
	Hidden                *bool    `json:"hidden"`
	Recorder              *bool    `json:"recorder"`
	Agent                 *bool    `json:"agent"`

	RoomCreate      bool   `json:"roomCreate"`
	RoomList        bool   `json:"roomList"`
	RoomRecord      bool   `json:"roomRecord"`
	IngressAdmin    bool   `json:"ingressAdmin"`
	Room            string `json:"room" validate:"max=256"`
	DestinationRoom string `json:"destinationRoom" validate:"max=256"`
}

// VideoGrants gives the grants that stay inside a room. A nil request has none.
func (g *grantsRequest) VideoGrants() models.VideoGrants {
	if g == nil {
		return models.VideoGrants{}
	}
	return models.VideoGrants{
		RoomJoin: g.RoomJoin, RoomAdmin: g.RoomAdmin, CanPublish: g.CanPublish, CanSubscribe: g.CanSubscribe,
		CanPublishData: g.CanPublishData, CanPublishSources: g.CanPublishSources,
		CanUpdateOwnMetadata: g.CanUpdateOwnMetadata, CanSubscribeMetrics: g.CanSubscribeMetrics,
		CanManageAgentSession: g.CanManageAgentSession, Hidden: g.Hidden, Recorder: g.Recorder, Agent: g.Agent,
	}
}

// serverWide names the requested grants that reach beyond a room.
func (g *grantsRequest) serverWide() []string {
	if g == nil {
		return nil
	}
	var out []string
	for _, grant := range []struct {
		name      string
		requested bool
	}{
		{"roomCreate", g.RoomCreate}, {"roomList", g.RoomList}, {"roomRecord", g.RoomRecord},
		{"ingressAdmin", g.IngressAdmin}, {"room", g.Room != ""}, {"destinationRoom", g.DestinationRoom != ""},
	} {
		if grant.requested {
			out = append(out, grant.name)
		}
	}
	return out
}
