package database

import (
	"context"
	"errors"

	"github.com/rs/zerolog"

	"pulse-control-plane/database/embedded"
	"pulse-control-plane/database/mongo"
)

// Location says which engine keeps the documents, and where.
type Location struct {
	// URI of MongoDB, with the database's Name; empty for the embedded engine.
	URI, Name string
	// Path of the embedded engine's file.
	Path string
}

// Open opens the engine at a location and brings it to Schema. An index that
// differs from its declaration is logged and left as it is. Errors are those
// of mongo.Open and embedded.Open.
func Open(ctx context.Context, at Location, log zerolog.Logger) (Engine, error) {
	e, err := openEngine(ctx, at, log)
	if err != nil {
		return nil, err
	}
	differences, err := e.EnsureSchema(ctx)
	if err != nil {
		return nil, errors.Join(err, e.Close(ctx))
	}
	for _, d := range differences {
		log.Warn().Str("collection", d.Collection).Str("index", d.Index).Str("declared", d.Declared).
			Str("found", d.Found).Msg("an index differs from its declaration and was left as it is")
	}
	return e, nil
}

func openEngine(ctx context.Context, at Location, log zerolog.Logger) (Engine, error) {
	if at.URI != "" {
		return mongo.Open(ctx, at.URI, at.Name, Schema(), mongo.Options{Log: log})
	}
	return embedded.Open(ctx, at.Path, Schema(), embedded.Options{Log: log})
}
