package tenancy

import (
	"context"
	"slices"
	"strconv"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/utils/apikey"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

// leavingFor is how long a deletion may take; after that the key counts as
// usable again, because the deleting process died.
const leavingFor = time.Minute

// Keys manages a project's API keys beyond the first: scopes, networks, expiry.
type Keys struct{ c KeysConfig }

// KeysConfig of NewKeys; every field is required.
type KeysConfig struct {
	APIKeys  *database.APIKeys
	Projects *database.Projects
	KeyAuth  *auth.Keys
	Hasher   *hashing.Hasher
	Cursors  *cursor.Codec
	// Changes is told what every write changed.
	Changes *lookup.Changes
	// Trail records every change.
	Trail *audit.Trail
	Now   func() time.Time
}

// NewKeys builds the service. It fails if a required field is missing.
func NewKeys(c KeysConfig) (*Keys, error) {
	return &Keys{c}, required.Fields(c)
}

// NewKeyPair is a new API key with its secret, which is shown once.
type NewKeyPair struct {
	Key    models.APIKey
	Secret secret.Value
}

// madeBefore returns the pair that an earlier attempt of the same request stored;
// not_found if none did.
func madeBefore(ctx context.Context, stored *database.APIKeys, t models.Tenant, project models.ProjectID) (NewKeyPair, error) {
	if !intent.Resumed(ctx) {
		return NewKeyPair{}, models.NotFound()
	}
	pair, err := stored.Get(ctx, t, project, models.KeyID(intent.ID(ctx, models.KeyPrefix)))
	if err != nil {
		return NewKeyPair{}, err
	}
	_, value, err := apikey.From(intent.Random(ctx, "key pair"))
	if err != nil {
		return NewKeyPair{}, models.Internal(err)
	}
	return NewKeyPair{Key: pair, Secret: value}, nil
}

// mintPair generates the two halves of an API key and fills in the derived fields;
// it stores nothing.
func mintPair(ctx context.Context, hasher *hashing.Hasher, pair models.APIKey) (NewKeyPair, error) {
	key, value, err := apikey.From(intent.Random(ctx, "key pair"))
	if err != nil {
		return NewKeyPair{}, models.Internal(err)
	}
	hash, err := hasher.Hash(ctx, value)
	if err != nil {
		return NewKeyPair{}, err
	}
	pair.ID, pair.Key = models.KeyID(intent.ID(ctx, models.KeyPrefix)), key
	pair.SecretHash, pair.PepperID, pair.SecretHint = hash.Hash, hash.Pepper, apikey.Hint(value)
	pair.SecretMark = hasher.Mark(string(pair.ID), hash.Hash, value)
	return NewKeyPair{Key: pair, Secret: value}, nil
}

// KeyPairInput is an API key to be created. Without Scopes it has all of them,
// without AllowedIPs it works from any address, without ExpiresAt it does not
// expire.
type KeyPairInput struct {
	Name       string
	Scopes     []models.Scope
	AllowedIPs []string
	ExpiresAt  *time.Time
}

// Create creates an API key of a project. Errors: forbidden insufficient_scope if
// the calling key has fewer scopes, an earlier expiry or fewer networks; invalid
// for an expiry in the past or a malformed network.
func (s *Keys) Create(ctx context.Context, actor *models.Principal, id models.ProjectID, in KeyPairInput) (out NewKeyPair, err error) {
	if err := actor.May(models.ActionKeysWrite); err != nil {
		return NewKeyPair{}, err
	}
	project, err := s.c.Projects.Get(ctx, actor.Tenant(), id)
	if err != nil {
		return NewKeyPair{}, err
	}
	if made, err := madeBefore(ctx, s.c.APIKeys, actor.Tenant(), id); !models.IsKind(err, models.KindNotFound) {
		return made, err
	}
	now := s.c.Now()
	if len(in.Scopes) == 0 {
		in.Scopes = []models.Scope{models.ScopeAll}
	}
	networks, err := checkKeyPair(now, in.AllowedIPs, in.ExpiresAt)
	if err != nil {
		return NewKeyPair{}, err
	}
	made := models.APIKey{
		ProjectID: id, OrgID: project.OrgID, Name: in.Name, Scopes: unique(in.Scopes), AllowedIPs: networks,
		ExpiresAt: in.ExpiresAt, CreatedBy: actor.UserID, CreatedAt: now,
	}
	if err := withinReach(ctx, s.c.APIKeys, actor, &made); err != nil {
		return NewKeyPair{}, err
	}
	pair, err := mintPair(ctx, s.c.Hasher, made)
	if err != nil {
		return NewKeyPair{}, err
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: project.OrgID, ProjectID: id, Action: "key.created", Type: "key", ID: string(pair.Key.ID),
		After: map[string]any{
			"name": in.Name, "project_id": id, "scopes": pair.Key.Scopes, "allowed_ips": networks, "expires_at": in.ExpiresAt,
		},
	})
	if err != nil {
		return NewKeyPair{}, err
	}
	defer entry.End(ctx, &err)
	if err := s.c.APIKeys.Insert(ctx, &pair.Key); err != nil {
		return NewKeyPair{}, err
	}
	s.c.Changes.Publish(models.KeyChanged(pair.Key.ID, pair.Key.Key))
	return pair, nil
}

// Get reads one API key of a project.
func (s *Keys) Get(ctx context.Context, actor *models.Principal, project models.ProjectID, id models.KeyID) (models.APIKey, error) {
	if err := actor.May(models.ActionKeysRead); err != nil {
		return models.APIKey{}, err
	}
	return s.read(ctx, actor, project, id)
}

// read returns one API key of a project that is not deleted.
func (s *Keys) read(ctx context.Context, actor *models.Principal, project models.ProjectID, id models.KeyID) (models.APIKey, error) {
	if _, err := s.c.Projects.Get(ctx, actor.Tenant(), project); err != nil {
		return models.APIKey{}, err
	}
	return s.c.APIKeys.Get(ctx, actor.Tenant(), project, id)
}

// List reads a page of a project's API keys, including expired ones.
func (s *Keys) List(ctx context.Context, actor *models.Principal, project models.ProjectID, p paging.Request) (paging.Page[models.APIKey], error) {
	if err := actor.May(models.ActionKeysRead); err != nil {
		return paging.Page[models.APIKey]{}, err
	}
	if _, err := s.c.Projects.Get(ctx, actor.Tenant(), project); err != nil {
		return paging.Page[models.APIKey]{}, err
	}
	return paging.ByID(s.c.Cursors, actor, "keys|"+string(project), p, func(at database.Page) ([]models.APIKey, error) {
		return s.c.APIKeys.List(ctx, actor.Tenant(), project, at)
	}, func(k models.APIKey) string { return string(k.ID) })
}

// KeyPairChange is a partial update; nil keeps a field.
type KeyPairChange struct {
	Name       *string
	Scopes     *[]models.Scope
	AllowedIPs *[]string
	// ExpiresAt is the new expiry; NoExpiry removes the expiry.
	ExpiresAt *time.Time
	NoExpiry  bool
}

// Update changes an API key, at once in this process and within freshFor in others.
// Errors: forbidden insufficient_scope if the key, before or after the change, has
// more scopes, a later expiry or more networks than the calling key; conflict
// key_rotated for a new expiry of a rotated key.
func (s *Keys) Update(ctx context.Context, actor *models.Principal, project models.ProjectID, id models.KeyID, c KeyPairChange) (after models.APIKey, err error) {
	if err := actor.May(models.ActionKeysWrite); err != nil {
		return models.APIKey{}, err
	}
	err = s.c.Trail.Reapply(ctx, string(id), func(ctx context.Context) error {
		after, err = s.update(ctx, actor, project, id, c)
		return err
	})
	return after, err
}

// update changes an API key as it is read now; conflict database.ChangedSince.
func (s *Keys) update(ctx context.Context, actor *models.Principal, project models.ProjectID, id models.KeyID, c KeyPairChange) (after models.APIKey, err error) {
	before, err := s.read(ctx, actor, project, id)
	if err != nil {
		return models.APIKey{}, err
	}
	change := database.APIKeyChange{Name: c.Name, ExpiresAt: c.ExpiresAt, NoExpiry: c.NoExpiry}
	if c.Scopes != nil {
		scopes := unique(*c.Scopes)
		change.Scopes = &scopes
	}
	var asked []string
	if c.AllowedIPs != nil {
		asked = *c.AllowedIPs
	}
	networks, err := checkKeyPair(s.c.Now(), asked, c.ExpiresAt)
	if err != nil {
		return models.APIKey{}, err
	}
	if c.AllowedIPs != nil {
		change.AllowedIPs = &networks
	}
	if before.RotatedAt != nil && change.Ends() {
		return models.APIKey{}, auth.ErrKeyRotated()
	}
	asChanged := change.Of(before)
	if err := withinReach(ctx, s.c.APIKeys, actor, &before, &asChanged); err != nil {
		return models.APIKey{}, err
	}
	var fields audit.Changes
	audit.Changed(&fields, "name", before.Name, change.Name)
	audit.Changed(&fields, "scopes", before.Scopes, change.Scopes)
	audit.Changed(&fields, "allowed_ips", before.AllowedIPs, change.AllowedIPs)
	if change.Ends() {
		audit.Changed(&fields, "expires_at", before.ExpiresAt, &c.ExpiresAt)
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: before.OrgID, ProjectID: before.ProjectID, Action: "key.updated", Type: "key", ID: string(id), Before: fields.Before, After: fields.After,
	})
	if err != nil {
		return models.APIKey{}, err
	}
	defer entry.End(ctx, &err)
	after, err = s.c.APIKeys.Update(ctx, actor.Tenant(), &before, change)
	s.c.Changes.Publish(models.KeyChanged(id, before.Key))
	return after, err
}

// Delete deletes an API key, at once in this process and within freshFor in others.
// conflict last_usable_key for the last usable key, unless force is set; of several
// concurrent deletions one fails with it.
func (s *Keys) Delete(ctx context.Context, actor *models.Principal, project models.ProjectID, id models.KeyID, force bool) error {
	if err := actor.May(models.ActionKeysWrite); err != nil {
		return err
	}
	return s.c.Trail.Reapply(ctx, "", func(ctx context.Context) error { return s.delete(ctx, actor, project, id, force) })
}

// delete deletes an API key as it is read now; conflict database.ChangedSince.
func (s *Keys) delete(ctx context.Context, actor *models.Principal, project models.ProjectID, id models.KeyID, force bool) error {
	pair, err := s.read(ctx, actor, project, id)
	if err != nil {
		return err
	}
	if id != actor.KeyID { // a key may always delete itself
		if err := withinReach(ctx, s.c.APIKeys, actor, &pair); err != nil {
			return err
		}
	}
	return deletion{s.c.Trail, s.c.Changes, actor}.key(ctx, &pair, func() error {
		if !force {
			if err := s.claimDeletion(ctx, actor, &pair); err != nil {
				return err
			}
		}
		err := s.c.APIKeys.Remove(ctx, actor.Tenant(), &pair)
		s.c.Changes.Publish(models.KeyChanged(id, pair.Key))
		return err
	})
}

// claimDeletion records in the project that a key is about to be deleted, if a
// usable key remains. Keys that others are about to delete do not count, and the
// project's version serializes claims.
func (s *Keys) claimDeletion(ctx context.Context, actor *models.Principal, pair *models.APIKey) error {
	return s.c.Trail.Reapply(ctx, "", func(ctx context.Context) error {
		project, err := s.c.Projects.Get(ctx, actor.Tenant(), pair.ProjectID)
		if err != nil {
			return err
		}
		now := s.c.Now()
		leaving := slices.DeleteFunc(project.LeavingKeys, func(k models.LeavingKey) bool {
			return k.ID == pair.ID || now.Sub(k.At) >= leavingFor
		})
		if pair.Usable(now) {
			// One key more than may be excluded shows whether one remains.
			usable, err := s.c.APIKeys.Usable(ctx, actor.Tenant(), pair.ProjectID, now, int64(len(leaving))+2)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(usable, func(k models.APIKey) bool {
				return k.ID != pair.ID && !slices.ContainsFunc(leaving, func(l models.LeavingKey) bool { return l.ID == k.ID })
			}) {
				return models.Conflict("last_usable_key",
					"This is the last usable key of the project; repeat with ?force=true to delete it.")
			}
		}
		return s.c.Projects.SetLeavingKeys(ctx, actor.Tenant(), pair.ProjectID, project.KeysVersion,
			append(leaving, models.LeavingKey{ID: pair.ID, At: now}))
	})
}

// checkKeyPair returns the allowed addresses as networks. It refuses malformed ones
// and an expiry in the past.
func checkKeyPair(now time.Time, allowed []string, end *time.Time) ([]string, error) {
	var wrong []models.FieldError
	networks := make([]string, 0, len(allowed))
	for i, text := range allowed {
		network, err := models.ParseAllowedIP(text)
		if err != nil {
			wrong = append(wrong, models.FieldError{Location: "allowed_ips[" + strconv.Itoa(i) + "]",
				Message: "must be an IP address or network such as 203.0.113.7 or 203.0.113.0/24"})
			continue
		}
		networks = append(networks, network.String())
	}
	switch {
	case end == nil:
	case !now.Before(*end):
		wrong = append(wrong, models.FieldError{Location: "expires_at", Message: "must be in the future"})
	case end.UTC().Year() > 9999: // RFC 3339 has years of four digits
		wrong = append(wrong, models.FieldError{Location: "expires_at", Message: "must be before the year 10000 in UTC"})
	}
	if len(wrong) > 0 {
		return nil, models.Invalid(wrong...)
	}
	return unique(networks), nil
}

// unique drops duplicates and keeps the order.
func unique[T comparable](items []T) []T {
	out := make([]T, 0, len(items))
	for _, item := range items {
		if !slices.Contains(out, item) {
			out = append(out, item)
		}
	}
	return out
}
