package database

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// Watched returns an engine that calls wrote after each write that may have
// changed a document which workers look for: of LiveKit's events, of what tenants
// are told, of what must be sent, stopped, removed or added up. wrote must return
// soon.
func Watched(e Engine, wrote func()) Engine {
	return &watched{Engine: e, wrote: wrote, collections: []string{
		liveKitEvents, events, endpoints, deliveries, evictions, egresses, passwordResets, usageMetrics, usageTotals,
	}}
}

type watched struct {
	Engine
	wrote       func()
	collections []string
}

// told calls wrote unless a write did nothing; one whose outcome is unknown may
// have.
func (w *watched) told(collection string, nothing bool) {
	if !nothing && slices.Contains(w.collections, collection) {
		w.wrote()
	}
}

func (w *watched) Insert(ctx context.Context, collection string, doc any) error {
	err := w.Engine.Insert(ctx, collection, doc)
	w.told(collection, false)
	return err
}

func (w *watched) InsertMany(ctx context.Context, collection string, docs []any) ([]int, error) {
	duplicates, err := w.Engine.InsertMany(ctx, collection, docs)
	w.told(collection, len(docs) == 0)
	return duplicates, err
}

func (w *watched) Update(ctx context.Context, collection string, filter, update bson.D, opts UpdateOptions) (int64, error) {
	matched, err := w.Engine.Update(ctx, collection, filter, update, opts)
	w.told(collection, err == nil && matched == 0 && !opts.Upsert)
	return matched, err
}

func (w *watched) FindOneAndUpdate(ctx context.Context, collection string, filter, update bson.D, opts FindAndUpdateOptions, out any) error {
	err := w.Engine.FindOneAndUpdate(ctx, collection, filter, update, opts, out)
	w.told(collection, models.IsKind(err, models.KindNotFound))
	return err
}
