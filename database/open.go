package database

import (
	"context"
	"errors"

	"github.com/rs/zerolog"
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
// of OpenMongo and OpenEmbedded.
func Open(ctx context.Context, at Location, log zerolog.Logger) (Engine, error) {
	engine, err := openEngine(ctx, at, log)
	if err != nil {
		return nil, err
	}
	differences, err := engine.EnsureSchema(ctx)
	if err != nil {
		return nil, errors.Join(err, engine.Close(ctx))
	}
	for _, d := range differences {
		log.Warn().Str("collection", d.Collection).Str("index", d.Index).Str("declared", d.Declared).
			Str("found", d.Found).Msg("an index differs from its declaration and was left as it is")
	}
	return engine, nil
}

func openEngine(ctx context.Context, at Location, log zerolog.Logger) (Engine, error) {
	if at.URI != "" {
		return OpenMongo(ctx, at.URI, at.Name, Schema(), MongoOptions{Log: log})
	}
	return OpenEmbedded(ctx, at.Path, Schema(), EmbeddedOptions{Log: log})
}
