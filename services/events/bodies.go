package events

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pulse-control-plane/models"
)

// Body is an event as tenants get it, by whichever way. ProjectID is nil for what
// concerns the whole organization.
type Body struct {
	ID        string            `json:"id"`
	Type      string            `json:"type"`
	Timestamp time.Time         `json:"timestamp"`
	ProjectID *models.ProjectID `json:"project_id"`
	Data      jsontext.Value    `json:"data"`
}

// BodyOf renders an event.
func BodyOf(e *models.Event) Body {
	out := Body{ID: e.ID, Type: e.Type, Timestamp: e.At.UTC().Truncate(time.Millisecond), Data: jsontext.Value(e.Data)}
	if e.ProjectID != "" {
		out.ProjectID = &e.ProjectID
	}
	return out
}

// Encode gives the JSON of an event as deliveries and streams send it, on one
// line. Internal if its data is no JSON.
func Encode(e *models.Event) ([]byte, error) {
	data, err := json.Marshal(BodyOf(e))
	if err != nil {
		return nil, models.Internal(err)
	}
	return data, nil
}

// roomData is the data of room.*. The name is the tenant's.
type roomData struct {
	RoomName  string     `json:"room_name"`
	RoomSID   string     `json:"room_sid"`
	Metadata  string     `json:"metadata"`
	CreatedAt *time.Time `json:"created_at"`
	// Reconciled is true if LiveKit's own event was missed, and Pulse learned of the change
	// by comparing with the cluster.
	Reconciled bool `json:"reconciled"`
}

// participantData is the data of participant.*; attributes that Pulse sets are
// left out.
type participantData struct {
	RoomName            string            `json:"room_name"`
	RoomSID             string            `json:"room_sid"`
	ParticipantIdentity string            `json:"participant_identity"`
	ParticipantName     string            `json:"participant_name"`
	ParticipantSID      string            `json:"participant_sid"`
	Kind                string            `json:"kind"`
	Metadata            string            `json:"metadata"`
	Attributes          map[string]string `json:"attributes"`
	JoinedAt            *time.Time        `json:"joined_at"`
	// Reason is LiveKit's DisconnectReason in lower case, of participant.left.
	Reason     string `json:"reason,omitempty"`
	Reconciled bool   `json:"reconciled"`
}

// trackData is the data of track.*.
type trackData struct {
	RoomName            string    `json:"room_name"`
	RoomSID             string    `json:"room_sid"`
	ParticipantIdentity string    `json:"participant_identity"`
	ParticipantSID      string    `json:"participant_sid"`
	Track               trackInfo `json:"track"`
}

// trackInfo has the fields of a track in /v1/rooms.
type trackInfo struct {
	TrackSID  string `json:"track_sid"`
	Type      string `json:"type"`
	Source    string `json:"source"`
	Name      string `json:"name"`
	MimeType  string `json:"mime_type"`
	Muted     bool   `json:"muted"`
	Simulcast bool   `json:"simulcast"`
	Width     int64  `json:"width"`
	Height    int64  `json:"height"`
}

// egressData is the data of egress.*.
type egressData struct {
	EgressID        string     `json:"egress_id"`
	RoomName        string     `json:"room_name"`
	RoomSID         string     `json:"room_sid"`
	Type            string     `json:"type"`
	Status          string     `json:"status"`
	StartedAt       *time.Time `json:"started_at"`
	EndedAt         *time.Time `json:"ended_at"`
	DurationSeconds float64    `json:"duration_seconds"`
	Results         []result   `json:"results"`
	Error           *string    `json:"error"`
	Reconciled      bool       `json:"reconciled"`
}

// recordingData is the data of recording.available.
type recordingData struct {
	EgressID string   `json:"egress_id"`
	RoomName string   `json:"room_name"`
	RoomSID  string   `json:"room_sid"`
	Results  []result `json:"results"`
}

// failedRecordingData is the data of recording.failed.
type failedRecordingData struct {
	EgressID string `json:"egress_id"`
	RoomName string `json:"room_name"`
	RoomSID  string `json:"room_sid"`
	Error    string `json:"error"`
}

// result is something that an egress made. The address of a stream is left out:
// it ends in the stream's key.
type result struct {
	Kind            string  `json:"kind"`
	Path            string  `json:"path,omitempty"`
	Playlist        string  `json:"playlist,omitempty"`
	Status          string  `json:"status,omitempty"`
	SizeBytes       int64   `json:"size_bytes"`
	DurationSeconds float64 `json:"duration_seconds"`
}

// ingressData is the data of ingress.*, without the URL and the stream key.
type ingressData struct {
	IngressID           string     `json:"ingress_id"`
	Name                string     `json:"name"`
	InputType           string     `json:"input_type"`
	RoomName            string     `json:"room_name"`
	RoomSID             string     `json:"room_sid"`
	ParticipantIdentity string     `json:"participant_identity"`
	Status              string     `json:"status"`
	StartedAt           *time.Time `json:"started_at"`
	EndedAt             *time.Time `json:"ended_at"`
	Error               *string    `json:"error"`
	Reconciled          bool       `json:"reconciled"`
}

// otherData is the data of livekit.*: names only, of which it is known that they
// hold no secret.
type otherData struct {
	Event               string `json:"event"`
	RoomName            string `json:"room_name,omitempty"`
	RoomSID             string `json:"room_sid,omitempty"`
	ParticipantIdentity string `json:"participant_identity,omitempty"`
	ParticipantSID      string `json:"participant_sid,omitempty"`
	TrackSID            string `json:"track_sid,omitempty"`
	EgressID            string `json:"egress_id,omitempty"`
	IngressID           string `json:"ingress_id,omitempty"`
}
