package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/media"
	"pulse-control-plane/utils/secret"
)

// Egress serves /v1/media/egress.
type Egress struct {
	requests *request.Reader
	service  *media.Egresses
}

// NewEgress makes the handlers of a service.
func NewEgress(r *request.Reader, s *media.Egresses) *Egress { return &Egress{r, s} }

// EgressInfo is a stream or recording out of a room. Id is LiveKit's (EG_…), or
// Pulse's (egr_…) until LiveKit confirmed the start and if it did not.
type EgressInfo struct {
	ID                  string              `json:"id"`
	Type                models.EgressType   `json:"type"`
	Status              models.EgressStatus `json:"status"`
	RoomName            string              `json:"room_name"`
	ParticipantIdentity string              `json:"participant_identity,omitzero"`
	TrackSID            string              `json:"track_sid,omitzero"`
	AudioTrackSID       string              `json:"audio_track_sid,omitzero"`
	VideoTrackSID       string              `json:"video_track_sid,omitzero"`
	URL                 string              `json:"url,omitzero"`
	Layout              string              `json:"layout,omitzero"`
	// Automatic is true if a recording setting started it, not a request.
	Automatic       bool           `json:"automatic"`
	Outputs         []EgressOutput `json:"outputs"`
	CreatedAt       time.Time      `json:"created_at"`
	StartedAt       *time.Time     `json:"started_at"`
	EndedAt         *time.Time     `json:"ended_at"`
	DurationSeconds float64        `json:"duration_seconds"`
	Results         []EgressResult `json:"results"`
	Error           *string        `json:"error"`
}

// EgressOutput is what an egress was asked to make. Stream keys in urls are
// redacted.
type EgressOutput struct {
	Kind            models.OutputKind `json:"kind"`
	FileType        string            `json:"file_type,omitzero"`
	Path            string            `json:"path,omitzero"`
	LivePlaylist    string            `json:"live_playlist,omitzero"`
	SegmentSeconds  int64             `json:"segment_seconds,omitzero"`
	IntervalSeconds int64             `json:"interval_seconds,omitzero"`
	Width           int64             `json:"width,omitzero"`
	Height          int64             `json:"height,omitzero"`
	URLs            []string          `json:"urls,omitzero"`
}

// EgressResult is what an egress made.
type EgressResult struct {
	Kind            models.OutputKind `json:"kind"`
	Path            string            `json:"path"`
	Playlist        string            `json:"playlist,omitzero"`
	SizeBytes       int64             `json:"size_bytes"`
	DurationSeconds float64           `json:"duration_seconds"`
	URL             string            `json:"url,omitzero"`
	Error           string            `json:"error,omitzero"`
}

func renderEgress(now time.Time) func(models.Egress) EgressInfo {
	return func(e models.Egress) EgressInfo {
		out := EgressInfo{ID: e.PublicID(), Type: e.Type, Status: e.Status, RoomName: e.RoomName, ParticipantIdentity: e.ParticipantIdentity,
			TrackSID: e.TrackSID, AudioTrackSID: e.AudioTrackSID, VideoTrackSID: e.VideoTrackSID, URL: e.URL, Layout: e.Layout, Automatic: e.Automatic,
			Outputs: make([]EgressOutput, len(e.Outputs)), CreatedAt: instant(e.CreatedAt), StartedAt: instantOrNull(e.StartedAt),
			DurationSeconds: e.Duration(now).Seconds(), Results: make([]EgressResult, len(e.Results))}
		for i := range e.Outputs {
			o := &e.Outputs[i]
			out.Outputs[i] = EgressOutput{Kind: o.Kind, FileType: o.FileType, Path: o.Path, LivePlaylist: o.LivePlaylist, SegmentSeconds: o.SegmentSeconds,
				IntervalSeconds: o.IntervalSeconds, Width: o.Width, Height: o.Height, URLs: o.URLs}
		}
		for i := range e.Results {
			out.Results[i] = EgressResult(e.Results[i])
		}
		if !e.Open {
			out.EndedAt = instantOrNull(e.EndedAt)
		}
		if e.Error != "" {
			out.Error = &e.Error
		}
		return out
	}
}

// startEgressRequest is checked by the service, which alone knows what a type takes:
// every wrong value is reported at once.
type startEgressRequest struct {
	RoomName            string            `json:"room_name,case:ignore"`
	Type                models.EgressType `json:"type"`
	ParticipantIdentity string            `json:"participant_identity,case:ignore"`
	ScreenShare         bool              `json:"screen_share,case:ignore"`
	TrackSID            string            `json:"track_sid,case:ignore"`
	AudioTrackSID       string            `json:"audio_track_sid,case:ignore"`
	VideoTrackSID       string            `json:"video_track_sid,case:ignore"`
	URL                 string            `json:"url"`
	AwaitStartSignal    bool              `json:"await_start_signal,case:ignore"`
	Layout              string            `json:"layout"`
	AudioOnly           bool              `json:"audio_only,case:ignore"`
	VideoOnly           bool              `json:"video_only,case:ignore"`
	Encoding            encodingRequest   `json:"encoding"`
	Outputs             []outputRequest   `json:"outputs"`
}

type outputRequest struct {
	Kind            models.OutputKind `json:"kind"`
	FileType        string            `json:"file_type,case:ignore"`
	SegmentSeconds  int64             `json:"segment_seconds,case:ignore"`
	LivePlaylist    bool              `json:"live_playlist,case:ignore"`
	IntervalSeconds int64             `json:"interval_seconds,case:ignore"`
	Width           int64             `json:"width"`
	Height          int64             `json:"height"`
	URLs            []string          `json:"urls"`
}

// encodingRequest is the name of a preset, or an object of explicit values.
type encodingRequest struct {
	Preset           string  `json:"preset"`
	Width            int64   `json:"width"`
	Height           int64   `json:"height"`
	Framerate        int64   `json:"framerate"`
	VideoCodec       string  `json:"video_codec,case:ignore"`
	VideoBitrate     int64   `json:"video_bitrate,case:ignore"`
	AudioCodec       string  `json:"audio_codec,case:ignore"`
	AudioBitrate     int64   `json:"audio_bitrate,case:ignore"`
	AudioFrequency   int64   `json:"audio_frequency,case:ignore"`
	KeyFrameInterval float64 `json:"key_frame_interval,case:ignore"`
}

func secrets(list []string) []secret.Value {
	out := make([]secret.Value, len(list))
	for i, text := range list {
		out[i] = secret.New(text)
	}
	return out
}

// Start starts an egress.
func (h *Egress) Start(c *gin.Context) error {
	var in startEgressRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	ask := media.EgressInput{Project: project, Type: in.Type, RoomName: in.RoomName, ParticipantIdentity: in.ParticipantIdentity, ScreenShare: in.ScreenShare,
		TrackSID: in.TrackSID, AudioTrackSID: in.AudioTrackSID, VideoTrackSID: in.VideoTrackSID, URL: in.URL, AwaitStartSignal: in.AwaitStartSignal,
		Layout: in.Layout, AudioOnly: in.AudioOnly, VideoOnly: in.VideoOnly, Encoding: livekit.Encoding(in.Encoding)}
	for i := range in.Outputs {
		o := &in.Outputs[i]
		ask.Outputs = append(ask.Outputs, media.OutputInput{Live: o.LivePlaylist, Targets: secrets(o.URLs), EgressOutput: models.EgressOutput{Kind: o.Kind,
			FileType: o.FileType, SegmentSeconds: o.SegmentSeconds, IntervalSeconds: o.IntervalSeconds, Width: o.Width, Height: o.Height}})
	}
	out, err := h.service.Start(c.Request.Context(), actor(c), ask)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, h.render(out))
}

func (h *Egress) render(e models.Egress) EgressInfo { return renderEgress(h.service.Now())(e) }

type stopEgressRequest struct {
	EgressID string `json:"egress_id,case:ignore" validate:"required,maxbytes=128"`
}

// Stop ends an egress.
func (h *Egress) Stop(c *gin.Context) error {
	var in stopEgressRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	out, err := h.service.Stop(c.Request.Context(), actor(c), project, in.EgressID)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, h.render(out))
}

// List returns a page of the project's egresses, newest first.
func (h *Egress) List(c *gin.Context) error {
	q := request.NewQuery(c)
	ask := media.EgressQuery{Project: projectOf(q), Status: oneOf(q, "status", models.EgressStatuses()...), RoomName: q.Text("room_name")}
	page := pageOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), caller(c), ask, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderEgress(h.service.Now())))
}

// Get returns an egress by either of its ids.
func (h *Egress) Get(c *gin.Context) error {
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	out, err := h.service.Get(c.Request.Context(), caller(c), project, c.Param("id"))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, h.render(out))
}

type patchEgressRequest struct {
	Layout     *string  `json:"layout"`
	AddURLs    []string `json:"add_urls,case:ignore"`
	RemoveURLs []string `json:"remove_urls,case:ignore"`
}

// Patch changes the layout or the targets of a running egress.
func (h *Egress) Patch(c *gin.Context) error {
	var in patchEgressRequest
	if err := h.requests.Patch(c, &in); err != nil {
		return err
	}
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	out, err := h.service.Update(c.Request.Context(), actor(c), project, c.Param("id"),
		media.EgressUpdate{Layout: in.Layout, AddURLs: secrets(in.AddURLs), RemovedURLs: secrets(in.RemoveURLs)})
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, h.render(out))
}

// UnmarshalJSON takes the name of a preset, or an object.
func (e *encodingRequest) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &e.Preset)
	}
	type plain encodingRequest // without this method
	return json.Unmarshal(data, (*plain)(e), json.RejectUnknownMembers(true))
}
