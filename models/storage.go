package models

// CredentialPrefix begins the ids of storages' credentials.
const CredentialPrefix = "crd_"

// StorageKind is which provider keeps a project's recordings.
type StorageKind string

// The kinds of storage. StorageLocal is the egress worker's own disk; it cannot be
// set but is what a project without storage uses where the operator allows it
// (EGRESS_LOCAL).
const (
	StorageS3    StorageKind = "s3"
	StorageGCS   StorageKind = "gcs"
	StorageAzure StorageKind = "azure"
	StorageLocal StorageKind = "local"
)

// Storage is where a project's recordings go.
type Storage struct {
	Kind StorageKind `bson:"kind"`
	// Bucket is of s3 and gcs; Container and AccountName are of azure.
	Bucket      string `bson:"bucket,omitempty"`
	Container   string `bson:"container,omitempty"`
	AccountName string `bson:"account_name,omitempty"`
	// Region, Endpoint, AccessKey and ForcePathStyle are of s3.
	Region         string `bson:"region,omitempty"`
	Endpoint       string `bson:"endpoint,omitempty"`
	AccessKey      string `bson:"access_key,omitempty"`
	ForcePathStyle bool   `bson:"force_path_style,omitempty"`
	// Secret is sealed: the secret of s3, the credentials (JSON) of gcs, the account
	// key of azure.
	Secret string `bson:"secret"`
	// CredentialID names the credential in the audit trail; another one has another id.
	// Empty if it was stored before credentials had ids.
	CredentialID string `bson:"credential_id,omitempty"`
	// Prefix begins the path of every file; CDNBaseURL the URL it is played back
	// from.
	Prefix     string `bson:"prefix,omitempty"`
	CDNBaseURL string `bson:"cdn_base_url,omitempty"`
}

// Recording says how a project's rooms are recorded without being asked.
type Recording struct {
	// Enabled records every new room of the project, unless the room says otherwise.
	Enabled bool `bson:"enabled"`
	// Layout and Encoding are those of the recording; "" is LiveKit's default.
	Layout    string `bson:"layout,omitempty"`
	Encoding  string `bson:"encoding,omitempty"`
	AudioOnly bool   `bson:"audio_only,omitempty"`
}

// RecordingChange is a partial update; nil leaves a field as it is.
type RecordingChange struct {
	Enabled          *bool
	Layout, Encoding *string
	AudioOnly        *bool
}
