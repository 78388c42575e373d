// Command bare is what the token exchange of Pulse is measured against: a
// net/http handler that reads the same JSON request and mints the JWT of its room,
// its identity and a project with livekit/protocol/auth, as an application without
// a control plane would, and does nothing else. It knows no tenant, checks, counts
// and logs nothing. It prints its address once it listens.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/livekit/protocol/auth"
)

// maxBody bounds a request, as Pulse does.
const maxBody = 64 << 10

// request has the fields of a LiveKit token endpoint's request that are used.
type request struct {
	RoomName            string            `json:"room_name"`
	ParticipantIdentity string            `json:"participant_identity"`
	ParticipantName     string            `json:"participant_name"`
	Metadata            string            `json:"participant_metadata"`
	Attributes          map[string]string `json:"participant_attributes"`
}

// answer has the fields of a LiveKit token endpoint's answer.
type answer struct {
	ServerURL        string `json:"server_url"`
	ParticipantToken string `json:"participant_token"`
}

func main() {
	if err := run(os.Getenv("LIVEKIT_HOST"), os.Getenv("LIVEKIT_API_KEY"), os.Getenv("LIVEKIT_API_SECRET")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until it fails or the process is ended.
func run(url, key, secret string) error {
	const project = "prj_0190a8f0b1c27d3e8f405162738495a6"
	allowed := true
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := http.Server{ReadHeaderTimeout: 5 * time.Second}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in request
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		attributes := map[string]string{"pulse.project": project}
		maps.Copy(attributes, in.Attributes)
		token, err := auth.NewAccessToken(key, secret).SetIdentity(in.ParticipantIdentity).SetName(in.ParticipantName).SetMetadata(in.Metadata).
			SetVideoGrant(&auth.VideoGrant{
				RoomJoin: true, Room: project + "_" + in.RoomName, CanPublish: &allowed, CanSubscribe: &allowed, CanPublishData: &allowed,
			}).SetAttributes(attributes).SetValidFor(time.Hour).ToJWT()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		if err := json.NewEncoder(w).Encode(answer{url, token}); err != nil {
			return // the client has gone
		}
	})
	return server.Serve(listener)
}
