package mongo

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// upsertTries is how often an upsert is tried if another client inserts its
// document meanwhile. Two clients see no document and both insert; one gets a
// duplicate key and its second try updates ("Upsert with Unique Index",
// mongodb.com/docs/manual/reference/method/db.collection.update). The server
// retries by itself only if the filter is just the unique key. A third try
// allows for a delete in between.
const upsertTries = 3

// Insert implements engine.Engine.
func (m *Engine) Insert(ctx context.Context, collection string, doc any) error {
	c, err := m.collection(collection)
	if err != nil {
		return err
	}
	raw, err := c.encode(doc)
	if err != nil {
		return err
	}
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	_, err = c.handle.InsertOne(ctx, raw)
	return failure(c.Declared, err)
}

// encode returns the checked BSON of a document.
func (c collection) encode(doc any) (bson.Raw, error) {
	raw, err := bson.Marshal(doc)
	if err != nil {
		return nil, models.Internal(err)
	}
	return raw, c.CheckDocument(raw)
}

// InsertMany implements engine.Engine. If a write fails for another reason than
// a duplicate, it returns the known duplicates with the error.
func (m *Engine) InsertMany(ctx context.Context, collection string, docs []any) ([]int, error) {
	c, err := m.collection(collection)
	if err != nil {
		return nil, err
	}
	if len(docs) > engine.MaxBatch {
		return nil, c.Refuse("%d documents at once; %d are allowed", len(docs), engine.MaxBatch)
	}
	if len(docs) == 0 { // the driver refuses an empty list
		return nil, nil
	}
	raws := make([]bson.Raw, len(docs))
	for i, doc := range docs {
		if raws[i], err = c.encode(doc); err != nil {
			return nil, err
		}
	}
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	_, err = c.handle.InsertMany(ctx, raws, options.InsertMany().SetOrdered(false))
	return splitDuplicates(c.Declared, err)
}

// splitDuplicates separates the duplicates from the error of InsertMany.
func splitDuplicates(d *engine.Declared, err error) ([]int, error) {
	var bulk mongo.BulkWriteException
	if !errors.As(err, &bulk) {
		return nil, failure(d, err)
	}
	var duplicates []int
	var others []mongo.BulkWriteError
	for _, w := range bulk.WriteErrors {
		if mongo.IsDuplicateKeyError(w.WriteError) {
			duplicates = append(duplicates, w.Index)
		} else {
			others = append(others, w)
		}
	}
	slices.Sort(duplicates)
	if len(others) == 0 && bulk.WriteConcernError == nil {
		return duplicates, nil
	}
	bulk.WriteErrors = others
	return duplicates, failure(d, bulk)
}

// Update implements engine.Engine. An upserted document does not count as a
// match.
func (m *Engine) Update(ctx context.Context, collection string, filter, update bson.D, opts engine.UpdateOptions) (int64, error) {
	c, err := m.collection(collection)
	if err != nil {
		return 0, err
	}
	if err := c.checkWrite(filter, update, nil, opts.Upsert); err != nil {
		return 0, err
	}
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	var result *mongo.UpdateResult
	err = retryUpsert(opts.Upsert, func() error {
		if opts.Many {
			result, err = c.handle.UpdateMany(ctx, filter, update, options.UpdateMany().SetUpsert(opts.Upsert))
		} else {
			result, err = c.handle.UpdateOne(ctx, filter, update, options.UpdateOne().SetUpsert(opts.Upsert))
		}
		return err
	})
	if err != nil {
		return 0, failure(c.Declared, err)
	}
	return result.MatchedCount, nil
}

// FindOneAndUpdate implements engine.Engine.
func (m *Engine) FindOneAndUpdate(ctx context.Context, collection string, filter, update bson.D, opts engine.FindAndUpdateOptions, out any) error {
	c, err := m.collection(collection)
	if err != nil {
		return err
	}
	if err := c.checkWrite(filter, update, opts.Sort, opts.Upsert); err != nil {
		return err
	}
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	o := options.FindOneAndUpdate().SetReturnDocument(options.After).SetUpsert(opts.Upsert)
	if len(opts.Sort) > 0 {
		o.SetSort(opts.Sort)
	}
	var result *mongo.SingleResult
	err = retryUpsert(opts.Upsert, func() error {
		result = c.handle.FindOneAndUpdate(ctx, filter, update, o)
		return result.Err()
	})
	if err != nil {
		return failure(c.Declared, err)
	}
	return failure(c.Declared, result.Decode(out))
}

// Swap implements engine.Engine.
func (m *Engine) Swap(ctx context.Context, collection, id string, before, after bson.D) (bool, error) {
	c, err := m.collection(collection)
	if err != nil {
		return false, err
	}
	if _, err := c.CheckSwap(before, after); err != nil {
		return false, err
	}
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	filter := append(bson.D{{Key: engine.IDField, Value: id}}, before...)
	result, err := c.handle.UpdateOne(ctx, filter, bson.D{{Key: "$set", Value: after}})
	if err != nil {
		return false, failure(c.Declared, err)
	}
	return result.MatchedCount > 0, nil
}

// checkWrite checks the arguments of Update and FindOneAndUpdate.
func (c collection) checkWrite(filter, update, sort bson.D, upsert bool) error {
	f, err := c.CheckWriteFilter(filter)
	if err != nil {
		return err
	}
	if _, err := c.CheckUpdate(update); err != nil {
		return err
	}
	if _, err := c.CheckSort(sort); err != nil {
		return err
	}
	if upsert {
		return c.CheckUpsert(f)
	}
	return nil
}

// retryUpsert repeats an upsert that met a duplicate "_id". A duplicate in
// another unique index is not retried.
func retryUpsert(upsert bool, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if !upsert || try == upsertTries || !isDuplicateID(err) {
			return err
		}
	}
}

// isDuplicateID reports whether err is a duplicate "_id", or a duplicate
// without the name of its index.
func isDuplicateID(err error) bool {
	if !mongo.IsDuplicateKeyError(err) {
		return false
	}
	index := duplicateKeyIndex(err)
	return index == "_id_" || index == "_id_1" || index == ""
}

// Delete implements engine.Engine.
func (m *Engine) Delete(ctx context.Context, collection string, filter bson.D, limit int64) (int64, error) {
	c, err := m.collection(collection)
	if err != nil {
		return 0, err
	}
	if _, err := c.CheckWriteFilter(filter); err != nil {
		return 0, err
	}
	if limit != 0 && limit != 1 { // as MongoDB's delete command
		return 0, c.Refuse("a delete with limit %d; 0 (all) and 1 are allowed", limit)
	}
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	var result *mongo.DeleteResult
	if limit == 1 {
		result, err = c.handle.DeleteOne(ctx, filter)
	} else {
		result, err = c.handle.DeleteMany(ctx, filter)
	}
	if err != nil {
		return 0, failure(c.Declared, err)
	}
	return result.DeletedCount, nil
}
