package models

import (
	"slices"
	"strings"
)

// Limits of a LiveKit token Pulse mints.
const (
	DefaultTokenTTLSeconds = 3600
	MinTokenTTLSeconds     = 30
	MaxTokenTTLSeconds     = 86400
	// MaxIdentityBytes bounds participant identity and name.
	MaxIdentityBytes = 256
	// MaxMetadataBytes bounds participant metadata.
	MaxMetadataBytes = 32 << 10
	// MaxAttributes and MaxAttributesBytes bound participant attributes:
	// pairs, and the bytes of all keys and values together.
	MaxAttributes      = 64
	MaxAttributesBytes = 32 << 10
)

// GrantNotAllowed refuses grants by LiveKit's names; prefix is where in the
// input they stand, such as "grants.".
func GrantNotAllowed(prefix string, names []string) *Error {
	e := Forbidden("grant_not_allowed", "These grants are not allowed: "+strings.Join(names, ", ")+".")
	for _, name := range names {
		e.Fields = append(e.Fields, FieldError{Location: prefix + name, Message: "is not allowed"})
	}
	return e
}

// VideoGrants are the grants of LiveKit's VideoGrant that stay inside one
// room, under LiveKit's names. roomCreate, roomList, roomRecord and
// ingressAdmin are left out on purpose: on LiveKit they are server-wide, so no
// tenant may hold them. nil means not set.
type VideoGrants struct {
	RoomJoin              *bool    `bson:"roomJoin,omitempty"`
	RoomAdmin             *bool    `bson:"roomAdmin,omitempty"`
	CanPublish            *bool    `bson:"canPublish,omitempty"`
	CanSubscribe          *bool    `bson:"canSubscribe,omitempty"`
	CanPublishData        *bool    `bson:"canPublishData,omitempty"`
	CanPublishSources     []string `bson:"canPublishSources,omitempty"`
	CanUpdateOwnMetadata  *bool    `bson:"canUpdateOwnMetadata,omitempty"`
	CanSubscribeMetrics   *bool    `bson:"canSubscribeMetrics,omitempty"`
	CanManageAgentSession *bool    `bson:"canManageAgentSession,omitempty"`
	Hidden                *bool    `bson:"hidden,omitempty"`
	Recorder              *bool    `bson:"recorder,omitempty"`
	// Agent makes the participant one of kind AGENT in its room. It is never
	// minted as LiveKit's own agent grant, which would let the bearer
	// register as a worker for every tenant's rooms.
	Agent *bool `bson:"agent,omitempty"`
}

// TrackSources are the names LiveKit accepts in canPublishSources.
func TrackSources() []string {
	return []string{"camera", "microphone", "screen_share", "screen_share_audio"}
}

// DefaultGrants are join, publish, subscribe and data.
func DefaultGrants() VideoGrants {
	yes := true
	return VideoGrants{RoomJoin: &yes, CanPublish: &yes, CanSubscribe: &yes, CanPublishData: &yes}
}

// Exceeding lists, by LiveKit's names, the grants that g asks for and most
// does not hold. A flag explicitly false asks for nothing, except that LiveKit
// reads an unset canPublish, canSubscribe or canPublishData as true, so for
// those unset asks as much as true does.
func (g VideoGrants) Exceeding(most VideoGrants) []string {
	var over []string
	flag := func(name string, asked, held bool) {
		if asked && !held {
			over = append(over, name)
		}
	}
	flag("roomJoin", isTrue(g.RoomJoin), isTrue(most.RoomJoin))
	flag("roomAdmin", isTrue(g.RoomAdmin), isTrue(most.RoomAdmin))
	flag("canPublish", notFalse(g.CanPublish), notFalse(most.CanPublish))
	flag("canSubscribe", notFalse(g.CanSubscribe), notFalse(most.CanSubscribe))
	flag("canPublishData", notFalse(g.CanPublishData), notFalse(most.CanPublishData))
	flag("canUpdateOwnMetadata", isTrue(g.CanUpdateOwnMetadata), isTrue(most.CanUpdateOwnMetadata))
	flag("canSubscribeMetrics", isTrue(g.CanSubscribeMetrics), isTrue(most.CanSubscribeMetrics))
	flag("canManageAgentSession", isTrue(g.CanManageAgentSession), isTrue(most.CanManageAgentSession))
	flag("hidden", isTrue(g.Hidden), isTrue(most.Hidden))
	flag("recorder", isTrue(g.Recorder), isTrue(most.Recorder))
	flag("agent", isTrue(g.Agent), isTrue(most.Agent))
	if len(most.CanPublishSources) > 0 && notFalse(g.CanPublish) {
		wider := len(g.CanPublishSources) == 0
		for _, source := range g.CanPublishSources {
			wider = wider || !slices.Contains(most.CanPublishSources, source)
		}
		flag("canPublishSources", wider, false)
	}
	return over
}

// Within completes g: what it leaves unset is taken from base, so that a
// request for one grant changes that grant only.
func (g VideoGrants) Within(base VideoGrants) VideoGrants {
	or := func(a, b *bool) *bool {
		if a != nil {
			return a
		}
		return b
	}
	out := VideoGrants{
		RoomJoin:              or(g.RoomJoin, base.RoomJoin),
		RoomAdmin:             or(g.RoomAdmin, base.RoomAdmin),
		CanPublish:            or(g.CanPublish, base.CanPublish),
		CanSubscribe:          or(g.CanSubscribe, base.CanSubscribe),
		CanPublishData:        or(g.CanPublishData, base.CanPublishData),
		CanPublishSources:     g.CanPublishSources,
		CanUpdateOwnMetadata:  or(g.CanUpdateOwnMetadata, base.CanUpdateOwnMetadata),
		CanSubscribeMetrics:   or(g.CanSubscribeMetrics, base.CanSubscribeMetrics),
		CanManageAgentSession: or(g.CanManageAgentSession, base.CanManageAgentSession),
		Hidden:                or(g.Hidden, base.Hidden),
		Recorder:              or(g.Recorder, base.Recorder),
		Agent:                 or(g.Agent, base.Agent),
	}
	if out.CanPublishSources == nil {
		out.CanPublishSources = base.CanPublishSources
	}
	return out
}

func isTrue(b *bool) bool   { return b != nil && *b }
func notFalse(b *bool) bool { return b == nil || *b }

// IsSet reports whether an optional grant is present and true.
func IsSet(grant *bool) bool { return grant != nil && *grant }
