package livekit_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	lk "github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/secret"
)

// ingressService is LiveKit's own Twirp service, which notes what it is asked.
type ingressService struct {
	lk.Ingress
	asked  proto.Message
	answer *lk.IngressInfo
	fails  error
}

func (i *ingressService) CreateIngress(_ context.Context, in *lk.CreateIngressRequest) (*lk.IngressInfo, error) {
	i.asked = proto.Clone(in)
	return i.answer, i.fails
}

func (i *ingressService) UpdateIngress(_ context.Context, in *lk.UpdateIngressRequest) (*lk.IngressInfo, error) {
	i.asked = proto.Clone(in)
	return i.answer, i.fails
}

func (i *ingressService) DeleteIngress(_ context.Context, in *lk.DeleteIngressRequest) (*lk.IngressInfo, error) {
	i.asked = proto.Clone(in)
	return i.answer, i.fails
}

func (i *ingressService) ListIngress(_ context.Context, in *lk.ListIngressRequest) (*lk.ListIngressResponse, error) {
	i.asked = proto.Clone(in)
	return &lk.ListIngressResponse{Items: []*lk.IngressInfo{i.answer}}, i.fails
}

func serveIngress(t *testing.T) (*ingressService, *livekit.Client) {
	t.Helper()
	service := &ingressService{answer: &lk.IngressInfo{IngressId: "IN_1"}}
	server := httptest.NewServer(http.Handler(lk.NewIngressServer(service)))
	t.Cleanup(server.Close)
	return service, livekit.NewClient([]livekit.Cluster{{Name: "default", URL: server.URL, APIURL: server.URL, APIKey: "key", APISecret: secret.New("secret")}}, nil)
}

func TestEachIngressReachesLiveKitAsItsOwnRequest(t *testing.T) {
	service, client := serveIngress(t)
	yes, no := true, false
	for name, c := range map[string]struct {
		ask  livekit.IngressRequest
		want string
	}{
		"rtmp": {livekit.IngressRequest{Input: models.IngressRTMP, Name: "igr_1 n", Room: "prj_1_hall", Identity: "obs"},
			`name: "igr_1 n" room_name: "prj_1_hall" participant_identity: "obs"`},
		"whip with everything": {livekit.IngressRequest{Input: models.IngressWHIP, Name: "n", Room: "r", Identity: "i", ParticipantName: "p", ParticipantMetadata: "m", Transcode: &yes, Enabled: &no,
			Audio: &models.IngressAudio{Name: "a", Source: "screen_share_audio", Codec: "opus", Bitrate: 64000, Channels: 2, DisableDTX: true},
			Video: &models.IngressVideo{Name: "v", Source: "screen_share", Codec: "vp8", FrameRate: 25, Layers: []models.IngressLayer{{Quality: "medium", Width: 640, Height: 360, Bitrate: 5}}}},
			`input_type: WHIP_INPUT name: "n" room_name: "r" participant_identity: "i" participant_name: "p" participant_metadata: "m" enable_transcoding: true enabled: false
			 audio { name: "a" source: SCREEN_SHARE_AUDIO options { audio_codec: OPUS bitrate: 64000 disable_dtx: true channels: 2 } }
			 video { name: "v" source: SCREEN_SHARE options { video_codec: VP8 frame_rate: 25 layers { quality: MEDIUM width: 640 height: 360 bitrate: 5 } } }`},
		"url with presets": {livekit.IngressRequest{Input: models.IngressURL, URL: secret.New("https://u:p@example.com/a?s=1"), Name: "n", Room: "r", Identity: "i",
			Audio: &models.IngressAudio{Preset: "opus_mono_64kbs"}, Video: &models.IngressVideo{Source: "camera", Preset: "h264_540p_25fps_2_layers"}},
			`input_type: URL_INPUT url: "https://u:p@example.com/a?s=1" name: "n" room_name: "r" participant_identity: "i"
			 audio { preset: OPUS_MONO_64KBS } video { source: CAMERA preset: H264_540P_25FPS_2_LAYERS }`},
		"names only": {livekit.IngressRequest{Input: models.IngressRTMP, Room: "r", Identity: "i", Audio: &models.IngressAudio{Name: "a"}, Video: &models.IngressVideo{Name: "v"}},
			`room_name: "r" participant_identity: "i" audio { name: "a" } video { name: "v" }`},
	} {
		want := &lk.CreateIngressRequest{}
		if err := prototext.Unmarshal([]byte(c.want), want); err != nil {
			t.Fatal(name, err)
		}
		if _, err := client.CreateIngress(t.Context(), &c.ask); err != nil || !proto.Equal(service.asked, want) {
			t.Errorf("%s: %v, asked %v, want %v", name, err, service.asked, want)
		}
	}
	if _, err := client.UpdateIngress(t.Context(), "IN_1", &livekit.IngressRequest{Room: "r", Enabled: &yes}); err != nil ||
		!proto.Equal(service.asked, &lk.UpdateIngressRequest{IngressId: "IN_1", RoomName: "r", Enabled: &yes}) {
		t.Errorf("update: %v, asked %v", err, service.asked)
	}
	if _, err := client.ListIngresses(t.Context(), "r"); err != nil || !proto.Equal(service.asked, &lk.ListIngressRequest{RoomName: "r"}) {
		t.Errorf("list: %v, asked %v", err, service.asked)
	}
	if err := client.DeleteIngress(t.Context(), "IN_1"); err != nil || !proto.Equal(service.asked, &lk.DeleteIngressRequest{IngressId: "IN_1"}) {
		t.Errorf("delete: %v, asked %v", err, service.asked)
	}
	service.fails = twirp.NotFoundError("ingress does not exist")
	if err := client.DeleteIngress(t.Context(), "IN_1"); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
	if _, err := client.UpdateIngress(t.Context(), "IN_1", &livekit.IngressRequest{}); !models.IsKind(err, models.KindNotFound) {
		t.Errorf("changing what is gone: %v", err)
	}
}

func TestAnIngressIsReadWithoutTheSecretsOfItsTexts(t *testing.T) {
	service, client := serveIngress(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	service.answer = &lk.IngressInfo{IngressId: "IN_1", Name: "igr_x", InputType: lk.IngressInput_URL_INPUT, RoomName: "prj_01a2063f-e6cc-7690-9e88-10046bbf09e7_hall",
		Url: "srt://u:hush@example.com:9000/x?passphrase=hush", State: &lk.IngressState{Status: lk.IngressState_ENDPOINT_ERROR, StartedAt: at.UnixNano(), UpdatedAt: at.UnixNano(),
			Error: "pull http://u:hush@example.com/a?k=hush into prj_01a2063f-e6cc-7690-9e88-10046bbf09e7_hall from srt://h/?passphrase=hush"}}
	list, err := client.ListIngresses(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	got := list[0]
	if got.URL != "srt://example.com:9000" || got.Error != "pull http://example.com/a into hall from srt://h/***" || got.Status != models.IngressError || !got.StartedAt.Equal(at) || !got.Enabled || !got.Transcode {
		t.Errorf("got %+v", got)
	}
	no := false
	service.answer = &lk.IngressInfo{InputType: lk.IngressInput_WHIP_INPUT, StreamKey: "hush", Enabled: &no, State: &lk.IngressState{Error: "key hush is wrong"}}
	if list, err = client.ListIngresses(t.Context(), ""); err != nil || list[0].Error != "key *** is wrong" || list[0].Enabled || list[0].Transcode || list[0].StreamKey.Reveal() != "hush" {
		t.Errorf("got %+v, %v", list[0], err)
	}
}
