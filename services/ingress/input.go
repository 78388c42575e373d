package ingress

import (
	"context"
	"slices"

	"pulse-control-plane/models"
	"pulse-control-plane/services/fields"
	"pulse-control-plane/services/livekit"
)

// Limits of the fields of an ingress, in bytes.
const (
	maxName, maxIdentity = 256, 256
	maxMetadata          = 32 << 10
)

// check reports every field that is wrong.
func (s *Ingresses) check(ctx context.Context, in *Input) error {
	var wrong fields.Errors
	if !slices.Contains(models.IngressInputs(), in.InputType) {
		wrong.Say("input_type", "must be one of: rtmp, whip, url")
	}
	pulled := in.InputType == models.IngressURL
	switch given := in.URL.Reveal() != ""; {
	case given && !pulled:
		wrong.Say("url", "is not a field of the input type "+string(in.InputType))
	case pulled && !given:
		wrong.Say("url", "is required for the input type url")
	case pulled:
		if err := fields.CheckURL(ctx, s.c.Sources, in.URL.Reveal()); err != nil {
			wrong.Say("url", err.Error())
		}
	}
	if pulled && in.Enabled != nil && !*in.Enabled {
		wrong.Say("enabled", "must not be false for the input type url: it is pulled at once")
	}
	wrong.Required("room_name", in.RoomName)
	wrong.Required("participant_identity", in.ParticipantIdentity)
	checkTexts(&wrong, &in.RoomName, &in.ParticipantIdentity, &in.Name, &in.ParticipantName, &in.ParticipantMetadata)
	checkTranscoding(&wrong, in.InputType, in.Transcode, in.transcodes(), in.Audio, in.Video)
	return wrong.Err()
}

// checkTexts checks the texts of an ingress; nil is one that is not sent.
func checkTexts(f *fields.Errors, room, identity, name, participantName, metadata *string) {
	if room != nil {
		f.RoomName("room_name", *room)
	}
	for field, at := range map[string]struct {
		value *string
		most  int
	}{"participant_identity": {identity, maxIdentity}, "name": {name, maxName}, "participant_name": {participantName, maxIdentity},
		"participant_metadata": {metadata, maxMetadata}} {
		if at.value != nil {
			f.AtMost(field, *at.value, at.most)
		}
	}
}

// checkTranscoding checks the options of audio and video, and whether there can be any.
func checkTranscoding(f *fields.Errors, input models.IngressInput, asked *bool, transcodes bool, audio *models.IngressAudio, video *models.IngressVideo) {
	if asked != nil && !*asked && input != models.IngressWHIP {
		f.Say("enable_transcoding", "must not be false for the input type "+string(input))
	}
	explicit := func(field string, given bool) {
		if given && !transcodes {
			f.Say(field, "needs enable_transcoding")
		}
	}
	if a := audio; a != nil {
		f.AtMost("audio.name", a.Name, maxName)
		f.OneOf("audio.source", a.Source, livekit.IngressAudioSources())
		f.OneOf("audio.preset", a.Preset, livekit.IngressAudioPresets())
		explicit("audio.preset", a.Preset != "")
		values := a.Codec != "" || a.Bitrate != 0 || a.Channels != 0 || a.DisableDTX
		explicit("audio.options", values)
		if values && a.Preset != "" {
			f.Say("audio.preset", "must not be combined with options")
		}
		f.OneOf("audio.options.audio_codec", a.Codec, livekit.IngressAudioCodecs())
		f.Between("audio.options.bitrate", a.Bitrate, 1, livekit.MaxIngressBitrate)
		f.Between("audio.options.channels", a.Channels, 1, 2)
	}
	if v := video; v != nil {
		f.AtMost("video.name", v.Name, maxName)
		f.OneOf("video.source", v.Source, livekit.IngressVideoSources())
		f.OneOf("video.preset", v.Preset, livekit.IngressVideoPresets())
		explicit("video.preset", v.Preset != "")
		values := v.Codec != "" || v.FrameRate != 0 || len(v.Layers) > 0
		explicit("video.options", values)
		if values && v.Preset != "" {
			f.Say("video.preset", "must not be combined with options")
		}
		f.OneOf("video.options.video_codec", v.Codec, livekit.IngressVideoCodecs())
		if v.FrameRate < 0 || v.FrameRate > 120 {
			f.Say("video.options.frame_rate", "must be from 0 to 120")
		}
		*f = append(*f, livekit.CheckLayers("video.options.layers", v.Layers)...)
	}
}

// check reports every field of an update that is wrong.
func (u *Update) check(record *models.Ingress) error {
	var wrong fields.Errors
	if (*u == Update{}) {
		wrong.Say("enabled", "is required, unless another field is given")
	}
	for field, value := range map[string]*string{"room_name": u.RoomName, "participant_identity": u.ParticipantIdentity,
		"participant_name": u.ParticipantName, "participant_metadata": u.ParticipantMetadata} {
		if value != nil {
			wrong.Required(field, *value) // LiveKit ignores an empty one
		}
	}
	checkTexts(&wrong, u.RoomName, u.ParticipantIdentity, u.Name, u.ParticipantName, u.ParticipantMetadata)
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
	checkTranscoding(&wrong, record.InputType, u.Transcode, transcodes, audio, video)
	return wrong.Err()
}

// fields are what an update changes, for the audit trail.
func (u *Update) fields() map[string]any {
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
