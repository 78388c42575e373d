package composition

import (
	"pulse-control-plane/services/storage"
	"pulse-control-plane/utils/safedial"
	"pulse-control-plane/utils/secret"
)

// storage builds the seal on storages of projects, and their check.
func (b *builder) storage() error {
	box, err := secret.NewBox(secret.Derive([]byte(b.DataKey.Reveal()), "storage credentials"))
	if err != nil {
		return err
	}
	b.vault = storage.NewVault(box, b.EgressLocal)
	b.out.Storage, err = storage.NewChecker(storage.CheckerConfig{
		Projects: b.projects, Vault: b.vault, Client: safedial.NewClient(b.Targets), Log: b.Log,
	})
	return err
}
