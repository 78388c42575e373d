package routes_test

import (
	"net/http"
	"strings"
	"testing"
)

// toRTMP is an output that needs neither storage nor look-up.
func toRTMP() []any {
	return []any{map[string]any{"kind": "rtmp", "urls": []any{"rtmp://8.8.8.8/live/s3cr3t-key"}}}
}

// egressBounds are the limits of the fields of /v1/media/egress.
func egressBounds(ada tenant) []bound {
	x := func(n int) string { return strings.Repeat("x", n) }
	start, file := "/v1/media/egress/start", []any{map[string]any{"kind": "file"}}
	room := map[string]any{"type": "room_composite", "room_name": "hall", "outputs": file}
	but := func(base map[string]any, more ...any) map[string]any {
		out := map[string]any{}
		for name, value := range base {
			out[name] = value
		}
		for i := 0; i < len(more); i += 2 {
			out[more[i].(string)] = more[i+1]
		}
		return out
	}
	participant := but(room, "type", "participant", "participant_identity", "ann")
	web := but(room, "type", "web", "url", "https://8.8.8.8/")
	output := func(more ...any) []any { return []any{but(map[string]any{}, more...)} }
	all := []bound{
		{method: "POST", path: start, base: but(room, "url", nil), field: "type", fits: []any{"room_composite"}, over: []any{"", "room", 1}},
		{method: "POST", path: start, base: room, field: "room_name", fits: []any{"x", x(128), "日本"}, over: []any{x(129), 1}, unsaid: []any{"", "a/b", "..{"}},
		{method: "POST", path: start, base: participant, field: "participant_identity", fits: []any{x(256)}, over: []any{x(257), 1}, unsaid: []any{""}},
		{method: "POST", path: start, base: participant, field: "screen_share", fits: []any{true, false}, over: []any{1, "true"}},
		{method: "POST", path: start, base: but(room, "type", "track"), field: "track_sid", fits: []any{x(128)}, over: []any{x(129), 1}, unsaid: []any{""}},
		{method: "POST", path: start, base: but(room, "type", "track_composite"), field: "audio_track_sid", fits: []any{x(128)}, over: []any{x(129), 1}},
		{method: "POST", path: start, base: but(room, "type", "track_composite"), field: "video_track_sid", fits: []any{x(128)}, over: []any{x(129), 1}, unsaid: []any{""}},
		{method: "POST", path: start, base: web, field: "url", fits: []any{"https://8.8.8.8/page?x=1", "http://8.8.8.8"}, over: []any{"https://8.8.8.8/" + x(2033), 1},
			unsaid: []any{"", "ftp://8.8.8.8/", "https://127.0.0.1/", "https://10.1.2.3/", "https://[::1]/", "https://169.254.169.254/", "https://100.64.0.1/", "https://[64:ff9b::a9fe:a9fe]/"}},
		{method: "POST", path: start, base: web, field: "await_start_signal", fits: []any{true}, over: []any{1, "true"}},
		{method: "POST", path: start, base: room, field: "layout", fits: []any{"grid", "speaker-light"}, over: []any{1}, unsaid: []any{"circle"}},
		{method: "POST", path: start, base: room, field: "audio_only", fits: []any{true}, over: []any{1, "true"}},
		{method: "POST", path: start, base: room, field: "video_only", fits: []any{true}, over: []any{1, "true"}},
		{method: "POST", path: start, base: room, field: "encoding", fits: []any{"h264_720p_30", "H264_1080P_60", map[string]any{"preset": "h264_720p_30"},
			map[string]any{"width": 4096, "height": 16, "framerate": 120, "video_bitrate": 100000, "audio_bitrate": 1000, "audio_frequency": 192000, "key_frame_interval": 60,
				"video_codec": "h264_high", "audio_codec": "aac"}, map[string]any{}}, over: []any{1, true}},
		{method: "POST", path: start, base: room, field: "encoding", inside: ".preset", unsaid: []any{"vp9", map[string]any{"preset": "x"}, map[string]any{"preset": "h264_720p_30", "width": 640}}},
		{method: "POST", path: start, base: room, field: "outputs", fits: []any{toRTMP(), output("kind", "images", "interval_seconds", 3600, "width", 4096, "height", 16),
			output("kind", "hls", "segment_seconds", 60, "live_playlist", true), output("kind", "file", "file_type", "ogg")}, over: []any{[]any{}, repeatAny(5, map[string]any{"kind": "file"}), 1}},
		{method: "POST", path: start, base: room, field: "outputs", inside: "[0].kind", over: []any{output("kind", "tape"), output("kind", "")}},
		{method: "POST", path: start, base: room, field: "outputs", inside: "[0].file_type", unsaid: []any{output("kind", "file", "file_type", "avi"), output("kind", "hls", "file_type", "mp4")}},
		{method: "POST", path: start, base: room, field: "outputs", inside: "[0].segment_seconds", over: []any{output("kind", "hls", "segment_seconds", 61), output("kind", "hls", "segment_seconds", -1)}},
		{method: "POST", path: start, base: room, field: "outputs", inside: "[0].interval_seconds", over: []any{output("kind", "images", "interval_seconds", 3601)}},
		{method: "POST", path: start, base: room, field: "outputs", inside: "[0].width", over: []any{output("kind", "images", "width", 4097)}, unsaid: []any{output("kind", "images", "width", 15), output("kind", "file", "width", 640)}},
		{method: "POST", path: start, base: room, field: "outputs", inside: "[0].urls", over: []any{output("kind", "rtmp", "urls", repeat(11, "rtmp://8.8.8.8/live/k"))},
			unsaid: []any{output("kind", "rtmp"), output("kind", "rtmp", "urls", []any{}), output("kind", "file", "urls", []any{"rtmp://8.8.8.8/live/k"})}},
		{method: "POST", path: start, base: room, field: "outputs", inside: "[0].urls[0]", over: []any{output("kind", "rtmp", "urls", []any{"rtmp://8.8.8.8/" + x(2048)})},
			unsaid: []any{output("kind", "rtmp", "urls", []any{"http://8.8.8.8/live"}), output("kind", "rtmp", "urls", []any{"rtmp://127.0.0.1/live/k"}),
				output("kind", "rtmp", "urls", []any{"rtmps://192.168.1.1/live/k"}), output("kind", "rtmp", "urls", []any{""}), output("kind", "rtmp", "urls", []any{"rtmp://0x7f.1/live/k"})}},
		{method: "POST", path: "/v1/media/egress/stop", field: "egress_id", fits: []any{"EG_x", x(128)}, over: []any{"", x(129), 1}},
		{method: "PATCH", path: "/v1/media/egress/EG_x", field: "layout", fits: []any{"grid"}, over: []any{1}},
		{method: "PATCH", path: "/v1/media/egress/EG_x", field: "add_urls", fits: []any{[]any{"rtmp://8.8.8.8/live/k"}}, over: []any{1, "rtmp://8.8.8.8/live/k"}},
		{method: "PATCH", path: "/v1/media/egress/EG_x", field: "remove_urls", fits: []any{[]any{"rtmp://8.8.8.8/live/k"}}, over: []any{1, "rtmp://8.8.8.8/live/k"}},
	}
	for i := range all {
		all[i].caller = ada.asOwn
	}
	return all
}

func repeatAny(n int, item any) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = item
	}
	return out
}

func TestEveryWrongFieldOfAnEgressIsReportedAtOnce(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.do(http.MethodPost, "/v1/media/egress/start", map[string]any{
		"type": "participant", "room_name": "a/b", "layout": "circle", "track_sid": "TR_1", "url": "https://8.8.8.8/", "audio_only": true, "video_only": true,
		"encoding": map[string]any{"width": 5, "video_codec": "vp8"},
		"outputs": []any{map[string]any{"kind": "rtmp", "urls": []any{"rtmp://10.0.0.1/live/s3cr3t", "rtmp://8.8.8.8/live/k"}}, map[string]any{"kind": "hls", "segment_seconds": 90},
			map[string]any{"kind": "hls"}},
	}, ada.asOwn).refused(http.StatusBadRequest, "invalid_request", "body.room_name", "body.participant_identity", "body.layout", "body.track_sid", "body.url",
		"body.audio_only", "body.video_only", "body.encoding.width", "body.encoding.video_codec", "body.outputs[0].urls[0]", "body.outputs[1].segment_seconds", "body.outputs[2].kind")
}
