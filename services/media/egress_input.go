package media

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"pulse-control-plane/models"
	"pulse-control-plane/services/fields"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/secret"
)

// Limits of the fields of an egress.
const (
	// MaxTargets is how many targets of rtmp an egress may have at a time.
	MaxTargets = 10
	// maxIdentity bounds an identity, maxSID the id of a track, in bytes.
	maxIdentity, maxSID = 256, 128
	// maxPixels bounds a width or height.
	maxPixels = 4096
)

// check reports every field that is wrong.
func (s *Egresses) check(ctx context.Context, in *EgressInput) error {
	var wrong fields.Errors
	if !slices.Contains(models.EgressTypes(), in.Type) {
		wrong.Say("type", "must be one of: room_composite, participant, track, track_composite, web")
	} else {
		checkType(&wrong, in)
	}
	if in.Type == models.EgressWeb && !s.c.Web {
		return models.Forbidden("web_egress_disabled",
			"Web egress is disabled on this installation: a recorded page sees the worker's network (EGRESS_WEB).")
	}
	wrong.RoomName("room_name", in.RoomName)
	wrong.AtMost("participant_identity", in.ParticipantIdentity, maxIdentity)
	for field, sid := range map[string]string{"track_sid": in.TrackSID, "audio_track_sid": in.AudioTrackSID, "video_track_sid": in.VideoTrackSID} {
		wrong.AtMost(field, sid, maxSID)
	}
	wrong.OneOf("layout", in.Layout, livekit.Layouts())
	if in.AudioOnly && in.VideoOnly {
		wrong.Say("video_only", "must not be combined with audio_only")
	}
	checkEncoding(&wrong, &in.Encoding)
	checkOutputs(&wrong, in)
	s.targets(ctx, in, &wrong)
	return wrong.Err()
}

// checkType checks which fields a type takes and needs.
func checkType(f *fields.Errors, in *EgressInput) {
	takes := func(field string, given, allowed, needed bool) {
		switch {
		case given && !allowed:
			f.Say(field, "is not a field of the type "+string(in.Type))
		case !given && needed:
			f.Say(field, "is required for the type "+string(in.Type))
		}
	}
	web, room := in.Type == models.EgressWeb, in.Type == models.EgressRoomComposite
	participant, track, composite := in.Type == models.EgressParticipant, in.Type == models.EgressTrack, in.Type == models.EgressTrackComposite
	takes("room_name", in.RoomName != "", true, !web)
	takes("url", in.URL != "", web, web)
	takes("participant_identity", in.ParticipantIdentity != "", participant, participant)
	takes("screen_share", in.ScreenShare, participant, false)
	takes("track_sid", in.TrackSID != "", track, track)
	takes("audio_track_sid", in.AudioTrackSID != "", composite, false)
	takes("video_track_sid", in.VideoTrackSID != "", composite, false)
	takes("layout", in.Layout != "", room, false)
	takes("audio_only", in.AudioOnly, room || web, false)
	takes("video_only", in.VideoOnly, room || web, false)
	takes("await_start_signal", in.AwaitStartSignal, web, false)
	takes("encoding", in.Encoding != livekit.Encoding{}, !track, false)
	if composite && in.AudioTrackSID == "" && in.VideoTrackSID == "" {
		f.Say("video_track_sid", "is required for the type track_composite, unless audio_track_sid is given")
	}
}

// checkEncoding checks a preset or explicit values.
func checkEncoding(f *fields.Errors, e *livekit.Encoding) {
	if e.Preset != "" && *e != (livekit.Encoding{Preset: e.Preset}) {
		f.Say("encoding.preset", "must not be combined with explicit values")
	}
	f.OneOf("encoding.preset", strings.ToLower(e.Preset), livekit.EncodingPresets())
	f.Between("encoding.width", e.Width, 16, maxPixels)
	f.Between("encoding.height", e.Height, 16, maxPixels)
	f.Between("encoding.framerate", e.Framerate, 1, 120)
	f.Between("encoding.video_bitrate", e.VideoBitrate, 1, 100_000)
	f.Between("encoding.audio_bitrate", e.AudioBitrate, 1, 1000)
	f.Between("encoding.audio_frequency", e.AudioFrequency, 8000, 192_000)
	f.OneOf("encoding.video_codec", e.VideoCodec, livekit.VideoCodecs())
	f.OneOf("encoding.audio_codec", e.AudioCodec, livekit.AudioCodecs())
	if e.KeyFrameInterval < 0 || e.KeyFrameInterval > 60 {
		f.Say("encoding.key_frame_interval", "must be from 0 to 60")
	}
}

// checkOutputs checks the outputs, without looking their targets up.
func checkOutputs(f *fields.Errors, in *EgressInput) {
	if len(in.Outputs) == 0 {
		f.Say("outputs", "is required")
	}
	if len(in.Outputs) > len(models.OutputKinds()) {
		f.Say("outputs", fmt.Sprintf("must be at most %d items", len(models.OutputKinds())))
		return
	}
	seen := map[models.OutputKind]bool{}
	for i := range in.Outputs {
		o, at := &in.Outputs[i], fmt.Sprintf("outputs[%d].", i)
		if !slices.Contains(models.OutputKinds(), o.Kind) {
			f.Say(at+"kind", "must be one of: file, hls, rtmp, images")
			continue
		}
		only := func(field string, given bool, kind models.OutputKind) {
			if given && o.Kind != kind {
				f.Say(at+field, "is not a field of the kind "+string(o.Kind))
			}
		}
		switch {
		case seen[o.Kind]:
			f.Say(at+"kind", "must not repeat: LiveKit takes one output of each kind")
		case in.Type == models.EgressTrack && o.Kind != models.OutputFile:
			f.Say(at+"kind", "must be file for the type track")
		case in.AudioOnly && o.Kind == models.OutputImages:
			f.Say(at+"kind", "must not be images with audio_only")
		}
		seen[o.Kind] = true
		only("file_type", o.FileType != "", models.OutputFile)
		if in.Type == models.EgressTrack && o.FileType != "" {
			f.Say(at+"file_type", "is not a field of the type track: the track's codec decides")
		}
		f.OneOf(at+"file_type", o.FileType, []string{"mp4", "ogg"})
		only("segment_seconds", o.SegmentSeconds != 0, models.OutputHLS)
		f.Between(at+"segment_seconds", o.SegmentSeconds, 1, 60)
		only("live_playlist", o.Live, models.OutputHLS)
		only("interval_seconds", o.IntervalSeconds != 0, models.OutputImages)
		f.Between(at+"interval_seconds", o.IntervalSeconds, 1, 3600)
		only("width", o.Width != 0, models.OutputImages)
		f.Between(at+"width", o.Width, 16, maxPixels)
		only("height", o.Height != 0, models.OutputImages)
		f.Between(at+"height", o.Height, 16, maxPixels)
		only("urls", len(o.Targets) > 0, models.OutputRTMP)
		switch {
		case o.Kind == models.OutputRTMP && len(o.Targets) == 0:
			f.Say(at+"urls", "is required for the kind rtmp")
		case len(o.Targets) > MaxTargets:
			f.Say(at+"urls", fmt.Sprintf("must be at most %d items", MaxTargets))
		}
	}
}

// targets judges the page and the targets of rtmp.
func (s *Egresses) targets(ctx context.Context, in *EgressInput, wrong *fields.Errors) {
	if in.Type == models.EgressWeb && in.URL != "" {
		if err := fields.CheckURL(ctx, s.c.Pages, in.URL); err != nil {
			wrong.Say("url", err.Error())
		}
	}
	for i := range in.Outputs {
		if o := &in.Outputs[i]; o.Kind == models.OutputRTMP && len(o.Targets) <= MaxTargets {
			s.judgeAll(ctx, fmt.Sprintf("outputs[%d].urls", i), o.Targets, wrong)
		}
	}
}

// judgeAll judges targets of rtmp, all at once: each may cost a look-up.
func (s *Egresses) judgeAll(ctx context.Context, field string, targets []secret.Value, wrong *fields.Errors) {
	refused := make([]error, len(targets))
	var all errgroup.Group
	for i, target := range targets {
		all.Go(func() error {
			refused[i] = fields.CheckURL(ctx, s.c.Targets, target.Reveal())
			return nil
		})
	}
	_ = all.Wait() // nothing above fails
	for i, err := range refused {
		if err != nil {
			wrong.Say(fmt.Sprintf("%s[%d]", field, i), err.Error())
		}
	}
}
