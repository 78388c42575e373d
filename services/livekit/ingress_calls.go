package livekit

import (
	"context"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

// pullTimeout bounds making an ingress that pulls a URL: LiveKit asks its workers to
// begin, and answers when one has.
const pullTimeout = 10 * time.Second

// IngressRequest makes or changes an ingress. Room and Name are qualified; nil and
// empty fields leave LiveKit's default, or what is there.
type IngressRequest struct {
	Input                                          models.IngressInput
	URL                                            secret.Value
	Name, Room                                     string
	Identity, ParticipantName, ParticipantMetadata string
	Transcode, Enabled                             *bool
	Audio                                          *models.IngressAudio
	Video                                          *models.IngressVideo
}

// IngressState is an ingress as LiveKit reports it. StreamKey is what an encoder
// pushes with; the times are of its latest run.
type IngressState struct {
	ID, Name, Room, URL, Error    string
	StreamKey                     secret.Value
	Status                        models.IngressStatus
	StartedAt, EndedAt, UpdatedAt time.Time

	Identity, ParticipantName, ParticipantMetadata string
	Transcode, Enabled                             bool
	// Audio and Video are nil where nothing was asked for.
	Audio *models.IngressAudio
	Video *models.IngressVideo
}

// IngressAudioPresets lists the names of presets in lower case; IngressVideoPresets
// those of video.
func IngressAudioPresets() []string { return lowered(livekit.IngressAudioEncodingPreset_name) }

// IngressVideoPresets are as IngressAudioPresets.
func IngressVideoPresets() []string { return lowered(livekit.IngressVideoEncodingPreset_name) }

func lowered(names map[int32]string) []string {
	out := make([]string, len(names))
	for i := range out {
		out[i] = strings.ToLower(names[int32(i)])
	}
	return out
}

// CreateIngress makes an ingress. Errors are those of called; unavailable may mean
// that LiveKit made it nevertheless.
func (l *Client) CreateIngress(ctx context.Context, r *IngressRequest) (IngressState, error) {
	within := CallTimeout
	if r.Input == models.IngressURL {
		within = pullTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	info, err := l.ingress.CreateIngress(ctx, &livekit.CreateIngressRequest{InputType: inputType(r.Input), Url: r.URL.Reveal(), Name: r.Name, RoomName: r.Room,
		ParticipantIdentity: r.Identity, ParticipantName: r.ParticipantName, ParticipantMetadata: r.ParticipantMetadata,
		EnableTranscoding: r.Transcode, Enabled: r.Enabled, Audio: ingressAudio(r.Audio), Video: ingressVideo(r.Video)})
	if err != nil {
		return IngressState{}, called(err)
	}
	return ingressState(info), nil
}

// UpdateIngress changes an ingress; not_found if LiveKit does not know it.
func (l *Client) UpdateIngress(ctx context.Context, id string, r *IngressRequest) (IngressState, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	info, err := l.ingress.UpdateIngress(ctx, &livekit.UpdateIngressRequest{IngressId: id, Name: r.Name, RoomName: r.Room,
		ParticipantIdentity: r.Identity, ParticipantName: r.ParticipantName, ParticipantMetadata: r.ParticipantMetadata,
		EnableTranscoding: r.Transcode, Enabled: r.Enabled, Audio: ingressAudio(r.Audio), Video: ingressVideo(r.Video)})
	if err != nil {
		return IngressState{}, called(err)
	}
	return ingressState(info), nil
}

// DeleteIngress ends an ingress and what it publishes; one that LiveKit does not know
// is not an error.
func (l *Client) DeleteIngress(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	_, err := l.ingress.DeleteIngress(ctx, &livekit.DeleteIngressRequest{IngressId: id})
	if isGone(err) {
		return nil
	}
	return called(err)
}

// ListIngresses lists the ingresses of the cluster, or ("" is all) of a room by its
// qualified name.
func (l *Client) ListIngresses(ctx context.Context, room string) ([]IngressState, error) {
	return l.listIngress(ctx, &livekit.ListIngressRequest{RoomName: room})
}

// GetIngress reads an ingress; not_found if LiveKit does not know it.
func (l *Client) GetIngress(ctx context.Context, id string) (IngressState, error) {
	return first(l.listIngress(ctx, &livekit.ListIngressRequest{IngressId: id}))
}

func (l *Client) listIngress(ctx context.Context, ask *livekit.ListIngressRequest) ([]IngressState, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	list, err := l.ingress.ListIngress(ctx, ask)
	if err != nil {
		return nil, called(err)
	}
	return converted(list.Items, ingressState), nil
}

func inputType(i models.IngressInput) livekit.IngressInput {
	switch i {
	case models.IngressWHIP:
		return livekit.IngressInput_WHIP_INPUT
	case models.IngressURL:
		return livekit.IngressInput_URL_INPUT
	case models.IngressRTMP:
	}
	return livekit.IngressInput_RTMP_INPUT
}

func ingressAudio(a *models.IngressAudio) *livekit.IngressAudioOptions {
	if a == nil {
		return nil
	}
	out := &livekit.IngressAudioOptions{Name: a.Name, Source: trackSource(a.Source)}
	explicit := models.IngressAudio{Codec: a.Codec, Bitrate: a.Bitrate, Channels: a.Channels, DisableDTX: a.DisableDTX}
	switch {
	case a.Preset != "":
		out.EncodingOptions = &livekit.IngressAudioOptions_Preset{Preset: livekit.IngressAudioEncodingPreset(livekit.IngressAudioEncodingPreset_value[strings.ToUpper(a.Preset)])}
	case explicit != models.IngressAudio{}:
		o := &livekit.IngressAudioEncodingOptions{Bitrate: uint32(a.Bitrate), Channels: uint32(a.Channels), DisableDtx: a.DisableDTX}
		if a.Codec == "opus" {
			o.AudioCodec = livekit.AudioCodec_OPUS
		}
		out.EncodingOptions = &livekit.IngressAudioOptions_Options{Options: o}
	}
	return out
}

func ingressVideo(v *models.IngressVideo) *livekit.IngressVideoOptions {
	if v == nil {
		return nil
	}
	out := &livekit.IngressVideoOptions{Name: v.Name, Source: trackSource(v.Source)}
	switch {
	case v.Preset != "":
		out.EncodingOptions = &livekit.IngressVideoOptions_Preset{Preset: livekit.IngressVideoEncodingPreset(livekit.IngressVideoEncodingPreset_value[strings.ToUpper(v.Preset)])}
	case v.Codec != "" || v.FrameRate != 0 || len(v.Layers) > 0:
		o := &livekit.IngressVideoEncodingOptions{FrameRate: v.FrameRate}
		switch v.Codec {
		case "h264_baseline":
			o.VideoCodec = livekit.VideoCodec_H264_BASELINE
		case "vp8":
			o.VideoCodec = livekit.VideoCodec_VP8
		}
		for _, layer := range v.Layers {
			o.Layers = append(o.Layers, &livekit.VideoLayer{Quality: livekit.VideoQuality(livekit.VideoQuality_value[strings.ToUpper(layer.Quality)]),
				Width: uint32(layer.Width), Height: uint32(layer.Height), Bitrate: uint32(layer.Bitrate)})
		}
		out.EncodingOptions = &livekit.IngressVideoOptions_Options{Options: o}
	}
	return out
}

func trackSource(name string) livekit.TrackSource {
	return livekit.TrackSource(livekit.TrackSource_value[strings.ToUpper(name)])
}
