package livekit

import (
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protojson"

	"pulse-control-plane/models"
)

// RedactedKey stands for the stream key in a URL.
const RedactedKey = "***"

// RedactStreamURL gives a URL without its stream key, user and query. The last
// segment of the path is the key; only the first one before it is kept, since some
// servers take the key in several.
func RedactStreamURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return hidden(text)
	}
	app, key, found := strings.Cut(strings.Trim(u.Path, "/"), "/")
	switch {
	case app == "" && u.RawQuery == "" && u.Port() == "" && !strings.Contains(u.Host, "."):
		return u.Scheme + "://" + RedactedKey // mux://key
	case !found || key == "":
		return u.Scheme + "://" + u.Host + "/" + RedactedKey
	}
	return u.Scheme + "://" + u.Host + "/" + app + "/" + RedactedKey
}

// hidden gives only the scheme of a text that is no URL with a host.
func hidden(text string) string {
	scheme, _, found := strings.Cut(text, "://")
	if !found || strings.ContainsFunc(scheme, func(r rune) bool { return r > unicode.MaxASCII || !isLetter(byte(r)) }) {
		return RedactedKey
	}
	return scheme + "://" + RedactedKey
}

// RedactText gives a text whose URLs have no stream keys.
func RedactText(text string) string {
	return eachURL(text, func(scheme, whole string) string {
		if hasKey(scheme) {
			return RedactStreamURL(whole)
		}
		return whole
	})
}

// eachURL replaces the URLs in a text.
func eachURL(text string, by func(scheme, whole string) string) string {
	var out strings.Builder
	for {
		at := strings.Index(text, "://")
		if at < 0 {
			out.WriteString(text)
			return out.String()
		}
		begin := at
		for begin > 0 && isLetter(text[begin-1]) {
			begin--
		}
		end := at + len("://")
		if length := strings.IndexFunc(text[end:], endsURL); length >= 0 {
			end += length
		} else {
			end = len(text)
		}
		out.WriteString(text[:begin])
		out.WriteString(by(text[begin:at], text[begin:end]))
		text = text[end:]
	}
}

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

func endsURL(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("\"'<>`", r) }

// hasKey reports whether URLs of a scheme have a stream key in their path or query.
func hasKey(scheme string) bool {
	switch strings.ToLower(scheme) {
	case "rtmp", "rtmps", "rtmpt", "rtmpe", "srt", "mux", "twitch", "ws", "wss":
		return true
	}
	return false
}

// EgressOf reads the egress that an event of LiveKit is about; false if it is
// about none or cannot be read.
func EgressOf(e *models.LiveKitEvent) (EgressState, bool) {
	if e.Media == nil {
		return EgressState{}, false
	}
	var body struct {
		Egress jsontext.Value `json:"egressInfo,case:ignore"`
	}
	var info livekit.EgressInfo
	if json.Unmarshal([]byte(e.Body), &body) != nil || len(body.Egress) == 0 ||
		(protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body.Egress, &info) != nil {
		return EgressState{}, false
	}
	out := egressState(&info)
	// What this version does not know, and times that cannot be, were seen to when the
	// event came.
	out.Status, out.StartedAt, out.EndedAt = statusOf(e.Media.Status), e.Media.StartedAt, e.Media.EndedAt
	return out, true
}

// statusOf is a status of LiveKit's as models names it.
func statusOf(name string) models.EgressStatus {
	return models.EgressStatus(strings.ToLower(strings.TrimPrefix(name, "EGRESS_")))
}

// egressState reads an EgressInfo, without stream keys and credentials; its error
// text names rooms as their tenant does.
func egressState(info *livekit.EgressInfo) EgressState {
	out := EgressState{ID: info.EgressId, Room: info.RoomName, RoomSID: info.RoomId, Error: publicText(info.Error, info.RoomName),
		Status:    statusOf(info.Status.String()),
		StartedAt: UnixNanos(info.StartedAt), EndedAt: UnixNanos(info.EndedAt)}
	request(&out, info)
	for _, f := range info.FileResults {
		out.Results = append(out.Results, models.EgressResult{Kind: models.OutputFile, Path: f.Filename, SizeBytes: f.Size, DurationSeconds: seconds(f.Duration)})
	}
	for _, s := range info.SegmentResults {
		out.Results = append(out.Results, models.EgressResult{Kind: models.OutputHLS, Path: s.PlaylistName, Playlist: s.PlaylistName,
			SizeBytes: s.Size, DurationSeconds: seconds(s.Duration)})
	}
	for _, s := range info.StreamResults {
		duration := s.Duration
		if duration == 0 && s.EndedAt > s.StartedAt && s.StartedAt > 0 {
			duration = s.EndedAt - s.StartedAt
		}
		out.Results = append(out.Results, models.EgressResult{Kind: models.OutputRTMP, Path: RedactStreamURL(s.Url),
			DurationSeconds: seconds(duration), Error: publicText(s.Error, info.RoomName)})
	}
	for _, i := range info.ImageResults {
		out.Results = append(out.Results, models.EgressResult{Kind: models.OutputImages, Path: i.FilenamePrefix, DurationSeconds: seconds(i.EndedAt - i.StartedAt)})
	}
	return out
}

// request reads what the egress was asked for.
func request(out *EgressState, info *livekit.EgressInfo) {
	type asked interface {
		GetStreamOutputs() []*livekit.StreamOutput
		GetFileOutputs() []*livekit.EncodedFileOutput
		GetSegmentOutputs() []*livekit.SegmentedFileOutput
		GetImageOutputs() []*livekit.ImageOutput
	}
	var ask asked
	switch r := info.Request.(type) {
	case *livekit.EgressInfo_RoomComposite:
		out.Type, ask = models.EgressRoomComposite, r.RoomComposite
		out.Layout = r.RoomComposite.GetLayout()
	case *livekit.EgressInfo_Participant:
		out.Type, ask = models.EgressParticipant, r.Participant
		out.Identity = r.Participant.GetIdentity()
	case *livekit.EgressInfo_TrackComposite:
		out.Type, ask = models.EgressTrackComposite, r.TrackComposite
		out.AudioTrackSID, out.VideoTrackSID = r.TrackComposite.GetAudioTrackId(), r.TrackComposite.GetVideoTrackId()
	case *livekit.EgressInfo_Web:
		out.Type, ask = models.EgressWeb, r.Web
		out.URL = r.Web.GetUrl()
	case *livekit.EgressInfo_Track:
		out.Type, out.TrackSID = models.EgressTrack, r.Track.GetTrackId()
		if file := r.Track.GetFile(); file != nil {
			out.add(models.EgressOutput{Kind: models.OutputFile, Path: file.Filepath})
		}
	}
	if ask == nil {
		return
	}
	for _, f := range ask.GetFileOutputs() {
		out.add(models.EgressOutput{Kind: models.OutputFile, Path: f.GetFilepath(), FileType: fileType(f.GetFileType())})
	}
	for _, s := range ask.GetSegmentOutputs() {
		out.add(models.EgressOutput{Kind: models.OutputHLS, Path: s.GetPlaylistName(), LivePlaylist: s.GetLivePlaylistName(), SegmentSeconds: int64(s.GetSegmentDuration())})
	}
	for _, s := range ask.GetStreamOutputs() {
		target := models.EgressOutput{Kind: models.OutputRTMP}
		for _, url := range s.GetUrls() {
			target.URLs = append(target.URLs, RedactStreamURL(url))
		}
		out.add(target)
	}
	for _, i := range ask.GetImageOutputs() {
		out.add(models.EgressOutput{Kind: models.OutputImages, Path: i.GetFilenamePrefix(), IntervalSeconds: int64(i.GetCaptureInterval()),
			Width: int64(i.GetWidth()), Height: int64(i.GetHeight())})
	}
}

func (s *EgressState) add(o models.EgressOutput) {
	s.Outputs = append(s.Outputs, o)
	if o.Path != "" {
		s.Paths = append(s.Paths, o.Path)
	}
}

func fileType(t livekit.EncodedFileType) string {
	if t == livekit.EncodedFileType_OGG {
		return "ogg"
	}
	return "mp4"
}

// withoutKeys gives an error whose text, which is logged, has no secret of a URL.
func withoutKeys(err error) error {
	if err == nil || !strings.Contains(err.Error(), "://") {
		return err
	}
	return keyless{err}
}

type keyless struct{ error }

// Error is the text without what is secret in URLs.
func (e keyless) Error() string { return WithoutPulled(RedactText(e.error.Error())) }

// Unwrap gives the error whose text may have them.
func (e keyless) Unwrap() error { return e.error }

// publicText is a text of LiveKit's as the tenant of a room may see it.
func publicText(text, room string) string {
	text = WithoutPulled(RedactText(text))
	if p, _, ours := models.SplitRoom(room); ours {
		text = strings.ReplaceAll(text, models.QualifyRoom(p, ""), "")
	}
	return text
}

func seconds(nanos int64) float64 { return float64(nanos/int64(time.Millisecond)) / 1000 }
