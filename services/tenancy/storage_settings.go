package tenancy

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/secret"
)

// TargetGuard judges URLs that tenants name.
type TargetGuard interface {
	CheckURL(ctx context.Context, raw string) error
}

// StorageChange sets where a project's recordings go; To nil is nowhere.
type StorageChange struct {
	To *models.Storage
	// Secret is the plain credential of To. Empty keeps the one that is stored, if
	// kind, account and endpoint stay as they are: else anybody who may change the
	// settings could have the secret sent elsewhere.
	Secret secret.Value
}

// storageChange seals the credential; nil if the storage stays. Errors: invalid;
// conflict storage_not_configured if rooms are to be recorded nowhere.
func (s *Projects) storageChange(ctx context.Context, p *models.Project, c ProjectChange) (*database.StorageChange, error) {
	recorded := p.Recording.Enabled
	if c.Recording != nil {
		recorded = c.Recording.Enabled != nil && *c.Recording.Enabled || c.Recording.Enabled == nil && recorded
	}
	stored := p.Storage != nil
	if c.Storage != nil {
		stored = c.Storage.To != nil
	}
	if recorded && !stored && !s.c.EgressLocal && (c.Storage != nil || c.Recording != nil) {
		return nil, models.Conflict("storage_not_configured", "Automatic recording needs a storage: set one, or disable recording.")
	}
	if c.Storage == nil {
		return nil, nil
	}
	if c.Storage.To == nil {
		return &database.StorageChange{}, nil
	}
	if err := s.checkStorage(ctx, c.Storage); err != nil {
		return nil, err
	}
	to := *c.Storage.To
	if c.Storage.Secret.Reveal() == "" {
		if !sameAccount(p.Storage, &to) {
			return nil, models.Invalid(models.FieldError{Location: secretField(to.Kind), Message: "is required"})
		}
		to.Secret, to.CredentialID = p.Storage.Secret, p.Storage.CredentialID
		return &database.StorageChange{To: &to}, nil
	}
	sealed, err := s.c.Vault.Seal(p.ID, c.Storage.Secret)
	if err != nil {
		return nil, err
	}
	to.Secret, to.CredentialID = sealed, ids.New(models.CredentialPrefix)
	return &database.StorageChange{To: &to}, nil
}

// secretField names the field that has a kind's credential.
func secretField(k models.StorageKind) string {
	switch k {
	case models.StorageGCS:
		return "storage.credentials"
	case models.StorageAzure:
		return "storage.account_key"
	case models.StorageS3, models.StorageLocal:
	}
	return "storage.secret"
}

// sameAccount tells whether a stored credential may serve a changed storage.
func sameAccount(old, to *models.Storage) bool {
	return old != nil && old.Kind == to.Kind && old.AccessKey == to.AccessKey && old.AccountName == to.AccountName && old.Endpoint == to.Endpoint
}

// describe is a storage in the audit trail: without its credential.
func describe(s *models.Storage) any {
	if s == nil {
		return nil
	}
	return map[string]any{"kind": s.Kind, "bucket": s.Bucket, "container": s.Container, "account_name": s.AccountName, "region": s.Region,
		"endpoint": s.Endpoint, "prefix": s.Prefix, "cdn_base_url": s.CDNBaseURL}
}

// Bounds of fields, in bytes.
const (
	maxStorageField = 1024
	maxPrefix       = 200
	maxCredential   = 16 << 10
)

func matches(pattern, text string) bool {
	return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(text)
}

// What names of buckets, containers and accounts can be made of, at all providers;
// each has stricter rules, which a check finds out.
const (
	bucketName  = `[A-Za-z0-9][A-Za-z0-9._-]{1,221}`
	accountName = `[a-z0-9]{3,24}`
	// A region is part of the host that AWS's clients call.
	regionName = `[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?`
	// An access key is sent in a header.
	accessKey  = `[!-~]+`
	prefixPath = `[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*/?`
)

// checkStorage reports every field of a storage that is wrong.
func (s *Projects) checkStorage(ctx context.Context, c *StorageChange) error {
	var wrong []models.FieldError
	say := func(field, message string) {
		wrong = append(wrong, models.FieldError{Location: "storage." + field, Message: message})
	}
	to := c.To
	// field tells whether a field belongs to the kind.
	field := func(name, value string, kinds ...models.StorageKind) bool {
		belongs := slices.Contains(kinds, to.Kind)
		switch {
		case value != "" && !belongs:
			say(name, "is not a field of the kind "+string(to.Kind))
		case len(value) > maxStorageField:
			say(name, "is too long")
		}
		return belongs
	}
	switch to.Kind {
	case models.StorageS3, models.StorageGCS, models.StorageAzure:
	default:
		return models.Invalid(models.FieldError{Location: "storage.kind", Message: "must be one of: s3, gcs, azure"})
	}
	if field("bucket", to.Bucket, models.StorageS3, models.StorageGCS) && !matches(bucketName, to.Bucket) {
		say("bucket", "must be the name of a bucket")
	}
	if field("container", to.Container, models.StorageAzure) && !matches(bucketName, to.Container) {
		say("container", "must be the name of a container")
	}
	if field("account_name", to.AccountName, models.StorageAzure) && !matches(accountName, to.AccountName) {
		say("account_name", "must be the name of a storage account")
	}
	if field("access_key", to.AccessKey, models.StorageS3) && !matches(accessKey, to.AccessKey) {
		say("access_key", "must be visible ASCII characters")
	}
	if field("region", to.Region, models.StorageS3) && to.Region != "" && !matches(regionName, to.Region) {
		say("region", "must be the name of a region")
	}
	if field("endpoint", to.Endpoint, models.StorageS3) && to.Endpoint != "" && s.c.Targets.CheckURL(ctx, to.Endpoint) != nil {
		say("endpoint", "must be an https URL whose host resolves to public addresses only")
	}
	if to.ForcePathStyle {
		field("force_path_style", "true", models.StorageS3)
	}
	dotted := strings.Contains("/"+to.Prefix+"/", "/../") || strings.Contains("/"+to.Prefix+"/", "/./")
	if to.Prefix != "" && (len(to.Prefix) > maxPrefix || dotted || !matches(prefixPath, to.Prefix)) {
		say("prefix", "must be a path of letters, digits and -_.=, at most 200 bytes, without a leading slash")
	}
	if to.CDNBaseURL != "" && !isBaseURL(to.CDNBaseURL) {
		say("cdn_base_url", "must be an http or https URL without user, query and fragment")
	}
	if plain := c.Secret.Reveal(); plain != "" {
		name := strings.TrimPrefix(secretField(to.Kind), "storage.")
		switch {
		case len(plain) > maxCredential:
			say(name, "is too long")
		case to.Kind == models.StorageGCS && !isServiceAccount(plain):
			say(name, "must be the JSON key of a Google service account")
		}
	}
	if len(wrong) > 0 {
		return models.Invalid(wrong...)
	}
	return nil
}

func isBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" &&
		len(text) <= maxStorageField
}

// isServiceAccount tells whether credentials are the key of a service account of
// Google itself: those of other types make a client read files, run programs or
// call URLs of their choice.
func isServiceAccount(text string) bool {
	var key struct {
		Type     string `json:"type"`
		Email    string `json:"client_email"`
		Key      string `json:"private_key"`
		TokenURI string `json:"token_uri"`
		Universe string `json:"universe_domain"`
	}
	return json.Unmarshal([]byte(text), &key) == nil && key.Type == "service_account" && key.Email != "" && key.Key != "" &&
		(key.TokenURI == "https://oauth2.googleapis.com/token" || key.TokenURI == "https://accounts.google.com/o/oauth2/token") &&
		(key.Universe == "" || key.Universe == "googleapis.com")
}
