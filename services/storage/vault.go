package storage

import (
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/secret"
)

// Vault seals and opens the credentials of storages.
type Vault struct {
	box *secret.Box
	// local allows the egress worker's own disk (EGRESS_LOCAL).
	local bool
}

// NewVault seals with a box.
func NewVault(box *secret.Box, local bool) *Vault { return &Vault{box, local} }

// SealedFor is what binds the credentials of a project's storage to it.
func SealedFor(p models.ProjectID) string { return "storage|" + string(p) }

// Seal seals credentials for a project.
func (v *Vault) Seal(p models.ProjectID, plain secret.Value) (string, error) {
	sealed, err := v.box.Seal([]byte(plain.Reveal()), SealedFor(p))
	if err != nil {
		return "", models.Internal(err)
	}
	return sealed, nil
}

// Of gives a project's storage, opened; nil is the egress worker's own disk.
// conflict storage_not_configured if the project has none and the disk is not
// allowed.
func (v *Vault) Of(p *models.Project) (*livekit.Upload, error) {
	if p.Storage == nil {
		if v.local {
			return nil, nil
		}
		return nil, models.Conflict("storage_not_configured", "The project has no storage for recordings; set storage in its settings first.")
	}
	plain, err := v.box.Open(p.Storage.Secret, SealedFor(p.ID))
	if err != nil {
		return nil, models.Internal(err)
	}
	return &livekit.Upload{Storage: *p.Storage, Opened: secret.New(string(plain))}, nil
}
