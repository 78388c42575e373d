package database

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const fingerprints = "fingerprints"

// maxFingerprints bounds the secrets that have a fingerprint.
const maxFingerprints = 100

// fingerprintsCollection holds which secrets the database was made with.
func fingerprintsCollection() Collection {
	return Collection{Name: fingerprints, Fields: []Field{{Name: "version", Kind: Int}}}
}

// Fingerprints is the repository of the fingerprints of secrets.
type Fingerprints struct{ engine Engine }

// NewFingerprints returns the repository over an engine.
func NewFingerprints(e Engine) *Fingerprints { return &Fingerprints{e} }

// All reads every fingerprint, in order of the secrets' names.
func (r *Fingerprints) All(ctx context.Context) ([]models.Fingerprint, error) {
	return many[models.Fingerprint](ctx, r.engine, fingerprints, Query{Sort: bson.D{{Key: "_id", Value: 1}}, Limit: maxFingerprints})
}

// Insert stores the first fingerprint of a secret; conflict if there is one.
func (r *Fingerprints) Insert(ctx context.Context, f *models.Fingerprint) error {
	return r.engine.Insert(ctx, fingerprints, f)
}

// Replace stores other values of a secret if the version is unchanged, and
// raises it; conflict otherwise.
func (r *Fingerprints) Replace(ctx context.Context, f *models.Fingerprint) error {
	matched, err := r.engine.Update(ctx, fingerprints, bson.D{{Key: "_id", Value: f.Name}, {Key: "version", Value: f.Version}},
		fields{{Key: "prints", Value: f.Prints}, {Key: "version", Value: f.Version + 1}}.update(), UpdateOptions{})
	if err == nil && matched == 0 {
		err = models.Conflict("concurrent_change", "Another process recorded its secrets at the same time.")
	}
	if err == nil {
		f.Version++
	}
	return err
}
