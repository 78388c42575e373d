package models

import "time"

// EgressID names an egress before LiveKit confirms it: "egr_…". After that it is
// known by LiveKit's id too.
type EgressID string

// EgressPrefix begins Pulse's ids of egresses, LiveKitEgressPrefix LiveKit's.
const (
	EgressPrefix        = "egr_"
	LiveKitEgressPrefix = "EG_"
)

// EgressType is what an egress records.
type EgressType string

// The types of egress.
const (
	EgressRoomComposite  EgressType = "room_composite"
	EgressParticipant    EgressType = "participant"
	EgressTrack          EgressType = "track"
	EgressTrackComposite EgressType = "track_composite"
	EgressWeb            EgressType = "web"
)

// EgressTypes lists the types.
func EgressTypes() []EgressType {
	return []EgressType{EgressRoomComposite, EgressParticipant, EgressTrack, EgressTrackComposite, EgressWeb}
}

// EgressStatus is LiveKit's EgressStatus in lower case.
type EgressStatus string

// The states of an egress. Those after EgressEnding are final.
const (
	EgressStarting     EgressStatus = "starting"
	EgressActive       EgressStatus = "active"
	EgressEnding       EgressStatus = "ending"
	EgressComplete     EgressStatus = "complete"
	EgressFailed       EgressStatus = "failed"
	EgressAborted      EgressStatus = "aborted"
	EgressLimitReached EgressStatus = "limit_reached"
)

// EgressStatuses lists the states in the order of an egress's life.
func EgressStatuses() []EgressStatus {
	return []EgressStatus{EgressStarting, EgressActive, EgressEnding, EgressComplete, EgressFailed, EgressAborted, EgressLimitReached}
}

// Rank orders the states: an egress never goes back to a lower one, whatever order
// its events come in.
func (s EgressStatus) Rank() int {
	switch s {
	case EgressStarting:
		return 1
	case EgressActive:
		return 2
	case EgressEnding:
		return 3
	case EgressComplete, EgressFailed, EgressAborted, EgressLimitReached:
		return 4
	}
	return 0
}

// Final reports whether an egress in this state has ended.
func (s EgressStatus) Final() bool { return s.Rank() == 4 }

// OutputKind is what an egress makes.
type OutputKind string

// The kinds of output.
const (
	OutputFile   OutputKind = "file"
	OutputHLS    OutputKind = "hls"
	OutputRTMP   OutputKind = "rtmp"
	OutputImages OutputKind = "images"
)

// OutputKinds lists the kinds.
func OutputKinds() []OutputKind {
	return []OutputKind{OutputFile, OutputHLS, OutputRTMP, OutputImages}
}

// EgressOutput is one output of an egress, without any secret.
type EgressOutput struct {
	Kind OutputKind `bson:"kind"`
	// FileType is mp4 or ogg, of a file.
	FileType string `bson:"file_type,omitempty"`
	// Path is where Pulse has the file, playlist or images written.
	Path string `bson:"path,omitempty"`
	// SegmentSeconds and LivePlaylist are of hls, IntervalSeconds, Width and Height of
	// images.
	SegmentSeconds  int64  `bson:"segment_seconds,omitempty"`
	LivePlaylist    string `bson:"live_playlist,omitempty"`
	IntervalSeconds int64  `bson:"interval_seconds,omitempty"`
	Width           int64  `bson:"width,omitempty"`
	Height          int64  `bson:"height,omitempty"`
	// URLs are the targets of rtmp with their stream keys redacted.
	URLs []string `bson:"urls,omitempty"`
}

// EgressResult is something an egress made.
type EgressResult struct {
	Kind            OutputKind `bson:"kind"`
	Path            string     `bson:"path"`
	Playlist        string     `bson:"playlist,omitempty"`
	SizeBytes       int64      `bson:"size_bytes"`
	DurationSeconds float64    `bson:"duration_seconds"`
	URL             string     `bson:"url,omitempty"`
	// Error is why a target of rtmp failed.
	Error string `bson:"error,omitempty"`
}

// Egress is the record of an egress: written before LiveKit is asked to start it.
type Egress struct {
	ID EgressID `bson:"_id"`
	// EgressID is LiveKit's, "" until it confirmed the start and if it did not.
	EgressID  string         `bson:"egress_id,omitempty"`
	ProjectID ProjectID      `bson:"project_id"`
	OrgID     OrganizationID `bson:"org_id"`
	// Cluster is the name of the LiveKit cluster.
	Cluster string     `bson:"cluster"`
	Type    EgressType `bson:"type"`
	// RoomName is the tenant's name of the room, "" of a web egress.
	RoomName            string `bson:"room_name,omitempty"`
	ParticipantIdentity string `bson:"participant_identity,omitempty"`
	TrackSID            string `bson:"track_sid,omitempty"`
	AudioTrackSID       string `bson:"audio_track_sid,omitempty"`
	VideoTrackSID       string `bson:"video_track_sid,omitempty"`
	// URL is the page of a web egress.
	URL     string         `bson:"url,omitempty"`
	Layout  string         `bson:"layout,omitempty"`
	Outputs []EgressOutput `bson:"outputs"`
	// Automatic is true if the recording setting of a room or project started it.
	Automatic bool         `bson:"automatic,omitempty"`
	Status    EgressStatus `bson:"status"`
	// Open is true if the status is not final.
	Open bool `bson:"open"`
	// RecordedSID is LiveKit's id of the room whose opening Pulse records by itself: one
	// record for each.
	RecordedSID string `bson:"recorded_sid,omitempty"`
	// DueAt is when a worker starts it, or tries again; nil for what a request started.
	// Attempts counts the tries.
	DueAt    *time.Time `bson:"due_at,omitempty"`
	Attempts int64      `bson:"attempts,omitempty"`
	// StopAsked is true if its stop was requested, maybe before it was active.
	StopAsked bool           `bson:"stop_asked,omitempty"`
	StartedAt *time.Time     `bson:"started_at,omitempty"`
	EndedAt   *time.Time     `bson:"ended_at,omitempty"`
	Error     string         `bson:"error,omitempty"`
	Results   []EgressResult `bson:"results,omitempty"`
	// CDNBaseURL is the storage's when it was started.
	CDNBaseURL string `bson:"cdn_base_url,omitempty"`
	// SilentAt is since when its worker does not answer; nil if it does.
	SilentAt *time.Time `bson:"silent_at,omitempty"`
	// Presumed is true if Pulse concluded that it ended, because LiveKit does not seem to know it.
	Presumed bool `bson:"presumed,omitempty"`
	// Asked is who asked for it, until the audit entry of its start is known to be
	// stored; nil of what Pulse started.
	Asked *AuditCaller `bson:"asked,omitempty"`
	// Version counts the changes of the record.
	Version   int64     `bson:"version"`
	CreatedAt time.Time `bson:"created_at"`
	UpdatedAt time.Time `bson:"updated_at"`
}

// Duration is how long it has been recording or streaming, up to a time at which it
// has not ended.
func (e *Egress) Duration(now time.Time) time.Duration {
	switch {
	case e.StartedAt == nil:
		return 0
	case e.Open || e.EndedAt == nil:
		return max(0, now.Sub(*e.StartedAt))
	}
	return max(0, e.EndedAt.Sub(*e.StartedAt))
}

// PublicID is what the egress is called outside: LiveKit's id once there is one.
func (e *Egress) PublicID() string {
	if e.EgressID != "" {
		return e.EgressID
	}
	return string(e.ID)
}
