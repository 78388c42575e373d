package models

import (
	"strings"
	"time"
)

// IngressID names an ingress before LiveKit does: "igr_…". LiveKit keeps it in the
// ingress's name.
type IngressID string

// IngressPrefix begins Pulse's ids of ingresses, LiveKitIngressPrefix LiveKit's.
const (
	IngressPrefix        = "igr_"
	LiveKitIngressPrefix = "IN_"
)

// IngressInput is how a stream comes in: pushed by RTMP or WHIP, or pulled from a
// URL.
type IngressInput string

// The inputs of an ingress.
const (
	IngressRTMP IngressInput = "rtmp"
	IngressWHIP IngressInput = "whip"
	IngressURL  IngressInput = "url"
)

// IngressInputs lists the inputs.
func IngressInputs() []IngressInput { return []IngressInput{IngressRTMP, IngressWHIP, IngressURL} }

// Reusable reports whether an ingress may publish more than once: one that pulls a URL
// ends with its stream.
func (i IngressInput) Reusable() bool { return i != IngressURL }

// IngressStatus is LiveKit's IngressState.Status in lower case, without ENDPOINT_.
type IngressStatus string

// The states of an ingress.
const (
	IngressInactive   IngressStatus = "inactive"
	IngressBuffering  IngressStatus = "buffering"
	IngressPublishing IngressStatus = "publishing"
	IngressError      IngressStatus = "error"
	IngressComplete   IngressStatus = "complete"
)

// IngressStatuses lists the states.
func IngressStatuses() []IngressStatus {
	return []IngressStatus{IngressInactive, IngressBuffering, IngressPublishing, IngressError, IngressComplete}
}

// Over reports whether a run has ended in this state.
func (s IngressStatus) Over() bool { return s == IngressComplete || s == IngressError }

// IngressAudio is how an ingress publishes audio: a preset of LiveKit's, by its name
// in lower case, or explicit values; zero values are LiveKit's defaults. Bitrate is
// in bit/s.
type IngressAudio struct {
	Name       string `bson:"name,omitempty"`
	Source     string `bson:"source,omitempty"`
	Preset     string `bson:"preset,omitempty"`
	Codec      string `bson:"codec,omitempty"`
	Bitrate    int64  `bson:"bitrate,omitempty"`
	Channels   int64  `bson:"channels,omitempty"`
	DisableDTX bool   `bson:"disable_dtx,omitempty"`
}

// IngressVideo is how an ingress publishes video, as IngressAudio is.
type IngressVideo struct {
	Name      string         `bson:"name,omitempty"`
	Source    string         `bson:"source,omitempty"`
	Preset    string         `bson:"preset,omitempty"`
	Codec     string         `bson:"codec,omitempty"`
	FrameRate float64        `bson:"frame_rate,omitempty"`
	Layers    []IngressLayer `bson:"layers,omitempty"`
}

// IngressLayer is a layer of simulcast; Quality is low, medium or high, Bitrate in
// bit/s.
type IngressLayer struct {
	Quality string `bson:"quality"`
	Width   int64  `bson:"width"`
	Height  int64  `bson:"height"`
	Bitrate int64  `bson:"bitrate,omitempty"`
}

// Ingress is the record of an ingress: written before LiveKit is asked to make it.
// The stream key is not in it.
type Ingress struct {
	ID IngressID `bson:"_id"`
	// IngressID is LiveKit's, "" until it confirmed the ingress.
	IngressID string         `bson:"ingress_id,omitempty"`
	ProjectID ProjectID      `bson:"project_id"`
	OrgID     OrganizationID `bson:"org_id"`
	// Cluster is the name of the LiveKit cluster.
	Cluster   string       `bson:"cluster"`
	InputType IngressInput `bson:"input_type"`
	// Name is what the tenant calls it, RoomName the tenant's name of the room.
	Name                string `bson:"name,omitempty"`
	RoomName            string `bson:"room_name"`
	ParticipantIdentity string `bson:"participant_identity"`
	ParticipantName     string `bson:"participant_name,omitempty"`
	ParticipantMetadata string `bson:"participant_metadata,omitempty"`
	// URL is where encoders push to, or what is pulled without its secrets.
	URL               string        `bson:"url,omitempty"`
	EnableTranscoding bool          `bson:"enable_transcoding"`
	Enabled           bool          `bson:"enabled"`
	Audio             *IngressAudio `bson:"audio,omitempty"`
	Video             *IngressVideo `bson:"video,omitempty"`
	Status            IngressStatus `bson:"status"`
	// Error is why the latest run failed.
	Error string `bson:"error,omitempty"`
	// StartedAt and EndedAt are of the latest run, StateAt is when LiveKit's ingress
	// worker last reported.
	StartedAt *time.Time `bson:"started_at,omitempty"`
	EndedAt   *time.Time `bson:"ended_at,omitempty"`
	StateAt   *time.Time `bson:"state_at,omitempty"`
	// Confirmed is true if LiveKit has made it: only then is it shown.
	Confirmed bool `bson:"confirmed"`
	// Open is true if it may publish now or later: it counts in the quota.
	Open bool `bson:"open"`
	// DeleteAsked is true if its deletion was requested and LiveKit has not deleted it yet.
	DeleteAsked bool `bson:"delete_asked,omitempty"`
	// DueAt is when Pulse looks at LiveKit's again though it is not open: one that pulled
	// a URL is deleted there, one that LiveKit did not list may be there again.
	DueAt *time.Time `bson:"due_at,omitempty"`
	// Version counts the changes of the record.
	Version   int64     `bson:"version"`
	CreatedAt time.Time `bson:"created_at"`
	UpdatedAt time.Time `bson:"updated_at"`
}

// PublicID is what the ingress is called outside: LiveKit's id once there is one.
func (i *Ingress) PublicID() string {
	if i.IngressID != "" {
		return i.IngressID
	}
	return string(i.ID)
}

// ingressIDLength is that of an id with IngressPrefix: a UUID follows it.
const ingressIDLength = len(IngressPrefix) + 36

// QualifyIngress makes the name of an ingress on a cluster: the record's id, then
// the tenant's name.
func QualifyIngress(id IngressID, name string) string {
	return strings.TrimSuffix(string(id)+" "+name, " ")
}

// SplitIngress takes a name apart that QualifyIngress made. Another name comes back
// whole, without an id.
func SplitIngress(qualified string) (id IngressID, name string) {
	if len(qualified) < ingressIDLength || !strings.HasPrefix(qualified, IngressPrefix) {
		return "", qualified
	}
	id, rest := IngressID(qualified[:ingressIDLength]), qualified[ingressIDLength:]
	if rest != "" && rest[0] != ' ' {
		return "", qualified
	}
	return id, strings.TrimPrefix(rest, " ")
}
