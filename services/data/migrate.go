package data

import (
	"context"
	"errors"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
)

// Migrate is `migrate`: it opens the database, which creates and verifies collections
// and indexes and runs the migrations, compares the secrets with those that the
// database was made with (accept records them instead), and drops or renames what
// only older versions need. Errors: misconfigured for other secrets and while a server
// uses collections that are renamed, unavailable.
func Migrate(ctx context.Context, at database.Location, secrets Secrets, accept bool, log zerolog.Logger) error {
	at.AllIndexes, at.Contracting = true, true
	engine, err := database.Open(ctx, at, log)
	if err != nil {
		return err
	}
	log.Info().Str("engine", engine.Name()).Int("collections", len(database.Schema())).Msg("collections and indexes are as declared")
	if err = Recognise(ctx, engine, secrets, accept, log); err == nil { // nothing is dropped of another installation's database
		err = database.Contract(ctx, engine, log)
	}
	return errors.Join(err, engine.Close(ctx))
}
