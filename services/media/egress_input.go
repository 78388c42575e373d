package media

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/safedial"
	"pulse-control-plane/utils/secret"
)

// Limits of the fields of an egress.
const (
	// MaxTargets is how many targets of rtmp an egress may have at a time.
	MaxTargets = 10
	// maxURL bounds a target or page, in bytes.
	maxURL = 2048
	// maxIdentity bounds an identity, maxSID the id of a track, in bytes.
	maxIdentity, maxSID = 256, 128
	// maxPixels bounds a width or height.
	maxPixels = 4096
)

// findings collects every field that is wrong.
type findings []models.FieldError

// say reports a field; the first message on it is kept.
func (f *findings) say(field, message string) {
	if slices.ContainsFunc(*f, func(e models.FieldError) bool { return e.Location == field }) {
		return
	}
	*f = append(*f, models.FieldError{Location: field, Message: message})
}

// oneOf checks a value that may be left out.
func (f *findings) oneOf(field, value string, allowed []string) {
	if value != "" && !slices.Contains(allowed, value) {
		f.say(field, "must be one of: "+strings.Join(allowed, ", "))
	}
}

// between checks a number; 0 is left out.
func (f *findings) between(field string, value, least, most int64) {
	if value != 0 && (value < least || value > most) {
		f.say(field, fmt.Sprintf("must be from %d to %d", least, most))
	}
}

func (f *findings) atMost(field, value string, bytes int) {
	if len(value) > bytes {
		f.say(field, fmt.Sprintf("must be at most %d bytes long", bytes))
	}
}

func (f *findings) err() error {
	if len(*f) == 0 {
		return nil
	}
	return models.Invalid(*f...)
}

// check reports every field that is wrong.
func (s *Egresses) check(ctx context.Context, in *EgressInput) error {
	var wrong findings
	if !slices.Contains(models.EgressTypes(), in.Type) {
		wrong.say("type", "must be one of: room_composite, participant, track, track_composite, web")
	} else {
		wrong.ofType(in)
	}
	if in.Type == models.EgressWeb && !s.c.Web {
		return models.Forbidden("web_egress_disabled",
			"Web egress is disabled on this installation: a recorded page sees the worker's network (EGRESS_WEB).")
	}
	if in.RoomName != "" && !models.ValidRoomName(in.RoomName) {
		wrong.say("room_name", `must be 1 to 128 printable characters and at most 215 bytes, none of / \ { }`)
	}
	wrong.atMost("participant_identity", in.ParticipantIdentity, maxIdentity)
	for field, sid := range map[string]string{"track_sid": in.TrackSID, "audio_track_sid": in.AudioTrackSID, "video_track_sid": in.VideoTrackSID} {
		wrong.atMost(field, sid, maxSID)
	}
	wrong.oneOf("layout", in.Layout, livekit.Layouts())
	if in.AudioOnly && in.VideoOnly {
		wrong.say("video_only", "must not be combined with audio_only")
	}
	wrong.encoding(&in.Encoding)
	wrong.outputs(in)
	s.targets(ctx, in, &wrong)
	return wrong.err()
}

// ofType checks which fields a type takes and needs.
func (f *findings) ofType(in *EgressInput) {
	takes := func(field string, given, allowed, needed bool) {
		switch {
		case given && !allowed:
			f.say(field, "is not a field of the type "+string(in.Type))
		case !given && needed:
			f.say(field, "is required for the type "+string(in.Type))
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
		f.say("video_track_sid", "is required for the type track_composite, unless audio_track_sid is given")
	}
}

// encoding checks a preset or explicit values.
func (f *findings) encoding(e *livekit.Encoding) {
	if e.Preset != "" && *e != (livekit.Encoding{Preset: e.Preset}) {
		f.say("encoding.preset", "must not be combined with explicit values")
	}
	f.oneOf("encoding.preset", strings.ToLower(e.Preset), livekit.EncodingPresets())
	f.between("encoding.width", e.Width, 16, maxPixels)
	f.between("encoding.height", e.Height, 16, maxPixels)
	f.between("encoding.framerate", e.Framerate, 1, 120)
	f.between("encoding.video_bitrate", e.VideoBitrate, 1, 100_000)
	f.between("encoding.audio_bitrate", e.AudioBitrate, 1, 1000)
	f.between("encoding.audio_frequency", e.AudioFrequency, 8000, 192_000)
	f.oneOf("encoding.video_codec", e.VideoCodec, livekit.VideoCodecs())
	f.oneOf("encoding.audio_codec", e.AudioCodec, livekit.AudioCodecs())
	if e.KeyFrameInterval < 0 || e.KeyFrameInterval > 60 {
		f.say("encoding.key_frame_interval", "must be from 0 to 60")
	}
}

// outputs checks the outputs, without looking their targets up.
func (f *findings) outputs(in *EgressInput) {
	if len(in.Outputs) == 0 {
		f.say("outputs", "is required")
	}
	if len(in.Outputs) > len(models.OutputKinds()) {
		f.say("outputs", fmt.Sprintf("must be at most %d items", len(models.OutputKinds())))
		return
	}
	seen := map[models.OutputKind]bool{}
	for i := range in.Outputs {
		o, at := &in.Outputs[i], fmt.Sprintf("outputs[%d].", i)
		if !slices.Contains(models.OutputKinds(), o.Kind) {
			f.say(at+"kind", "must be one of: file, hls, rtmp, images")
			continue
		}
		only := func(field string, given bool, kind models.OutputKind) {
			if given && o.Kind != kind {
				f.say(at+field, "is not a field of the kind "+string(o.Kind))
			}
		}
		switch {
		case seen[o.Kind]:
			f.say(at+"kind", "must not repeat: LiveKit takes one output of each kind")
		case in.Type == models.EgressTrack && o.Kind != models.OutputFile:
			f.say(at+"kind", "must be file for the type track")
		case in.AudioOnly && o.Kind == models.OutputImages:
			f.say(at+"kind", "must not be images with audio_only")
		}
		seen[o.Kind] = true
		only("file_type", o.FileType != "", models.OutputFile)
		if in.Type == models.EgressTrack && o.FileType != "" {
			f.say(at+"file_type", "is not a field of the type track: the track's codec decides")
		}
		f.oneOf(at+"file_type", o.FileType, []string{"mp4", "ogg"})
		only("segment_seconds", o.SegmentSeconds != 0, models.OutputHLS)
		f.between(at+"segment_seconds", o.SegmentSeconds, 1, 60)
		only("live_playlist", o.Live, models.OutputHLS)
		only("interval_seconds", o.IntervalSeconds != 0, models.OutputImages)
		f.between(at+"interval_seconds", o.IntervalSeconds, 1, 3600)
		only("width", o.Width != 0, models.OutputImages)
		f.between(at+"width", o.Width, 16, maxPixels)
		only("height", o.Height != 0, models.OutputImages)
		f.between(at+"height", o.Height, 16, maxPixels)
		only("urls", len(o.Targets) > 0, models.OutputRTMP)
		switch {
		case o.Kind == models.OutputRTMP && len(o.Targets) == 0:
			f.say(at+"urls", "is required for the kind rtmp")
		case len(o.Targets) > MaxTargets:
			f.say(at+"urls", fmt.Sprintf("must be at most %d items", MaxTargets))
		}
	}
}

// targets judges the page and the targets of rtmp.
func (s *Egresses) targets(ctx context.Context, in *EgressInput, wrong *findings) {
	if in.Type == models.EgressWeb && in.URL != "" {
		if err := judge(ctx, s.c.Pages, in.URL); err != nil {
			wrong.say("url", err.Error())
		}
	}
	for i := range in.Outputs {
		if o := &in.Outputs[i]; o.Kind == models.OutputRTMP && len(o.Targets) <= MaxTargets {
			s.judgeAll(ctx, fmt.Sprintf("outputs[%d].urls", i), o.Targets, wrong)
		}
	}
}

// judgeAll judges targets of rtmp, all at once: each may cost a look-up.
func (s *Egresses) judgeAll(ctx context.Context, field string, targets []secret.Value, wrong *findings) {
	refused := make([]error, len(targets))
	var all errgroup.Group
	for i, target := range targets {
		all.Go(func() error {
			refused[i] = judge(ctx, s.c.Targets, target.Reveal())
			return nil
		})
	}
	_ = all.Wait() // nothing above fails
	for i, err := range refused {
		if err != nil {
			wrong.say(fmt.Sprintf("%s[%d]", field, i), err.Error())
		}
	}
}

// judge tells why a target is refused, without repeating it: a stream key may be
// in it. A name that cannot be resolved now is allowed, since the worker looks it up
// itself.
func judge(ctx context.Context, g Guard, raw string) error {
	if len(raw) > maxURL {
		return fmt.Errorf("must be at most %d bytes long", maxURL)
	}
	return safedial.Refusal(g.CheckURL(ctx, raw))
}
