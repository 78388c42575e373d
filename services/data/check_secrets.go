package data

import (
	"context"
	"slices"

	"pulse-control-plane/database"
	"pulse-control-plane/utils/secret"
)

// recognised compares the secrets at hand with those that the database was made
// with. Secrets that are not set are not compared.
func (k *check) recognised(ctx context.Context) error {
	if k.file != nil && slices.Contains(k.file.Missing(), "fingerprints") {
		return nil
	}
	stored, err := database.NewFingerprints(k.engine).All(ctx)
	if err != nil {
		return err
	}
	for i := range stored {
		f := &stored[i]
		if values := k.secrets[f.Name]; len(values) > 0 && f.Name != JWTSecret && !known(f, values) {
			return k.fault(faultSecrets, "%s is another than the database was made with", f.Name)
		}
	}
	return nil
}

// sealed opens every sealed value that the first DATA_KEY did not seal. A value
// that no listed key opens is a fault; values of an older listed key are noted, since
// rekey may be about to run.
func (k *check) sealed(ctx context.Context) error {
	keys := k.secrets[DataKey]
	if len(keys) == 0 {
		return nil
	}
	ring, err := secret.NewRing(keys...)
	if err != nil {
		return err
	}
	fields := database.SealedUnder(ring)
	var all database.Sealing
	for _, collection := range database.SealedCollections() {
		if k.file != nil && slices.Contains(k.file.Missing(), collection) {
			continue
		}
		k.working("sealed values of %s", collection)
		counted, err := fields.Count(ctx, k.engine, collection)
		if err != nil {
			return err
		}
		all.Add(counted)
	}
	if all.Unopened > 0 {
		return k.fault(faultSecrets, "no key of DATA_KEY opens %d sealed values; the first is %s", all.Unopened, all.Unopenable)
	}
	if left := all.Left(); left > 0 && k.progress != nil {
		return say(k.progress, "note: older keys of DATA_KEY sealed %d values; rekey seals them with the first key\n", left)
	}
	return nil
}
