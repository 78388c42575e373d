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
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

const (
	// leavingFor is how long a removal may take before a pair that was about to
	// be removed counts again: a process that died in between left it behind.
	leavingFor = time.Minute
	// removalTries bounds how often a removal is tried that meets another one.
	removalTries = 10
)

// Keys are a project's key pairs: further ones beside the first, what they
// may do, and their end.
type Keys struct{ c KeysConfig }

// KeysConfig of NewKeys; every field is required.
type KeysConfig struct {
	APIKeys  *database.APIKeys
	Projects *database.Projects
	KeyAuth  *auth.Keys
	Hasher   *hashing.Hasher
	Cursors  *cursor.Codec
	// Changes hears what every write changed.
	Changes *lookup.Changes
	// Trail records every change.
	Trail *audit.Trail
	Now   func() time.Time
}

// NewKeys builds the service. It fails if a required field is missing.
func NewKeys(c KeysConfig) (*Keys, error) {
	return &Keys{c}, required.Fields(c)
}

// NewKeyPair is a pair as it is handed out, this once.
type NewKeyPair struct {
	Key    models.APIKey
	Secret secret.Value
}

// mintPair makes the two halves of a pair and fills in what follows from them;
// nothing is stored yet.
func mintPair(ctx context.Context, hasher *hashing.Hasher, pair models.APIKey) (NewKeyPair, error) {
	key, value, err := apikey.Generate()
	if err != nil {
		return NewKeyPair{}, models.Internal(err)
	}
	hash, err := hasher.Hash(ctx, value)
	if err != nil {
		return NewKeyPair{}, err
	}
	pair.ID, pair.Key = models.KeyID(ids.New(models.KeyPrefix)), key
	pair.SecretHash, pair.SecretHint = hash, apikey.Hint(value)
	return NewKeyPair{Key: pair, Secret: value}, nil
}

// KeyPairInput makes a pair. No Scopes means all of them, no AllowedIPs from
// anywhere, no ExpiresAt for good.
type KeyPairInput struct {
	Name       string
	Scopes     []models.Scope
	AllowedIPs []string
	ExpiresAt  *time.Time
}

// Create makes a further pair of a project. forbidden insufficient_scope when
// a key asks for one that may do more, works longer or from more places than
// itself; invalid for an end in the past or an address that is none.
func (s *Keys) Create(ctx context.Context, actor *models.Principal, id models.ProjectID, in KeyPairInput) (out NewKeyPair, err error) {
	if err := actor.May(models.ActionKeysWrite); err != nil {
		return NewKeyPair{}, err
	}
	project, err := s.c.Projects.Get(ctx, actor.Tenant(), id)
	if err != nil {
		return NewKeyPair{}, err
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
		OrgID: project.OrgID, Action: "key.created", Type: "key", ID: string(pair.Key.ID),
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

// Get reads one pair of a project.
func (s *Keys) Get(ctx context.Context, actor *models.Principal, project models.ProjectID, id models.KeyID) (models.APIKey, error) {
	if err := actor.May(models.ActionKeysRead); err != nil {
		return models.APIKey{}, err
	}
	return s.read(ctx, actor, project, id)
}

// read gives one pair of a project that is still there.
func (s *Keys) read(ctx context.Context, actor *models.Principal, project models.ProjectID, id models.KeyID) (models.APIKey, error) {
	if _, err := s.c.Projects.Get(ctx, actor.Tenant(), project); err != nil {
		return models.APIKey{}, err
	}
	return s.c.APIKeys.Get(ctx, actor.Tenant(), project, id)
}

// List reads a page of a project's pairs, ended ones among them.
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

// KeyPairChange is a partial update; nil leaves a field as it is.
type KeyPairChange struct {
	Name       *string
	Scopes     *[]models.Scope
	AllowedIPs *[]string
	// ExpiresAt is the new end; NoExpiry takes the end away.
	ExpiresAt *time.Time
	NoExpiry  bool
}

// Update changes a pair, at once in this process and within freshFor in
// others. A key changes no key that may do more, works longer or from more
// places than itself, and makes none of one: forbidden insufficient_scope. conflict key_rotated for another end of a pair that was
// replaced.
func (s *Keys) Update(ctx context.Context, actor *models.Principal, project models.ProjectID, id models.KeyID, c KeyPairChange) (after models.APIKey, err error) {
	if err := actor.May(models.ActionKeysWrite); err != nil {
		return models.APIKey{}, err
	}
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
		OrgID: before.OrgID, Action: "key.updated", Type: "key", ID: string(id), Before: fields.Before, After: fields.After,
	})
	if err != nil {
		return models.APIKey{}, err
	}
	defer entry.End(ctx, &err)
	after, err = s.c.APIKeys.Update(ctx, actor.Tenant(), project, id, change)
	s.c.Changes.Publish(models.KeyChanged(id, before.Key))
	if change.Ends() && models.IsKind(err, models.KindNotFound) {
		if _, gone := s.read(ctx, actor, project, id); gone != nil {
			return models.APIKey{}, gone
		}
		return models.APIKey{}, auth.ErrKeyRotated() // since it was read
	}
	return after, err
}

// Delete ends a pair, at once in this process and within freshFor in others.
// conflict last_usable_key for the only one that works, unless force is set:
// of several removals at the same time one finds itself the last.
func (s *Keys) Delete(ctx context.Context, actor *models.Principal, project models.ProjectID, id models.KeyID, force bool) (err error) {
	if err := actor.May(models.ActionKeysWrite); err != nil {
		return err
	}
	pair, err := s.read(ctx, actor, project, id)
	if err != nil {
		return err
	}
	if id != actor.KeyID { // itself it may always end
		if err := withinReach(ctx, s.c.APIKeys, actor, &pair); err != nil {
			return err
		}
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: pair.OrgID, Action: "key.deleted", Type: "key", ID: string(id),
		Before: map[string]any{"name": pair.Name, "project_id": project},
	})
	if err != nil {
		return err
	}
	defer entry.End(ctx, &err)
	if !force {
		if err := s.claimRemoval(ctx, actor, &pair); err != nil {
			return err
		}
	}
	err = s.c.APIKeys.Remove(ctx, actor.Tenant(), project, id)
	s.c.Changes.Publish(models.KeyChanged(id, pair.Key))
	return err
}

// claimRemoval writes into the project that a pair is about to be removed, if
// one that works then remains. Pairs that others are about to remove do not
// count, and the project's version lets one claim in at a time.
func (s *Keys) claimRemoval(ctx context.Context, actor *models.Principal, pair *models.APIKey) error {
	for range removalTries {
		project, err := s.c.Projects.Get(ctx, actor.Tenant(), pair.ProjectID)
		if err != nil {
			return err
		}
		now := s.c.Now()
		leaving := slices.DeleteFunc(project.LeavingKeys, func(k models.LeavingKey) bool {
			return k.ID == pair.ID || now.Sub(k.At) >= leavingFor
		})
		if pair.Usable(now) {
			// One more than could be left out tells whether one remains.
			usable, err := s.c.APIKeys.Usable(ctx, actor.Tenant(), pair.ProjectID, now, int64(len(leaving))+2)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(usable, func(k models.APIKey) bool {
				return k.ID != pair.ID && !slices.ContainsFunc(leaving, func(l models.LeavingKey) bool { return l.ID == k.ID })
			}) {
				return models.Conflict("last_usable_key",
					"Without this pair nothing of the project's could call any more; repeat with ?force=true if that is what you want.")
			}
		}
		err = s.c.Projects.SetLeavingKeys(ctx, actor.Tenant(), pair.ProjectID, project.KeysVersion,
			append(leaving, models.LeavingKey{ID: pair.ID, At: now}))
		if !models.IsKind(err, models.KindNotFound) {
			return err
		}
	}
	return models.Conflict("concurrent_change", "The project's keys were changed at the same time; read them and try again.")
}

// checkKeyPair gives the allowed addresses as networks, and refuses what is
// none and an end in the past.
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
		wrong = append(wrong, models.FieldError{Location: "expires_at", Message: "must lie in the future"})
	case end.UTC().Year() > 9999: // no answer could hold it: RFC 3339 writes years of four digits
		wrong = append(wrong, models.FieldError{Location: "expires_at", Message: "must lie before the year 10000 in UTC"})
	}
	if len(wrong) > 0 {
		return nil, models.Invalid(wrong...)
	}
	return unique(networks), nil
}

// unique drops repetitions and keeps the order.
func unique[T comparable](items []T) []T {
	out := make([]T, 0, len(items))
	for _, item := range items {
		if !slices.Contains(out, item) {
			out = append(out, item)
		}
	}
	return out
}
