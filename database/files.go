package database

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/rs/zerolog"

	"pulse-control-plane/database/embedded"
)

// File is an embedded database that is open read-only.
type File = embedded.Engine

// OpenFile opens an embedded database without changing it; see
// embedded.OpenReadOnly.
func OpenFile(ctx context.Context, path string) (*File, error) {
	e, err := embedded.OpenReadOnly(ctx, path, []Collection{schemasCollection()})
	if err != nil {
		return nil, err
	}
	if slices.Contains(e.Missing(), schemas) { // a file of before schema versions
		err = e.Declare(ctx, newMigrator(e, zerolog.Nop(), false).schema(schemaState{}))
	} else {
		err = newMigrator(e, zerolog.Nop(), false).named(ctx, e, false)
	}
	if err != nil {
		return nil, errors.Join(err, e.Close(context.WithoutCancel(ctx)))
	}
	return e, nil
}

// Snapshot copies an embedded database, also one in use; see embedded.Snapshot.
func Snapshot(ctx context.Context, path, into string) error {
	return embedded.Snapshot(ctx, path, into)
}

// Vacuum gives back the unused space of an embedded database; see
// embedded.Vacuum.
func Vacuum(ctx context.Context, path string) (before, after int64, err error) {
	return embedded.Vacuum(ctx, path)
}

// LockFile keeps every other process from opening the embedded database at path
// until it is closed; see embedded.Lock.
func LockFile(path string) (io.Closer, error) { return embedded.Lock(path) }
