package media

import (
	"context"
	"fmt"
	"path"
	"strings"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

// Defaults of outputs, in seconds: LiveKit's own.
const (
	defaultSegment  = 4
	defaultInterval = 10
)

// check reports every field that is wrong.
func (s *Egresses) check(ctx context.Context, in *EgressInput) error {
	var wrong []models.FieldError
	say := func(field, message string) {
		wrong = append(wrong, models.FieldError{Location: field, Message: message})
	}
	takes := func(field string, given, allowed, needed bool) {
		switch {
		case given && !allowed:
			say(field, "is not a field of the type "+string(in.Type))
		case !given && needed:
			say(field, "is required for the type "+string(in.Type))
		}
	}
	web, room := in.Type == models.EgressWeb, in.Type == models.EgressRoomComposite
	participant, track, composite := in.Type == models.EgressParticipant, in.Type == models.EgressTrack, in.Type == models.EgressTrackComposite
	takes("room_name", in.RoomName != "", !web, !web)
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
		say("video_track_sid", "or audio_track_sid is required for the type track_composite")
	}
	if in.AudioOnly && in.VideoOnly {
		say("video_only", "and audio_only exclude each other")
	}
	if in.Encoding.Preset != "" && in.Encoding != (livekit.Encoding{Preset: in.Encoding.Preset}) {
		say("encoding.preset", "excludes the other fields")
	}
	if web && !s.c.Web {
		e := models.Forbidden("web_egress_disabled", "Web egress is disabled on this installation: a recorded page sees the worker's network (EGRESS_WEB).")
		return e
	}
	if web && in.URL != "" {
		if err := s.c.Pages.CheckURL(ctx, in.URL); err != nil {
			say("url", refusedURL(err))
		}
	}
	wrong = append(wrong, s.checkOutputs(ctx, in)...)
	if len(wrong) > 0 {
		return models.Invalid(wrong...)
	}
	return nil
}

// checkOutputs reports what is wrong with the outputs.
func (s *Egresses) checkOutputs(ctx context.Context, in *EgressInput) (wrong []models.FieldError) {
	seen := map[models.OutputKind]bool{}
	for i := range in.Outputs {
		o := &in.Outputs[i]
		at := fmt.Sprintf("outputs[%d].", i)
		say := func(field, message string) {
			wrong = append(wrong, models.FieldError{Location: at + field, Message: message})
		}
		only := func(field string, given bool, kind models.OutputKind) {
			if given && o.Kind != kind {
				say(field, "is not a field of the kind "+string(o.Kind))
			}
		}
		if seen[o.Kind] {
			say("kind", "must not repeat; LiveKit takes one output of each kind")
		}
		seen[o.Kind] = true
		if in.Type == models.EgressTrack && o.Kind != models.OutputFile {
			say("kind", "must be file for the type track")
		}
		only("file_type", o.FileType != "", models.OutputFile)
		if in.Type == models.EgressTrack && o.FileType != "" {
			say("file_type", "is not a field of the type track: the track's codec decides")
		}
		only("segment_seconds", o.SegmentSeconds != 0, models.OutputHLS)
		only("live_playlist", o.Live, models.OutputHLS)
		only("interval_seconds", o.IntervalSeconds != 0, models.OutputImages)
		only("width", o.Width != 0, models.OutputImages)
		only("height", o.Height != 0, models.OutputImages)
		only("urls", len(o.Targets) > 0, models.OutputRTMP)
		if o.Kind != models.OutputRTMP {
			continue
		}
		if len(o.Targets) == 0 {
			say("urls", "is required for the kind rtmp")
		}
		for n, target := range o.Targets {
			if err := s.c.Targets.CheckURL(ctx, target.Reveal()); err != nil {
				say(fmt.Sprintf("urls[%d]", n), refusedURL(err))
			}
		}
	}
	return wrong
}

// refusedURL is why a URL is refused, without repeating it: it may have a stream
// key in it.
func refusedURL(error) string {
	return "is not a URL of an allowed scheme whose host resolves to public addresses only"
}

// request turns an input into LiveKit's, and completes the record with its outputs.
func (s *Egresses) request(p *models.Project, record *models.Egress, in *EgressInput) (*livekit.EgressRequest, error) {
	ask := &livekit.EgressRequest{
		Type: in.Type, Identity: in.ParticipantIdentity, URL: in.URL, Layout: in.Layout, TrackSID: in.TrackSID, AudioTrackSID: in.AudioTrackSID,
		VideoTrackSID: in.VideoTrackSID, ScreenShare: in.ScreenShare, AudioOnly: in.AudioOnly, VideoOnly: in.VideoOnly,
		Wait: in.AwaitStartSignal, Encoding: in.Encoding,
	}
	if in.RoomName != "" {
		ask.Room = models.QualifyRoom(p.ID, in.RoomName)
	}
	for i := range in.Outputs {
		out := livekit.EgressOutput{EgressOutput: in.Outputs[i].EgressOutput, Targets: in.Outputs[i].Targets}
		if out.Kind == models.OutputRTMP {
			for _, target := range out.Targets {
				out.URLs = append(out.URLs, livekit.RedactStreamURL(target.Reveal()))
			}
		} else {
			upload, err := s.c.Vault.Of(p)
			if err != nil {
				return nil, err
			}
			out.Upload = upload
			if upload != nil {
				record.CDNBaseURL = upload.CDNBaseURL
			}
			place(&out, record, upload, in.Outputs[i].Live, in.Type == models.EgressTrack)
		}
		ask.Outputs = append(ask.Outputs, out)
		record.Outputs = append(record.Outputs, out.EgressOutput)
	}
	return ask, nil
}

// place builds the path of an output: <prefix>/<project>/<room>/<time>-<egress id>….
func place(out *livekit.EgressOutput, record *models.Egress, upload *livekit.Upload, live, track bool) {
	base := basePath(record, upload)
	switch out.Kind {
	case models.OutputFile:
		if out.FileType == "" && !track {
			out.FileType = "mp4"
		}
		out.Path = base
		if out.FileType != "" {
			out.Path += "." + out.FileType
		}
	case models.OutputHLS:
		out.Path = base + ".m3u8"
		if live {
			out.LivePlaylist = base + "-live.m3u8"
		}
		if out.SegmentSeconds == 0 {
			out.SegmentSeconds = defaultSegment
		}
	case models.OutputImages:
		out.Path = base + "-image"
		if out.IntervalSeconds == 0 {
			out.IntervalSeconds = defaultInterval
		}
	case models.OutputRTMP:
	}
}

func basePath(record *models.Egress, upload *livekit.Upload) string {
	room := record.RoomName
	if room == "" {
		room = "web"
	}
	prefix := ""
	if upload != nil {
		prefix = upload.Prefix
	}
	return path.Join(prefix, string(record.ProjectID), pathSegment(room), record.CreatedAt.Format("20060102T150405Z")+"-"+string(record.ID))
}

// pathSegment makes a room's name one segment of a path: what is neither letter,
// digit nor one of "-_." becomes "_", so that no name leaves its folder or means
// something to LiveKit's templates.
func pathSegment(name string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, name)
	if strings.Trim(out, ".") == "" {
		out = strings.Repeat("_", len(out))
	}
	return out
}
