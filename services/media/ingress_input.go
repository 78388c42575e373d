package media

import (
	"context"
	"slices"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

// Limits of the fields of an ingress, in bytes but where it says so.
const (
	maxIngressName = 256
	maxMetadata    = 32 << 10
)

// check reports every field that is wrong.
func (s *Ingresses) check(ctx context.Context, in *IngressInput) error {
	var wrong findings
	if !slices.Contains(models.IngressInputs(), in.InputType) {
		wrong.say("input_type", "must be one of: rtmp, whip, url")
	}
	pulled := in.InputType == models.IngressURL
	switch given := in.URL.Reveal() != ""; {
	case given && !pulled:
		wrong.say("url", "is not a field of the input type "+string(in.InputType))
	case pulled && !given:
		wrong.say("url", "is required for the input type url")
	case pulled:
		if err := judge(ctx, s.c.Sources, in.URL.Reveal()); err != nil {
			wrong.say("url", err.Error())
		}
	}
	if pulled && in.Enabled != nil && !*in.Enabled {
		wrong.say("enabled", "must not be false for the input type url: it is pulled at once")
	}
	wrong.required("room_name", in.RoomName)
	wrong.required("participant_identity", in.ParticipantIdentity)
	wrong.ingress(&in.RoomName, &in.ParticipantIdentity, &in.Name, &in.ParticipantName, &in.ParticipantMetadata)
	wrong.transcoding(in.InputType, in.Transcode, in.transcodes(), in.Audio, in.Video)
	return wrong.err()
}

func (f *findings) required(field, value string) {
	if value == "" {
		f.say(field, "is required")
	}
}

// ingress checks the texts of an ingress; nil is one that is not sent.
func (f *findings) ingress(room, identity, name, participantName, metadata *string) {
	if room != nil && *room != "" && !models.ValidRoomName(*room) {
		f.say("room_name", `must be 1 to 128 printable characters and at most 215 bytes, none of / \ { }`)
	}
	for field, at := range map[string]struct {
		value *string
		most  int
	}{"participant_identity": {identity, maxIdentity}, "name": {name, maxIngressName}, "participant_name": {participantName, maxIdentity},
		"participant_metadata": {metadata, maxMetadata}} {
		if at.value != nil {
			f.atMost(field, *at.value, at.most)
		}
	}
}

// transcoding checks the options of audio and video, and whether there can be any.
func (f *findings) transcoding(input models.IngressInput, asked *bool, transcodes bool, audio *models.IngressAudio, video *models.IngressVideo) {
	if asked != nil && !*asked && input != models.IngressWHIP {
		f.say("enable_transcoding", "must not be false for the input type "+string(input))
	}
	explicit := func(field string, given bool) {
		if given && !transcodes {
			f.say(field, "needs enable_transcoding")
		}
	}
	if a := audio; a != nil {
		f.atMost("audio.name", a.Name, maxIngressName)
		f.oneOf("audio.source", a.Source, livekit.IngressAudioSources())
		f.oneOf("audio.preset", a.Preset, livekit.IngressAudioPresets())
		explicit("audio.preset", a.Preset != "")
		values := a.Codec != "" || a.Bitrate != 0 || a.Channels != 0 || a.DisableDTX
		explicit("audio.options", values)
		if values && a.Preset != "" {
			f.say("audio.preset", "must not be combined with options")
		}
		f.oneOf("audio.options.audio_codec", a.Codec, livekit.IngressAudioCodecs())
		f.between("audio.options.bitrate", a.Bitrate, 1, livekit.MaxIngressBitrate)
		f.between("audio.options.channels", a.Channels, 1, 2)
	}
	if v := video; v != nil {
		f.atMost("video.name", v.Name, maxIngressName)
		f.oneOf("video.source", v.Source, livekit.IngressVideoSources())
		f.oneOf("video.preset", v.Preset, livekit.IngressVideoPresets())
		explicit("video.preset", v.Preset != "")
		values := v.Codec != "" || v.FrameRate != 0 || len(v.Layers) > 0
		explicit("video.options", values)
		if values && v.Preset != "" {
			f.say("video.preset", "must not be combined with options")
		}
		f.oneOf("video.options.video_codec", v.Codec, livekit.IngressVideoCodecs())
		if v.FrameRate < 0 || v.FrameRate > 120 {
			f.say("video.options.frame_rate", "must be from 0 to 120")
		}
		*f = append(*f, livekit.CheckLayers("video.options.layers", v.Layers)...)
	}
}

// check reports every field of an update that is wrong.
func (u *IngressUpdate) check(record *models.Ingress) error {
	var wrong findings
	if (*u == IngressUpdate{}) {
		wrong.say("enabled", "is required, unless another field is given")
	}
	for field, value := range map[string]*string{"room_name": u.RoomName, "participant_identity": u.ParticipantIdentity,
		"participant_name": u.ParticipantName, "participant_metadata": u.ParticipantMetadata} {
		if value != nil {
			wrong.required(field, *value) // LiveKit takes an empty one for none
		}
	}
	wrong.ingress(u.RoomName, u.ParticipantIdentity, u.Name, u.ParticipantName, u.ParticipantMetadata)
	transcodes := record.EnableTranscoding
	if u.Transcode != nil {
		transcodes = *u.Transcode
	}
	audio, video := u.Audio, u.Video
	if !transcodes && record.EnableTranscoding { // what is there must fit too
		if audio == nil {
			audio = record.Audio
		}
		if video == nil {
			video = record.Video
		}
	}
	wrong.transcoding(record.InputType, u.Transcode, transcodes, audio, video)
	return wrong.err()
}

// fields are what an update changes, for the audit trail.
func (u *IngressUpdate) fields() map[string]any {
	out := map[string]any{}
	for name, value := range map[string]*string{"name": u.Name, "room_name": u.RoomName, "participant_identity": u.ParticipantIdentity, "participant_name": u.ParticipantName} {
		if value != nil {
			out[name] = *value
		}
	}
	if u.ParticipantMetadata != nil {
		out["participant_metadata_bytes"] = len(*u.ParticipantMetadata)
	}
	for name, value := range map[string]*bool{"enabled": u.Enabled, "enable_transcoding": u.Transcode} {
		if value != nil {
			out[name] = *value
		}
	}
	for name, given := range map[string]bool{"audio": u.Audio != nil, "video": u.Video != nil} {
		if given {
			out[name] = true
		}
	}
	return out
}
