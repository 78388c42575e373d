package routes_test

import (
	"net/http"
	"strings"
	"testing"
)

// ingressBounds are the limits of the fields of /v1/media/ingress.
func ingressBounds(ada tenant) []bound {
	x := func(n int) string { return strings.Repeat("x", n) }
	create, patch := "/v1/media/ingress/create", "/v1/media/ingress/IN_x"
	rtmp := map[string]any{"input_type": "rtmp", "room_name": "hall", "participant_identity": "obs"}
	but := func(more ...any) map[string]any {
		out := map[string]any{}
		for name, value := range rtmp {
			out[name] = value
		}
		for i := 0; i < len(more); i += 2 {
			out[more[i].(string)] = more[i+1]
		}
		return out
	}
	pull := but("input_type", "url")
	options := func(name string, value any) map[string]any {
		return map[string]any{"options": map[string]any{name: value}}
	}
	layer := func(quality string, width, height int) map[string]any {
		return map[string]any{"quality": quality, "width": width, "height": height}
	}
	all := []bound{
		{method: "POST", path: create, base: rtmp, field: "input_type", fits: []any{"rtmp", "whip"}, over: []any{"", "srt", 1}},
		{method: "POST", path: create, base: rtmp, field: "room_name", fits: []any{"x", x(128), "日本"}, over: []any{"", x(129), 1}, unsaid: []any{"a/b", "..{"}},
		{method: "POST", path: create, base: rtmp, field: "participant_identity", fits: []any{x(256)}, over: []any{"", x(257), 1}, unsaid: []any{strings.Repeat("ü", 129)}},
		{method: "POST", path: create, base: rtmp, field: "participant_name", fits: []any{"", x(256)}, over: []any{x(257), 1}},
		{method: "POST", path: create, base: rtmp, field: "participant_metadata", fits: []any{"", x(32768)}, over: []any{x(32769), 1}},
		{method: "POST", path: create, base: rtmp, field: "name", fits: []any{"", x(256)}, over: []any{x(257), 1}},
		{method: "POST", path: create, base: rtmp, field: "enabled", fits: []any{true, false}, over: []any{1, "true"}},
		{method: "POST", path: create, base: rtmp, field: "enable_transcoding", fits: []any{true}, over: []any{1, "true"}, unsaid: []any{false}},
		{method: "POST", path: create, base: but("input_type", "whip"), field: "enable_transcoding", fits: []any{true, false}},
		{method: "POST", path: create, base: pull, field: "url", fits: []any{"https://8.8.8.8/live.m3u8", "http://8.8.8.8/x", "srt://8.8.8.8:9000?streamid=x"},
			over: []any{"https://8.8.8.8/" + x(2033), 1}, unsaid: []any{"", "rtmp://8.8.8.8/live", "file:///etc/passwd", "https://127.0.0.1/", "http://10.1.2.3/",
				"https://[::1]/", "http://169.254.169.254/latest", "srt://100.64.0.1:1", "https://[64:ff9b::a9fe:a9fe]/", "http://0x7f.1/", "http:/8.8.8.8"}},
		{method: "POST", path: create, base: rtmp, field: "url", unsaid: []any{"https://8.8.8.8/"}},
		{method: "POST", path: create, base: but("input_type", "url", "url", "https://8.8.8.8/"), field: "enabled", fits: []any{true}, unsaid: []any{false}},
		{method: "POST", path: create, base: rtmp, field: "audio", fits: []any{map[string]any{}, map[string]any{"preset": "OPUS_MONO_64KBS", "source": "MICROPHONE", "name": x(256)},
			map[string]any{"source": "screen_share_audio", "options": map[string]any{"audio_codec": "OPUS", "bitrate": 64000, "channels": 1, "disable_dtx": true}}}, over: []any{1, "opus"}},
		{method: "POST", path: create, base: rtmp, field: "audio", inside: ".name", over: []any{map[string]any{"name": x(257)}}},
		{method: "POST", path: create, base: rtmp, field: "audio", inside: ".source", unsaid: []any{map[string]any{"source": "camera"}}},
		{method: "POST", path: create, base: rtmp, field: "audio", inside: ".preset", unsaid: []any{map[string]any{"preset": "aac"}}},
		{method: "POST", path: create, base: rtmp, field: "audio", inside: ".options.audio_codec", unsaid: []any{options("audio_codec", "aac")}},
		{method: "POST", path: create, base: rtmp, field: "audio", inside: ".options.channels", over: []any{options("channels", 3), options("channels", -1)}},
		{method: "POST", path: create, base: rtmp, field: "audio", inside: ".options.bitrate", over: []any{options("bitrate", 100000001)}},
		{method: "POST", path: create, base: but("input_type", "whip"), field: "audio", inside: ".preset", unsaid: []any{map[string]any{"preset": "opus_mono_64kbs"}}},
		{method: "POST", path: create, base: rtmp, field: "video", fits: []any{map[string]any{}, map[string]any{"preset": "h264_1080p_30fps_1_layer", "source": "screen_share"},
			map[string]any{"options": map[string]any{"video_codec": "VP8", "frame_rate": 29.97, "layers": []any{layer("LOW", 320, 180), layer("high", 1280, 720)}}}}, over: []any{1}},
		{method: "POST", path: create, base: rtmp, field: "video", inside: ".preset", unsaid: []any{map[string]any{"preset": "x"}, map[string]any{"preset": "h264_720p_30fps_1_layer", "options": map[string]any{"video_codec": "vp8"}}}},
		{method: "POST", path: create, base: rtmp, field: "video", inside: ".options.video_codec", unsaid: []any{options("video_codec", "h264_high")}},
		{method: "POST", path: create, base: rtmp, field: "video", inside: ".options.frame_rate", over: []any{options("frame_rate", 121)}},
		{method: "POST", path: create, base: rtmp, field: "video", inside: ".options.layers", over: []any{options("layers", []any{layer("low", 16, 16), layer("medium", 16, 16), layer("high", 16, 16), layer("x", 16, 16)})},
			unsaid: []any{options("layers", []any{layer("low", 640, 360), layer("high", 320, 180)})}},
		{method: "POST", path: create, base: rtmp, field: "video", inside: ".options.layers[0].width", over: []any{options("layers", []any{layer("low", 17, 16)}), options("layers", []any{layer("low", 4098, 16)})}},
		{method: "POST", path: create, base: rtmp, field: "video", inside: ".options.layers[0].quality", unsaid: []any{options("layers", []any{layer("best", 16, 16)})}},
		{method: "PATCH", path: patch, field: "name", fits: []any{nil, "", x(256)}, over: []any{1}},
		{method: "PATCH", path: patch, field: "room_name", fits: []any{"hall"}, over: []any{1, nil}},
		{method: "PATCH", path: patch, field: "participant_identity", fits: []any{"obs"}, over: []any{1, nil}},
		{method: "PATCH", path: patch, field: "participant_name", fits: []any{"OBS"}, over: []any{1, nil}},
		{method: "PATCH", path: patch, field: "participant_metadata", fits: []any{"m"}, over: []any{1, nil}},
		{method: "PATCH", path: patch, field: "enabled", fits: []any{true}, over: []any{1, nil}},
		{method: "PATCH", path: patch, field: "enable_transcoding", fits: []any{true}, over: []any{1, nil}},
		{method: "PATCH", path: patch, field: "audio", fits: []any{map[string]any{}}, over: []any{1, nil}},
		{method: "PATCH", path: patch, field: "video", fits: []any{map[string]any{}}, over: []any{1, nil}},
	}
	for i := range all {
		all[i].caller = ada.asOwn
	}
	return all
}

func TestEveryWrongFieldOfAnIngressIsReportedAtOnce(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.do(http.MethodPost, "/v1/media/ingress/create", map[string]any{"input_type": "url", "room_name": "a/b", "enabled": false, "enable_transcoding": false,
		"url": "https://10.0.0.1/live", "audio": map[string]any{"preset": "x", "options": map[string]any{"channels": 2}},
		"video": map[string]any{"source": "y", "options": map[string]any{"layers": []any{map[string]any{"quality": "low", "width": 32, "height": 31}}}}}, ada.asOwn).
		refused(http.StatusBadRequest, "invalid_request", "body.url", "body.enabled", "body.participant_identity", "body.room_name", "body.enable_transcoding",
			"body.audio.preset", "body.audio.options", "body.video.source", "body.video.options", "body.video.options.layers[0].height")
}
