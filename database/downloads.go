package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const downloads = "downloads"

// downloadsCollection holds the downloads that may be fetched once.
func downloadsCollection() Collection {
	at := time.Duration(0)
	return Collection{
		Name:    downloads,
		Fields:  []Field{{Name: "key_hash", Kind: String}, {Name: "used", Kind: Bool}, {Name: "expires_at", Kind: Time}},
		Indexes: []Index{{Keys: []string{"expires_at"}, ExpireAfter: &at}},
	}
}

// Downloads is the repository of downloads.
type Downloads struct{ engine Engine }

// NewDownloads returns the repository over an engine.
func NewDownloads(e Engine) *Downloads { return &Downloads{e} }

// Insert stores a new download.
func (r *Downloads) Insert(ctx context.Context, d *models.Download) error {
	return r.engine.Insert(ctx, downloads, d)
}

func unused(id models.DownloadID, keyHash string, now time.Time) bson.D {
	return bson.D{{Key: "_id", Value: string(id)}, {Key: "key_hash", Value: keyHash}, {Key: "used", Value: false},
		{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: now}}}}
}

// Get reads a download that can be fetched, whatever its tenant; not_found
// otherwise.
func (r *Downloads) Get(ctx context.Context, id models.DownloadID, keyHash string, now time.Time) (models.Download, error) {
	return one[models.Download](ctx, r.engine, downloads, Query{Filter: unused(id, keyHash, now)})
}

// Take is Get, once.
func (r *Downloads) Take(ctx context.Context, id models.DownloadID, keyHash string, now time.Time) (models.Download, error) {
	return changed[models.Download](ctx, r.engine, downloads, unused(id, keyHash, now), fields{{Key: "used", Value: true}}.update())
}
