package mongo

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// Declare replaces the schema of an engine that nothing uses yet: which one is right
// may follow from what is stored. EnsureSchema brings the database to it.
func (m *Engine) Declare(_ context.Context, schema []engine.Collection) error {
	declared, err := engine.Declare(schema)
	if err != nil {
		return err
	}
	m.schema, m.declared = schema, declared
	return nil
}

// StoredName implements engine.Engine.
func (m *Engine) StoredName(collection string) string { return m.declared.StoredName(collection) }

// Existing implements engine.Engine; a view is none.
func (m *Engine) Existing(ctx context.Context) ([]string, error) {
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	found, err := m.db.ListCollectionSpecifications(ctx, bson.D{})
	if err != nil {
		return nil, failure(nil, err)
	}
	var names []string
	for _, c := range found {
		if c.Type != "view" {
			names = append(names, c.Name)
		}
	}
	return names, nil
}

// Rename implements engine.Engine. Each collection is renamed by one command, its
// indexes with it; which are left to do is what the database lists, so that a second
// run, or a second process, does the rest.
func (m *Engine) Rename(ctx context.Context, collections []string, then engine.Then) error {
	schema := slices.Clone(m.schema)
	for i, c := range schema {
		if c.Former == "" || !slices.Contains(collections, c.Name) {
			continue
		}
		if err := m.rename(ctx, c.Former, c.Name); err != nil {
			return err
		}
		schema[i].Former = ""
	}
	if _, err := m.Update(ctx, then.Collection, engine.ID(then.ID), then.Update, engine.UpdateOptions{Upsert: true}); err != nil {
		return err
	}
	return m.Declare(ctx, schema)
}

func (m *Engine) rename(ctx context.Context, from, to string) error {
	names, err := m.Existing(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(names, from) {
		if slices.Contains(names, to) {
			if done, err := m.dropEmpty(ctx, from, to); done || err != nil {
				return m.fence(ctx, from, to, err)
			}
		}
		admin := bson.D{{Key: "renameCollection", Value: m.db.Name() + "." + from}, {Key: "to", Value: m.db.Name() + "." + to}}
		bounded, cancel := m.bounded(ctx)
		err := m.client.Database("admin").RunCommand(bounded, admin).Err()
		cancel()
		switch {
		case slices.Contains(mongo.ErrorCodes(err), namespaceNotFound): // another process did it
		case isBusy(err):
			return models.Unavailable(err)
		case err != nil:
			return failure(nil, err)
		}
	}
	return m.fence(ctx, from, to, nil)
}

// dropEmpty drops one of two collections if it has no documents, and reports
// whether that was the former one, so that nothing is left to rename.
func (m *Engine) dropEmpty(ctx context.Context, from, to string) (done bool, err error) {
	for _, name := range []string{to, from} {
		bounded, cancel := m.bounded(ctx)
		defer cancel()
		n, err := m.db.Collection(name).CountDocuments(bounded, bson.D{})
		if err != nil {
			return false, failure(nil, err)
		}
		if n == 0 {
			return name == from, failure(nil, m.db.Collection(name).Drop(bounded))
		}
	}
	return false, engine.NamesTaken(from, to)
}

// fence makes the view that keeps a process which has not noticed a renaming from
// making the former collection again; see engine.Engine. A server without views has
// no fence.
func (m *Engine) fence(ctx context.Context, from, to string, err error) error {
	if err != nil {
		return err
	}
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	err = failure(nil, m.db.CreateView(ctx, from, to, mongo.Pipeline{}))
	switch {
	case err == nil, models.IsKind(err, models.KindUnavailable):
		return err
	case slices.Contains(mongo.ErrorCodes(err), namespaceExists): // of an earlier run, or a collection of a process that has not noticed
		names, err := m.Existing(ctx)
		if err == nil && slices.Contains(names, from) {
			err = engine.NamesTaken(from, to)
		}
		return err
	}
	m.options.Log.Warn().Err(err).Str("collection", to).Str("former_name", from).
		Msg("the server makes no view under the former name of a collection; no process of an earlier version may be left")
	return nil
}
