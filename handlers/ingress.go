package handlers

import (
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/ingress"
	"pulse-control-plane/utils/secret"
)

// Ingress serves /v1/media/ingress.
type Ingress struct {
	requests *request.Reader
	service  *ingress.Ingresses
}

// NewIngress makes the handlers of a service.
func NewIngress(r *request.Reader, s *ingress.Ingresses) *Ingress { return &Ingress{r, s} }

// IngressInfo is a stream into a room. URL is where an encoder pushes to, or what is
// pulled, without its query and user; null where LiveKit names none. StartedAt and
// EndedAt are of its latest run.
type IngressInfo struct {
	ID                  string               `json:"id"`
	InputType           models.IngressInput  `json:"input_type"`
	Name                string               `json:"name"`
	Status              models.IngressStatus `json:"status"`
	URL                 *string              `json:"url"`
	RoomName            string               `json:"room_name"`
	ParticipantIdentity string               `json:"participant_identity"`
	ParticipantName     string               `json:"participant_name"`
	ParticipantMetadata string               `json:"participant_metadata"`
	Reusable            bool                 `json:"reusable"`
	Enabled             bool                 `json:"enabled"`
	EnableTranscoding   bool                 `json:"enable_transcoding"`
	Audio               *IngressAudio        `json:"audio"`
	Video               *IngressVideo        `json:"video"`
	StartedAt           *time.Time           `json:"started_at"`
	EndedAt             *time.Time           `json:"ended_at"`
	Error               *string              `json:"error"`
	CreatedAt           time.Time            `json:"created_at"`
	UpdatedAt           time.Time            `json:"updated_at"`
}

// IngressAudio is how audio is published: by a preset or by options.
type IngressAudio struct {
	Name    string               `json:"name,omitzero"`
	Source  string               `json:"source,omitzero"`
	Preset  string               `json:"preset,omitzero"`
	Options *IngressAudioOptions `json:"options,omitzero"`
}

// IngressAudioOptions are explicit values; bitrate is in bit/s.
type IngressAudioOptions struct {
	Codec      string `json:"audio_codec,omitzero,case:ignore"`
	Bitrate    int64  `json:"bitrate,omitzero"`
	Channels   int64  `json:"channels,omitzero"`
	DisableDTX bool   `json:"disable_dtx,omitzero,case:ignore"`
}

// IngressVideo is how video is published: by a preset or by options.
type IngressVideo struct {
	Name    string               `json:"name,omitzero"`
	Source  string               `json:"source,omitzero"`
	Preset  string               `json:"preset,omitzero"`
	Options *IngressVideoOptions `json:"options,omitzero"`
}

// IngressVideoOptions are explicit values.
type IngressVideoOptions struct {
	Codec     string         `json:"video_codec,omitzero,case:ignore"`
	FrameRate float64        `json:"frame_rate,omitzero,case:ignore"`
	Layers    []IngressLayer `json:"layers,omitzero"`
}

// IngressLayer is a layer of simulcast; bitrate is in bit/s.
type IngressLayer struct {
	Quality string `json:"quality"`
	Width   int64  `json:"width"`
	Height  int64  `json:"height"`
	Bitrate int64  `json:"bitrate,omitzero"`
}

// CreatedIngress is a new ingress with the key that its encoder pushes with, which is
// shown this once; null for what is pulled from a URL.
type CreatedIngress struct {
	Ingress   IngressInfo `json:"ingress"`
	StreamKey *string     `json:"stream_key"`
}

func (a *IngressAudio) model() *models.IngressAudio {
	if a == nil {
		return nil
	}
	out := &models.IngressAudio{Name: a.Name, Source: strings.ToLower(a.Source), Preset: strings.ToLower(a.Preset)}
	if o := a.Options; o != nil {
		out.Codec, out.Bitrate, out.Channels, out.DisableDTX = strings.ToLower(o.Codec), o.Bitrate, o.Channels, o.DisableDTX
	}
	return out
}

func (v *IngressVideo) model() *models.IngressVideo {
	if v == nil {
		return nil
	}
	out := &models.IngressVideo{Name: v.Name, Source: strings.ToLower(v.Source), Preset: strings.ToLower(v.Preset)}
	if o := v.Options; o != nil {
		out.Codec, out.FrameRate = strings.ToLower(o.Codec), o.FrameRate
		for _, layer := range o.Layers {
			layer.Quality = strings.ToLower(layer.Quality)
			out.Layers = append(out.Layers, models.IngressLayer(layer))
		}
	}
	return out
}

func renderIngressAudio(a *models.IngressAudio) *IngressAudio {
	if a == nil {
		return nil
	}
	out := &IngressAudio{Name: a.Name, Source: a.Source, Preset: a.Preset}
	if o := (IngressAudioOptions{Codec: a.Codec, Bitrate: a.Bitrate, Channels: a.Channels, DisableDTX: a.DisableDTX}); o != (IngressAudioOptions{}) {
		out.Options = &o
	}
	return out
}

func renderIngressVideo(v *models.IngressVideo) *IngressVideo {
	if v == nil {
		return nil
	}
	out := &IngressVideo{Name: v.Name, Source: v.Source, Preset: v.Preset}
	if v.Codec != "" || v.FrameRate != 0 || len(v.Layers) > 0 {
		out.Options = &IngressVideoOptions{Codec: v.Codec, FrameRate: v.FrameRate}
		for _, layer := range v.Layers {
			out.Options.Layers = append(out.Options.Layers, IngressLayer(layer))
		}
	}
	return out
}

func renderIngress(i models.Ingress) IngressInfo {
	out := IngressInfo{ID: i.PublicID(), InputType: i.InputType, Name: i.Name, Status: i.Status, RoomName: i.RoomName, ParticipantIdentity: i.ParticipantIdentity,
		ParticipantName: i.ParticipantName, ParticipantMetadata: i.ParticipantMetadata, Reusable: i.InputType.Reusable(), Enabled: i.Enabled,
		EnableTranscoding: i.EnableTranscoding, Audio: renderIngressAudio(i.Audio), Video: renderIngressVideo(i.Video),
		StartedAt: instantOrNull(i.StartedAt), EndedAt: instantOrNull(i.EndedAt), CreatedAt: instant(i.CreatedAt), UpdatedAt: instant(i.UpdatedAt)}
	if i.URL != "" {
		out.URL = &i.URL
	}
	if i.Error != "" {
		out.Error = &i.Error
	}
	return out
}

// createIngressRequest is checked by the service, which alone knows what an input
// takes: every wrong value is reported at once.
type createIngressRequest struct {
	InputType           models.IngressInput `json:"input_type,case:ignore"`
	Name                string              `json:"name"`
	RoomName            string              `json:"room_name,case:ignore"`
	ParticipantIdentity string              `json:"participant_identity,case:ignore"`
	ParticipantName     string              `json:"participant_name,case:ignore"`
	ParticipantMetadata string              `json:"participant_metadata,case:ignore"`
	URL                 string              `json:"url"`
	EnableTranscoding   *bool               `json:"enable_transcoding,case:ignore"`
	Enabled             *bool               `json:"enabled"`
	Audio               *IngressAudio       `json:"audio"`
	Video               *IngressVideo       `json:"video"`
}

// inputType takes the name of an input in any case, also as LiveKit spells it:
// RTMP_INPUT.
func inputType(name models.IngressInput) models.IngressInput {
	return models.IngressInput(strings.TrimSuffix(strings.ToLower(string(name)), "_input"))
}

// Create makes an ingress.
func (h *Ingress) Create(c *gin.Context) error {
	var in createIngressRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	made, key, err := h.service.Create(c.Request.Context(), actor(c), ingress.Input{Project: project, InputType: inputType(in.InputType), Name: in.Name, RoomName: in.RoomName,
		ParticipantIdentity: in.ParticipantIdentity, ParticipantName: in.ParticipantName, ParticipantMetadata: in.ParticipantMetadata,
		URL: secret.New(in.URL), Transcode: in.EnableTranscoding, Enabled: in.Enabled, Audio: in.Audio.model(), Video: in.Video.model()})
	if err != nil {
		return err
	}
	out := CreatedIngress{Ingress: renderIngress(made)}
	if text := key.Reveal(); text != "" {
		out.StreamKey = &text
	}
	return answer(c, http.StatusCreated, out)
}

// List returns a page of the project's ingresses, newest first.
func (h *Ingress) List(c *gin.Context) error {
	q := request.NewQuery(c)
	ask := ingress.Query{Project: projectOf(q), Status: oneOf(q, "status", models.IngressStatuses()...), RoomName: q.Text("room_name")}
	page := pageOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), caller(c), ask, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderIngress))
}

// Get returns an ingress.
func (h *Ingress) Get(c *gin.Context) error {
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	out, err := h.service.Get(c.Request.Context(), caller(c), project, c.Param("id"))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderIngress(out))
}

type patchIngressRequest struct {
	Name                request.Clearable[string] `json:"name"`
	RoomName            *string                   `json:"room_name,case:ignore"`
	ParticipantIdentity *string                   `json:"participant_identity,case:ignore"`
	ParticipantName     *string                   `json:"participant_name,case:ignore"`
	ParticipantMetadata *string                   `json:"participant_metadata,case:ignore"`
	EnableTranscoding   *bool                     `json:"enable_transcoding,case:ignore"`
	Enabled             *bool                     `json:"enabled"`
	Audio               *IngressAudio             `json:"audio"`
	Video               *IngressVideo             `json:"video"`
}

// Patch changes an ingress.
func (h *Ingress) Patch(c *gin.Context) error {
	var in patchIngressRequest
	if err := h.requests.Patch(c, &in); err != nil {
		return err
	}
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	out, err := h.service.Update(c.Request.Context(), actor(c), project, c.Param("id"), ingress.Update{Name: in.Name.Value, RoomName: in.RoomName,
		ParticipantIdentity: in.ParticipantIdentity, ParticipantName: in.ParticipantName, ParticipantMetadata: in.ParticipantMetadata,
		Transcode: in.EnableTranscoding, Enabled: in.Enabled, Audio: in.Audio.model(), Video: in.Video.model()})
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderIngress(out))
}

// Delete ends an ingress and what it publishes.
func (h *Ingress) Delete(c *gin.Context) error {
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	if err := h.service.Delete(c.Request.Context(), actor(c), project, c.Param("id")); err != nil {
		return err
	}
	return done(c)
}
