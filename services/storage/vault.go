package storage

import (
	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/secret"
)

// Vault seals and opens the credentials of storages.
type Vault struct {
	sealed *database.SealedField
	// local allows the egress worker's own disk (EGRESS_LOCAL).
	local bool
}

// NewVault seals storage.secret of projects.
func NewVault(sealed *database.SealedField, local bool) *Vault { return &Vault{sealed, local} }

// Seal seals credentials for a project.
func (v *Vault) Seal(p models.ProjectID, plain secret.Value) (string, error) {
	sealed, err := v.sealed.Seal([]byte(plain.Reveal()), string(p))
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
	plain, err := v.sealed.Open(p.Storage.Secret, string(p.ID))
	if err != nil {
		return nil, models.Internal(err)
	}
	return &livekit.Upload{Storage: *p.Storage, Opened: secret.New(string(plain))}, nil
}
