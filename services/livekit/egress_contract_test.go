package livekit_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	lk "github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/secret"
)

// egressService is LiveKit's own Twirp service, which notes what it is asked.
type egressService struct {
	lk.Egress
	asked proto.Message
	fails error
}

func (e *egressService) answer(ask proto.Message) (*lk.EgressInfo, error) {
	e.asked = proto.Clone(ask)
	return &lk.EgressInfo{EgressId: "EG_1", Status: lk.EgressStatus_EGRESS_STARTING}, e.fails
}

func (e *egressService) StartRoomCompositeEgress(_ context.Context, in *lk.RoomCompositeEgressRequest) (*lk.EgressInfo, error) {
	return e.answer(in)
}

func (e *egressService) StartParticipantEgress(_ context.Context, in *lk.ParticipantEgressRequest) (*lk.EgressInfo, error) {
	return e.answer(in)
}

func (e *egressService) StartTrackCompositeEgress(_ context.Context, in *lk.TrackCompositeEgressRequest) (*lk.EgressInfo, error) {
	return e.answer(in)
}

func (e *egressService) StartTrackEgress(_ context.Context, in *lk.TrackEgressRequest) (*lk.EgressInfo, error) {
	return e.answer(in)
}

func (e *egressService) StartWebEgress(_ context.Context, in *lk.WebEgressRequest) (*lk.EgressInfo, error) {
	return e.answer(in)
}

func (e *egressService) StopEgress(_ context.Context, in *lk.StopEgressRequest) (*lk.EgressInfo, error) {
	return e.answer(in)
}

func (e *egressService) UpdateLayout(_ context.Context, in *lk.UpdateLayoutRequest) (*lk.EgressInfo, error) {
	return e.answer(in)
}

func (e *egressService) UpdateStream(_ context.Context, in *lk.UpdateStreamRequest) (*lk.EgressInfo, error) {
	return e.answer(in)
}

func (e *egressService) ListEgress(_ context.Context, in *lk.ListEgressRequest) (*lk.ListEgressResponse, error) {
	e.asked = proto.Clone(in)
	return &lk.ListEgressResponse{}, e.fails
}

func serveEgress(t *testing.T) (*egressService, *livekit.Client) {
	t.Helper()
	service := &egressService{}
	server := httptest.NewServer(http.Handler(lk.NewEgressServer(service)))
	t.Cleanup(server.Close)
	return service, livekit.NewClient([]livekit.Cluster{{Name: "default", URL: server.URL, APIURL: server.URL, APIKey: "key", APISecret: secret.New("secret")}}, nil)
}

func target(kind models.OutputKind, path string) livekit.EgressOutput {
	return livekit.EgressOutput{EgressOutput: models.EgressOutput{Kind: kind, Path: path}}
}

func TestEachEgressReachesLiveKitAsItsOwnRequest(t *testing.T) {
	s3 := &livekit.Upload{Opened: secret.New("hush"), Storage: models.Storage{Kind: models.StorageS3, Bucket: "b", Region: "r", Endpoint: "https://s3.example", AccessKey: "ak", ForcePathStyle: true}}
	gcs := &livekit.Upload{Opened: secret.New("{}"), Storage: models.Storage{Kind: models.StorageGCS, Bucket: "b"}}
	azure := &livekit.Upload{Opened: secret.New("hush"), Storage: models.Storage{Kind: models.StorageAzure, AccountName: "a", Container: "c"}}
	with := func(o livekit.EgressOutput, upload *livekit.Upload, change func(*livekit.EgressOutput)) livekit.EgressOutput {
		o.Upload = upload
		if change != nil {
			change(&o)
		}
		return o
	}
	const s3text = `access_key: "ak" secret: "hush" region: "r" endpoint: "https://s3.example" bucket: "b" force_path_style: true`
	rtmp := target(models.OutputRTMP, "")
	rtmp.Targets = []secret.Value{secret.New("rtmp://a/live/k"), secret.New("rtmps://b/live/k")}
	for name, c := range map[string]struct {
		ask  livekit.EgressRequest
		want proto.Message
		text string
	}{
		"room composite into MP4 on S3": {
			livekit.EgressRequest{Type: models.EgressRoomComposite, Room: "p_r", Layout: "grid", AudioOnly: true, Outputs: []livekit.EgressOutput{with(target(models.OutputFile, "f.mp4"), s3, nil)}},
			&lk.RoomCompositeEgressRequest{}, `room_name: "p_r" layout: "grid" audio_only: true file_outputs {file_type: MP4 filepath: "f.mp4" disable_manifest: true s3 {` + s3text + `}}`},
		"room composite into everything": {
			livekit.EgressRequest{Type: models.EgressRoomComposite, Room: "p_r", VideoOnly: true, Encoding: livekit.Encoding{Preset: "H264_720p_60"}, Outputs: []livekit.EgressOutput{
				with(target(models.OutputFile, "f.ogg"), gcs, func(o *livekit.EgressOutput) { o.FileType = "ogg" }),
				with(target(models.OutputHLS, "h.m3u8"), azure, func(o *livekit.EgressOutput) { o.LivePlaylist, o.SegmentSeconds = "h-live.m3u8", 6 }), rtmp,
				with(target(models.OutputImages, "i"), nil, func(o *livekit.EgressOutput) { o.IntervalSeconds, o.Width, o.Height = 5, 640, 360 })}},
			&lk.RoomCompositeEgressRequest{}, `room_name: "p_r" video_only: true preset: H264_720P_60
				file_outputs {file_type: OGG filepath: "f.ogg" disable_manifest: true gcp {credentials: "{}" bucket: "b"}}
				segment_outputs {protocol: HLS_PROTOCOL filename_prefix: "h" playlist_name: "h.m3u8" live_playlist_name: "h-live.m3u8" segment_duration: 6 disable_manifest: true
					azure {account_name: "a" account_key: "hush" container_name: "c"}}
				stream_outputs {protocol: RTMP urls: "rtmp://a/live/k" urls: "rtmps://b/live/k"}
				image_outputs {capture_interval: 5 width: 640 height: 360 filename_prefix: "i" image_codec: IC_JPEG disable_manifest: true}`},
		"participant with explicit options": {
			livekit.EgressRequest{Type: models.EgressParticipant, Room: "p_r", Identity: "ann", ScreenShare: true, Outputs: []livekit.EgressOutput{rtmp}, Encoding: livekit.Encoding{Width: 640,
				Height: 360, Framerate: 15, VideoCodec: "h264_high", VideoBitrate: 900, AudioCodec: "aac", AudioBitrate: 96, AudioFrequency: 48000, KeyFrameInterval: 2.5}},
			&lk.ParticipantEgressRequest{}, `room_name: "p_r" identity: "ann" screen_share: true stream_outputs {protocol: RTMP urls: "rtmp://a/live/k" urls: "rtmps://b/live/k"}
				advanced {width: 640 height: 360 framerate: 15 video_codec: H264_HIGH video_bitrate: 900 audio_codec: AAC audio_bitrate: 96 audio_frequency: 48000 key_frame_interval: 2.5}`},
		"track composite": {
			livekit.EgressRequest{Type: models.EgressTrackComposite, Room: "p_r", AudioTrackSID: "TR_a", VideoTrackSID: "TR_v", Outputs: []livekit.EgressOutput{target(models.OutputFile, "f.mp4")}},
			&lk.TrackCompositeEgressRequest{}, `room_name: "p_r" audio_track_id: "TR_a" video_track_id: "TR_v" file_outputs {file_type: MP4 filepath: "f.mp4" disable_manifest: true}`},
		"track": {
			livekit.EgressRequest{Type: models.EgressTrack, Room: "p_r", TrackSID: "TR_a", Outputs: []livekit.EgressOutput{with(target(models.OutputFile, "f"), s3, nil)}},
			&lk.TrackEgressRequest{}, `room_name: "p_r" track_id: "TR_a" file {filepath: "f" disable_manifest: true s3 {` + s3text + `}}`},
		"web": {
			livekit.EgressRequest{Type: models.EgressWeb, URL: "https://a.example", Wait: true, AudioOnly: true, Outputs: []livekit.EgressOutput{target(models.OutputFile, "f.mp4")}},
			&lk.WebEgressRequest{}, `url: "https://a.example" audio_only: true await_start_signal: true file_outputs {file_type: MP4 filepath: "f.mp4" disable_manifest: true}`},
	} {
		service, client := serveEgress(t)
		state, err := client.StartEgress(t.Context(), &c.ask)
		if err != nil || state.ID != "EG_1" || state.Status != models.EgressStarting {
			t.Errorf("%s: %+v, %v", name, state, err)
		}
		if err := prototext.Unmarshal([]byte(c.text), c.want); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(service.asked, c.want) {
			t.Errorf("%s asked\n%v, want\n%v", name, service.asked, c.want)
		}
	}
}

func TestARoomIsCreatedWithItsOwnRecording(t *testing.T) {
	var asked *lk.CreateRoomRequest
	server := httptest.NewServer(lk.NewRoomServiceServer(roomCreator{to: &asked}))
	t.Cleanup(server.Close)
	client := livekit.NewClient([]livekit.Cluster{{Name: "default", URL: server.URL, APIURL: server.URL, APIKey: "key", APISecret: secret.New("secret")}}, nil)
	recording := &livekit.EgressRequest{Type: models.EgressRoomComposite, Room: "p_r", Layout: "grid", Outputs: []livekit.EgressOutput{target(models.OutputFile, "p/r/{time}-{room_id}.mp4")}}
	if _, err := client.CreateRoom(t.Context(), "p_r", livekit.RoomOptions{Recording: recording}); err != nil {
		t.Fatal(err)
	}
	want := &lk.CreateRoomRequest{}
	if err := prototext.Unmarshal([]byte(`name: "p_r" egress {room {room_name: "p_r" layout: "grid" file_outputs {file_type: MP4 filepath: "p/r/{time}-{room_id}.mp4" disable_manifest: true}}}`), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
}

type roomCreator struct {
	lk.RoomService
	to **lk.CreateRoomRequest
}

func (r roomCreator) CreateRoom(_ context.Context, in *lk.CreateRoomRequest) (*lk.Room, error) {
	*r.to = in
	return &lk.Room{Name: in.Name}, nil
}

func TestLiveKitsErrorsOfEgressAreThoseOfRooms(t *testing.T) {
	for code, kind := range map[twirp.ErrorCode]models.Kind{
		twirp.NotFound: models.KindNotFound, twirp.FailedPrecondition: models.KindConflict, twirp.InvalidArgument: models.KindConflict, twirp.Unavailable: models.KindUnavailable,
		twirp.DeadlineExceeded: models.KindUnavailable, twirp.PermissionDenied: models.KindInternal, twirp.Unauthenticated: models.KindInternal, twirp.Unimplemented: models.KindNotSupported,
	} {
		service, client := serveEgress(t)
		service.fails = twirp.NewError(code, "of rtmp://a.example/live/s3cr3t in prj_x_room")
		calls := map[string]func() error{
			"start": func() error {
				_, err := client.StartEgress(t.Context(), &livekit.EgressRequest{Type: models.EgressRoomComposite})
				return err
			},
			"stop":    func() error { _, err := client.StopSent(t.Context(), "EG_1"); return err },
			"layout":  func() error { _, err := client.UpdateEgressLayout(t.Context(), "EG_1", "grid"); return err },
			"targets": func() error { _, err := client.UpdateEgressTargets(t.Context(), "EG_1", nil, nil); return err },
			"list":    func() error { _, err := client.RunningEgresses(t.Context()); return err },
			"get":     func() error { _, err := client.GetEgress(t.Context(), "EG_1"); return err },
		}
		for name, call := range calls {
			err := call()
			if !models.IsKind(err, kind) {
				t.Errorf("%s: %s is %v, want %s", name, code, err, kind)
			}
			if strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("%s: the log would have the stream key: %v", name, err)
			}
		}
	}
}

func TestAnAnswerOfAProxyIsNotLiveKits(t *testing.T) {
	for _, status := range []int{301, 400, 401, 403, 404, 429, 500, 502, 503, 504} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", status) }))
		client := livekit.NewClient([]livekit.Cluster{{Name: "default", URL: server.URL, APIURL: server.URL, APIKey: "key", APISecret: secret.New("secret")}}, nil)
		if answers, err := client.EgressAnswers(t.Context(), "EG_1"); answers || !models.IsKind(err, models.KindUnavailable) {
			t.Errorf("%d: the worker answers %v, %v", status, answers, err)
		}
		_, err := client.StartEgress(t.Context(), &livekit.EgressRequest{Type: models.EgressRoomComposite})
		if !models.IsKind(err, models.KindUnavailable) || livekit.Refused(err) {
			t.Errorf("%d: the start is %v, want one whose outcome is unknown", status, err)
		}
		server.Close()
	}
}
