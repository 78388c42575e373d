package livekit

import (
	"fmt"
	"strings"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protojson"

	"pulse-control-plane/models"
)

const (
	// MaxRoomTimeout bounds empty_timeout and departure_timeout, in seconds: a
	// room that is kept open without participants is metered and holds a slot.
	MaxRoomTimeout = 86_400
	// maxDispatches bounds the agents one token dispatches.
	maxDispatches = 10
	// MaxRoomTags and MaxRoomTagsBytes bound the tags of a room: pairs, and the bytes
	// of all names and values together.
	MaxRoomTags      = 32
	MaxRoomTagsBytes = 4 << 10
	// maxPlayoutDelay is the most, in milliseconds, that the RTP header extension
	// playout-delay can carry: 12 bits of 10 ms.
	maxPlayoutDelay = 40_950
)

// RoomPolicy bounds what a room configuration may ask for.
type RoomPolicy struct {
	// MaxParticipants is the most that max_participants may be; 0 is no limit.
	MaxParticipants int64
	// MayDispatch reports whether agents of that name may be dispatched.
	MayDispatch func(name string) bool
}

// RoomConfiguration reads LiveKit's RoomConfiguration, ignoring fields of later
// versions, and gives it as it goes into a token: without a name, which would
// choose one of the cluster's presets. invalid for values beyond the limits;
// forbidden grant_not_allowed for egress, which would record on the cluster's
// account with outputs of the caller's choice, and agent_not_allowed.
func RoomConfiguration(raw []byte, policy RoomPolicy) ([]byte, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var config livekit.RoomConfiguration
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, &config); err != nil {
		return nil, models.Invalid(models.FieldError{Location: "room_config",
			Message: "is not a RoomConfiguration as LiveKit documents it" + protoLocation(err)})
	}
	if config.GetEgress() != nil {
		return nil, models.GrantNotAllowed("", []string{"room_config.egress"})
	}
	if err := policy.bounds(&config); err != nil {
		return nil, err
	}
	for i, agent := range config.GetAgents() {
		if !policy.MayDispatch(agent.GetAgentName()) {
			e := models.Forbidden("agent_not_allowed", "This token may not dispatch the agent; the project's settings list those it may.")
			e.Fields = []models.FieldError{{Location: fmt.Sprintf("room_config.agents[%d].agent_name", i), Message: "is not allowed"}}
			return nil, e
		}
	}
	config.Name = ""
	out, err := protojson.Marshal(&config)
	if err != nil {
		return nil, models.Internal(err)
	}
	return out, nil
}

// bounds reports every value beyond its limit.
func (p RoomPolicy) bounds(config *livekit.RoomConfiguration) error {
	var wrong []models.FieldError
	most := func(name string, value uint32, limit int64, unit string) {
		if int64(value) > limit {
			wrong = append(wrong, models.FieldError{Location: "room_config." + name, Message: fmt.Sprintf("must be at most %d%s", limit, unit)})
		}
	}
	most("empty_timeout", config.GetEmptyTimeout(), MaxRoomTimeout, " seconds")
	most("departure_timeout", config.GetDepartureTimeout(), MaxRoomTimeout, " seconds")
	most("min_playout_delay", config.GetMinPlayoutDelay(), maxPlayoutDelay, " milliseconds")
	most("max_playout_delay", config.GetMaxPlayoutDelay(), maxPlayoutDelay, " milliseconds")
	if p.MaxParticipants > 0 {
		most("max_participants", config.GetMaxParticipants(), p.MaxParticipants, ", the project's quota")
	}
	most("tags", uint32(len(config.GetTags())), MaxRoomTags, " items")
	bytes := 0
	for name, value := range config.GetTags() {
		bytes += len(name) + len(value)
	}
	most("tags", uint32(bytes), MaxRoomTagsBytes, " bytes in all")
	if len(config.GetAgents()) > maxDispatches {
		wrong = append(wrong, models.FieldError{Location: "room_config.agents", Message: fmt.Sprintf("must be at most %d items", maxDispatches)})
	}
	if len(wrong) == 0 {
		return nil
	}
	return models.Invalid(wrong...)
}

// protoLocation is where a protojson error found the fault: its field and line.
// The rest of its text quotes the input and is not repeated.
func protoLocation(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	where := ""
	if _, rest, ok := strings.Cut(text, " field "); ok {
		name, _, _ := strings.Cut(rest, ":")
		if strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == "" {
			where = ": " + name
		}
	}
	if _, rest, ok := strings.Cut(text, "(line "); ok {
		if line, _, ok := strings.Cut(rest, ")"); ok {
			where += " (line " + line + ")"
		}
	}
	return where
}
