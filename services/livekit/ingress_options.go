package livekit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/livekit/protocol/livekit"

	"pulse-control-plane/models"
)

const (
	// MaxIngressBitrate bounds what an ingress publishes, in bit/s.
	MaxIngressBitrate = 100_000_000
	// maxLayers is how many qualities LiveKit has.
	maxLayers = 3
	// minPixels and maxPixels bound a width or height.
	minPixels, maxPixels = 16, 4096
)

// IngressAudioSources lists what the audio of an ingress may be published as, and
// IngressVideoSources the video.
func IngressAudioSources() []string { return []string{"microphone", "screen_share_audio"} }

// IngressVideoSources are as IngressAudioSources.
func IngressVideoSources() []string { return []string{"camera", "screen_share"} }

// IngressAudioCodecs and IngressVideoCodecs list the codecs of explicit values.
func IngressAudioCodecs() []string { return []string{"opus"} }

// IngressVideoCodecs are as IngressAudioCodecs.
func IngressVideoCodecs() []string { return []string{"h264_baseline", "vp8"} }

func ingressQualities() []string { return []string{"low", "medium", "high"} }

// CheckLayers checks the layers of simulcast in a field as LiveKit does: one of each
// quality, even sizes that grow with it.
func CheckLayers(field string, list []models.IngressLayer) (wrong []models.FieldError) {
	say := func(at, message string) { wrong = append(wrong, models.FieldError{Location: at, Message: message}) }
	if len(list) > maxLayers {
		say(field, fmt.Sprintf("must be at most %d items", maxLayers))
		return wrong
	}
	of := map[string]models.IngressLayer{}
	for i, layer := range list {
		at := fmt.Sprintf("%s[%d].", field, i)
		_, twice := of[layer.Quality]
		switch {
		case !slices.Contains(ingressQualities(), layer.Quality):
			say(at+"quality", "must be one of: low, medium, high")
		case twice:
			say(at+"quality", "must not repeat")
		}
		of[layer.Quality] = layer
		for name, size := range map[string]int64{"width": layer.Width, "height": layer.Height} {
			if size < minPixels || size > maxPixels || size%2 != 0 {
				say(at+name, fmt.Sprintf("must be an even number from %d to %d", minPixels, maxPixels))
			}
		}
		if layer.Bitrate < 0 || layer.Bitrate > MaxIngressBitrate {
			say(at+"bitrate", fmt.Sprintf("must be from 1 to %d", MaxIngressBitrate))
		}
	}
	var least models.IngressLayer
	for _, quality := range ingressQualities() {
		layer, given := of[quality]
		if !given {
			continue
		}
		if layer.Width < least.Width || layer.Height < least.Height {
			say(field, "must not be smaller at a higher quality")
			break
		}
		least = layer
	}
	return wrong
}

// audioAsked reads the options that ingressAudio wrote.
func audioAsked(in *livekit.IngressAudioOptions) *models.IngressAudio {
	if in == nil {
		return nil
	}
	out := &models.IngressAudio{Name: in.Name, Source: sourceAsked(in.Source)}
	switch e := in.EncodingOptions.(type) {
	case *livekit.IngressAudioOptions_Preset:
		out.Preset = strings.ToLower(e.Preset.String())
	case *livekit.IngressAudioOptions_Options:
		out.Bitrate, out.Channels, out.DisableDTX = int64(e.Options.GetBitrate()), int64(e.Options.GetChannels()), e.Options.GetDisableDtx()
		if e.Options.GetAudioCodec() == livekit.AudioCodec_OPUS {
			out.Codec = "opus"
		}
	}
	return out
}

// videoAsked reads the options that ingressVideo wrote.
func videoAsked(in *livekit.IngressVideoOptions) *models.IngressVideo {
	if in == nil {
		return nil
	}
	out := &models.IngressVideo{Name: in.Name, Source: sourceAsked(in.Source)}
	switch e := in.EncodingOptions.(type) {
	case *livekit.IngressVideoOptions_Preset:
		out.Preset = strings.ToLower(e.Preset.String())
	case *livekit.IngressVideoOptions_Options:
		out.FrameRate = e.Options.GetFrameRate()
		switch e.Options.GetVideoCodec() {
		case livekit.VideoCodec_H264_BASELINE:
			out.Codec = "h264_baseline"
		case livekit.VideoCodec_VP8:
			out.Codec = "vp8"
		}
		for _, l := range e.Options.GetLayers() {
			out.Layers = append(out.Layers, models.IngressLayer{Quality: strings.ToLower(l.Quality.String()), Width: int64(l.Width), Height: int64(l.Height), Bitrate: int64(l.Bitrate)})
		}
	}
	return out
}

func sourceAsked(s livekit.TrackSource) string {
	if s == livekit.TrackSource_UNKNOWN {
		return ""
	}
	return strings.ToLower(s.String())
}
