package composition

import (
	"pulse-control-plane/services/storage"
	"pulse-control-plane/utils/safedial"
)

// storage builds the seal on storages of projects, and their check.
func (b *builder) storage() error {
	sealed, err := b.sealed.Of("projects", "storage.secret")
	if err != nil {
		return err
	}
	b.vault = storage.NewVault(sealed, b.Media.EgressLocal)
	b.out.Storage, err = storage.NewChecker(storage.CheckerConfig{
		Projects: b.projects, Vault: b.vault, Client: safedial.NewClient(b.storageTargets()), Log: b.Log,
	})
	return err
}

// storageTargets says which endpoints storages may have.
func (b *builder) storageTargets() safedial.Options {
	return safedial.Options{AllowHTTP: b.Targets.AllowHTTP, AllowPrivate: b.Media.AllowPrivate, DialTimeout: lookupTimeout}
}
