package livekit

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

// FuzzRoomsAreListedAsProtobufReadsThem compares the reader of lists with LiveKit's own.
func FuzzRoomsAreListedAsProtobufReadsThem(f *testing.F) {
	for _, rooms := range [][]*livekit.Room{
		{},
		{{}},
		{{Name: "prj_1_hall", Sid: "RM_1", CreationTime: 1_790_000_000, CreationTimeMs: 1_790_000_000_123, NumParticipants: 7, Metadata: "x"},
			{Name: "old server", Sid: "RM_2", CreationTime: 1_790_000_000, EnabledCodecs: []*livekit.Codec{{Mime: "audio/opus"}}}},
	} {
		body, err := proto.Marshal(&livekit.ListRoomsResponse{Rooms: rooms})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var want livekit.ListRoomsResponse
		if proto.Unmarshal(body, &want) != nil {
			_, _ = listedRooms(body) // must not panic
			return
		}
		got, err := listedRooms(body)
		if err != nil || len(got) != len(want.Rooms) {
			t.Fatalf("%d rooms, %v; want %d", len(got), err, len(want.Rooms))
		}
		for i, room := range want.Rooms {
			r := &got[i]
			if r.Name != room.Name || r.SID != room.Sid || !r.CreatedAt.Equal(roomCreation(room)) || r.NumParticipants != int(room.NumParticipants) {
				t.Errorf("%+v, want %v", r, room)
			}
			if info, err := r.Info(); err != nil || info != roomInfo(room) {
				t.Errorf("%+v, %v; want %v", info, err, room)
			}
		}
	})
}

func TestAnAnswerThatIsNoListOfRoomsIsUnavailable(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"another message": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/protobuf")
			_, _ = w.Write([]byte{0xff, 0xff, 0xff})
		},
		"cut short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/protobuf")
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte{0x0a})
		},
		"a proxy's page": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
	} {
		server := httptest.NewServer(answer)
		c := NewClient([]Cluster{{Name: "default", URL: "wss://x.example.com", APIURL: server.URL, APIKey: "API", APISecret: secret.New("secret")}}, nil)
		if rooms, err := c.ListRooms(t.Context()); !models.IsKind(err, models.KindUnavailable) {
			t.Errorf("%s: %d rooms, %v", name, len(rooms), err)
		}
		server.Close()
	}
}
