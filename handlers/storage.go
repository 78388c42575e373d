package handlers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/services/storage"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/secret"
)

// Storage serves the check of a project's storage.
type Storage struct{ service *storage.Checker }

// NewStorage makes the handler of a service.
func NewStorage(s *storage.Checker) *Storage { return &Storage{s} }

// ProjectStorage is where a project's recordings go, without its credential. Which
// fields are set depends on the kind.
type ProjectStorage struct {
	Kind           models.StorageKind `json:"kind"`
	Bucket         string             `json:"bucket,omitempty"`
	Region         string             `json:"region,omitempty"`
	Endpoint       string             `json:"endpoint,omitempty"`
	AccessKey      string             `json:"access_key,omitempty"`
	ForcePathStyle bool               `json:"force_path_style,omitempty"`
	AccountName    string             `json:"account_name,omitempty"`
	Container      string             `json:"container,omitempty"`
	Prefix         string             `json:"prefix,omitempty"`
	CDNBaseURL     string             `json:"cdn_base_url,omitempty"`
}

func renderStorage(s *models.Storage) *ProjectStorage {
	if s == nil {
		return nil
	}
	return &ProjectStorage{Kind: s.Kind, Bucket: s.Bucket, Region: s.Region, Endpoint: s.Endpoint, AccessKey: s.AccessKey, ForcePathStyle: s.ForcePathStyle,
		AccountName: s.AccountName, Container: s.Container, Prefix: s.Prefix, CDNBaseURL: s.CDNBaseURL}
}

// Recording is how a project's new rooms are recorded automatically.
type Recording struct {
	Enabled   bool   `json:"enabled"`
	Layout    string `json:"layout"`
	Encoding  string `json:"encoding"`
	AudioOnly bool   `json:"audio_only"`
}

// storageRequest is a storage with its credential: secret, credentials or
// account_key, by its kind.
type storageRequest struct {
	Kind           string       `json:"kind" validate:"omitempty,oneof=s3 gcs azure"`
	Bucket         string       `json:"bucket" validate:"max=222"`
	Region         string       `json:"region" validate:"max=64"`
	Endpoint       string       `json:"endpoint" validate:"max=1024"`
	AccessKey      string       `json:"access_key" validate:"max=1024"`
	Secret         secret.Value `json:"secret" validate:"max=16384"`
	ForcePathStyle bool         `json:"force_path_style"`
	Credentials    secret.Value `json:"credentials" validate:"max=16384"`
	AccountName    string       `json:"account_name" validate:"max=24"`
	AccountKey     secret.Value `json:"account_key" validate:"max=16384"`
	Container      string       `json:"container" validate:"max=222"`
	Prefix         string       `json:"prefix" validate:"max=200"`
	CDNBaseURL     string       `json:"cdn_base_url" validate:"max=1024"`
}

type recordingRequest struct {
	Enabled   *bool   `json:"enabled"`
	Layout    *string `json:"layout" validate:"omitempty,max=64,line"`
	Encoding  *string `json:"encoding" validate:"omitempty,oneof=h264_720p_30 h264_720p_60 h264_1080p_30 h264_1080p_60 portrait_h264_720p_30 portrait_h264_720p_60 portrait_h264_1080p_30 portrait_h264_1080p_60"`
	AudioOnly *bool   `json:"audio_only"`
}

func (r *recordingRequest) change() *models.RecordingChange {
	if r == nil {
		return nil
	}
	return &models.RecordingChange{Enabled: r.Enabled, Layout: r.Layout, Encoding: r.Encoding, AudioOnly: r.AudioOnly}
}

// storageChange is nil where the field was not sent.
func storageChange(in *storageRequest) (*tenancy.StorageChange, error) {
	if in == nil {
		return nil, nil
	}
	out := &tenancy.StorageChange{To: &models.Storage{
		Kind: models.StorageKind(in.Kind), Bucket: in.Bucket, Region: in.Region, Endpoint: in.Endpoint, AccessKey: in.AccessKey,
		ForcePathStyle: in.ForcePathStyle, AccountName: in.AccountName, Container: in.Container, Prefix: in.Prefix, CDNBaseURL: in.CDNBaseURL,
	}}
	var wrong []models.FieldError
	for _, credential := range []struct {
		name  string
		value secret.Value
		kind  models.StorageKind
	}{{"secret", in.Secret, models.StorageS3}, {"credentials", in.Credentials, models.StorageGCS}, {"account_key", in.AccountKey, models.StorageAzure}} {
		switch {
		case credential.value.Reveal() == "":
		case credential.kind != out.To.Kind:
			wrong = append(wrong, models.FieldError{Location: "storage." + credential.name, Message: "is not a field of the kind " + in.Kind})
		default:
			out.Secret = credential.value
		}
	}
	if len(wrong) > 0 {
		return nil, models.Invalid(wrong...)
	}
	return out, nil
}

// StorageCheck is what came of a check: each step that was tried.
type StorageCheck struct {
	OK    bool               `json:"ok"`
	Steps []StorageCheckStep `json:"steps"`
}

// StorageCheckStep is one request of a check.
type StorageCheckStep struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// Check writes, reads and deletes a small object in a project's storage.
func (h *Storage) Check(c *gin.Context) error {
	steps, err := h.service.Check(c.Request.Context(), actor(c), models.ProjectID(c.Param("id")))
	if err != nil {
		return err
	}
	out := StorageCheck{OK: true, Steps: make([]StorageCheckStep, 0, len(steps))}
	for _, s := range steps {
		out.OK = out.OK && s.Error == ""
		out.Steps = append(out.Steps, StorageCheckStep{Name: s.Name, OK: s.Error == "", Error: s.Error})
	}
	return answer(c, http.StatusOK, out)
}
