package events

import (
	"slices"
	"strings"

	"pulse-control-plane/models"
)

// The types of event. Their data is described in the OpenAPI document.
const (
	RoomStarted        = "room.started"
	RoomFinished       = "room.finished"
	ParticipantJoined  = "participant.joined"
	ParticipantLeft    = "participant.left"
	TrackPublished     = "track.published"
	TrackUnpublished   = "track.unpublished"
	EgressStarted      = "egress.started"
	EgressUpdated      = "egress.updated"
	EgressEnded        = "egress.ended"
	RecordingAvailable = "recording.available"
	RecordingFailed    = "recording.failed"
	IngressStarted     = "ingress.started"
	IngressEnded       = "ingress.ended"

	QuotaWarning  = "quota.warning"
	QuotaExceeded = "quota.exceeded"

	KeyCreated  = "key.created"
	KeyUpdated  = "key.updated"
	KeyRotated  = "key.rotated"
	KeyExpiring = "key.expiring"
	KeyDeleted  = "key.deleted"

	TokenRevoked = "token.revoked"

	ProjectCreated = "project.created"
	ProjectUpdated = "project.updated"
	ProjectDeleted = "project.deleted"

	MemberJoined      = "member.joined"
	MemberRoleChanged = "member.role_changed"
	MemberRemoved     = "member.removed"

	EndpointDisabled = "webhook.endpoint_disabled"
	// EndpointTest is sent to one endpoint, on request.
	EndpointTest = "webhook.test"

	// LiveKitPrefix begins the types of LiveKit's events that the catalogue does
	// not have: livekit.<kind>.
	LiveKitPrefix = "livekit."
)

// Types lists the catalogue, without livekit.*, in the order it is shown.
func Types() []string {
	return []string{
		RoomStarted, RoomFinished, ParticipantJoined, ParticipantLeft, TrackPublished, TrackUnpublished,
		EgressStarted, EgressUpdated, EgressEnded, RecordingAvailable, IngressStarted, IngressEnded,
		RecordingFailed,
		QuotaWarning, QuotaExceeded, KeyCreated, KeyUpdated, KeyRotated, KeyExpiring, KeyDeleted, TokenRevoked,
		ProjectCreated, ProjectUpdated, ProjectDeleted, MemberJoined, MemberRoleChanged, MemberRemoved, EndpointDisabled, EndpointTest,
	}
}

// FromLiveKit reports whether events of a type are made of LiveKit's, so that their
// SourceID is LiveKit's id.
func FromLiveKit(eventType string) bool {
	switch models.FamilyOf(eventType) {
	case "room", "participant", "track", "egress", "ingress", "livekit":
		return true
	}
	return eventType == RecordingAvailable
}

// ValidPattern reports whether a text may select events: "*", a type of the
// catalogue, "family.*" of one of its families, or livekit.* and its types.
func ValidPattern(pattern string) bool {
	family, all := cutFamily(pattern)
	switch {
	case pattern == "*" || slices.Contains(Types(), pattern):
		return true
	case all:
		return family+"." == LiveKitPrefix || slices.ContainsFunc(Types(), func(t string) bool { return strings.HasPrefix(t, family+".") })
	}
	return isLiveKitType(pattern)
}

// cutFamily gives the family of a pattern "family.*".
func cutFamily(pattern string) (family string, all bool) {
	return strings.CutSuffix(pattern, ".*")
}

// isLiveKitType reports whether a text may be the type of an event of LiveKit that
// the catalogue does not have.
func isLiveKitType(text string) bool {
	kind, ok := strings.CutPrefix(text, LiveKitPrefix)
	return ok && kind != "" && kind == livekitKind(kind)
}

// livekitKind gives the name of a kind of LiveKit event as it stands in a type.
func livekitKind(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	return name[:min(len(name), maxKind)]
}
