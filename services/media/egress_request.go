package media

import (
	"path"
	"strings"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

// Defaults of outputs, in seconds.
const (
	defaultSegment  = 4
	defaultInterval = 10
)

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
	base, track := record.CreatedAt.Format("20060102T150405Z")+"-"+string(record.ID), in.Type == models.EgressTrack
	for i := range in.Outputs {
		out := livekit.EgressOutput{EgressOutput: in.Outputs[i].EgressOutput, Targets: in.Outputs[i].Targets}
		if out.Kind == models.OutputRTMP {
			for _, target := range out.Targets {
				out.URLs = append(out.URLs, livekit.RedactStreamURL(target.Reveal()))
			}
		} else {
			upload, err := s.c.Storages.Of(p)
			if err != nil {
				return nil, err
			}
			if out.Upload = upload; upload != nil {
				record.CDNBaseURL = upload.CDNBaseURL
			}
			setPath(&out.EgressOutput, path.Join(folder(p.ID, in.RoomName, upload), base), in.Outputs[i].Live, track)
		}
		ask.Outputs = append(ask.Outputs, out)
		record.Outputs = append(record.Outputs, out.EgressOutput)
	}
	return ask, nil
}

// setPath sets the path of an output that begins with base.
func setPath(out *models.EgressOutput, base string, live, track bool) {
	switch out.Kind {
	case models.OutputFile:
		if out.FileType == "" && !track {
			out.FileType = "mp4"
		}
		out.Path = base // LiveKit completes that of a track by its codec
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

// folder is <prefix>/<project>/<room>; "web" is the room of what has none.
func folder(p models.ProjectID, room string, upload *livekit.Upload) string {
	if room == "" {
		room = "web"
	}
	prefix := ""
	if upload != nil {
		prefix = upload.Prefix
	}
	return path.Join(prefix, string(p), pathSegment(room))
}

// pathSegment makes a room's name one segment of a path. The names "." and ".."
// would leave the folder; others cannot, since no room's name has a slash. Braces,
// of LiveKit's templates, are in no name either.
func pathSegment(name string) string {
	if strings.Trim(name, ".") == "" {
		return strings.Repeat("_", len(name))
	}
	return name
}
