package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// Fault is the first fault of a kind that a check found.
type Fault struct{ Kind, What string }

// The kinds of faults, in the order in which they are looked for.
const (
	faultBackup    = "backup"
	faultIntegrity = "integrity"
	faultSchema    = "schema"
	faultColumns   = "columns"
	faultAudit     = "audit"
	faultSessions  = "sessions"
	faultEvents    = "events"
	faultFacts     = "facts"
	faultTotals    = "totals"
	faultSecrets   = "secrets"
)

// check is one run over a database.
type check struct {
	engine database.Engine
	// file is nil on MongoDB.
	file    *database.File
	look    *database.Inspection
	secrets Secrets
	// at is when the database was in use last.
	at       time.Time
	progress io.Writer
	now      func() time.Time

	pending map[models.ProjectID]bool
	faults  []Fault
	told    time.Time
}

// Verify is `check [FILE]`: of the configured database, which no server may have
// open if it is embedded, or of a backup. It returns ErrFaults after it wrote the
// first fault of each kind.
func (c Commands) Verify(ctx context.Context, file string) error {
	var k *check
	var closing func() error
	var err error
	switch {
	case file != "":
		k, closing, err = c.checkBackup(ctx, file)
	case c.At.URI != "":
		k, closing, err = c.checkMongoDB(ctx)
	default:
		k, closing, err = c.checkFile(ctx, c.Path)
	}
	if err != nil {
		return err
	}
	return errors.Join(c.report(ctx, k), closing())
}

// VerifyEngine checks a database that is open, which is not a file.
func (c Commands) VerifyEngine(ctx context.Context, e database.Engine) error {
	return c.report(ctx, c.newCheck(e))
}

// report runs a check and writes its faults.
func (c Commands) report(ctx context.Context, k *check) error {
	if err := k.run(ctx); err != nil {
		return err
	}
	for _, f := range k.faults {
		if err := say(c.Out, "%s: %s\n", f.Kind, f.What); err != nil {
			return err
		}
	}
	if len(k.faults) > 0 {
		return ErrFaults
	}
	return say(c.Out, "ok\n")
}

// ErrFaults is the error of a check that found faults, which it has written.
var ErrFaults = errors.New("the check found faults")

func (c Commands) newCheck(e database.Engine) *check {
	return &check{engine: e, look: database.NewInspection(e), secrets: c.Secrets, at: c.Now(), progress: c.Progress, now: c.Now}
}

func (c Commands) checkFile(ctx context.Context, path string) (*check, func() error, error) {
	f, err := database.OpenFile(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	k := c.newCheck(f)
	k.file = f
	return k, func() error { return f.Close(context.WithoutCancel(ctx)) }, nil
}

// checkMongoDB opens the database beside servers that may use it, and changes
// nothing.
func (c Commands) checkMongoDB(ctx context.Context) (*check, func() error, error) {
	e, err := database.OpenBeside(ctx, c.At, zerolog.Nop())
	if err != nil {
		return nil, nil, err
	}
	return c.newCheck(e), func() error { return e.Close(context.WithoutCancel(ctx)) }, nil
}

// checkPrefix begins the names of the folders that backups are unpacked into.
const checkPrefix = "pulse-check-"

// unpackFolder makes a locked temporary folder, and first removes those that killed
// checks left; what cannot be removed stays.
func unpackFolder() (*partial, error) {
	_ = removeLeft(filepath.Join(os.TempDir(), checkPrefix+"*"))
	for range folderTries {
		dir, err := os.MkdirTemp("", checkPrefix)
		if err != nil {
			return nil, disk(err)
		}
		// Another check may take a new folder for one that was left.
		lock, err := lockFolder(dir)
		switch {
		case err == nil:
			return &partial{dir, lock}, nil
		case !errors.Is(err, errGone) && !errors.Is(err, errLocked):
			return nil, disk(errors.Join(err, os.Remove(dir)))
		}
	}
	return nil, models.Unavailable(errGone)
}

// checkBackup checks the database of a backup, unpacked into a temporary folder,
// and what the manifest says of it.
func (c Commands) checkBackup(ctx context.Context, file string) (*check, func() error, error) {
	dir, err := unpackFolder()
	if err != nil {
		return nil, nil, err
	}
	path := dir.path(databaseName)
	m, err := extract(ctx, file, path)
	if err != nil {
		return nil, nil, errors.Join(err, dir.close())
	}
	k, closing, err := c.checkFile(ctx, path)
	if err != nil {
		return nil, nil, errors.Join(err, dir.close())
	}
	k.at = m.CreatedAt
	var found Manifest
	if err := found.describe(ctx, k.file); err != nil {
		k.cannotRead(faultBackup, err)
	} else if wrong := m.contradiction(&found); wrong != "" {
		k.fault(faultBackup, "%s", wrong)
	}
	return k, func() error { return errors.Join(closing(), dir.close()) }, nil
}

// run looks for faults of every kind. Its error is one that ended it.
func (k *check) run(ctx context.Context) error {
	for _, part := range []struct {
		kind string
		look func(context.Context) error
	}{
		{faultIntegrity, k.integrity}, {faultSchema, k.schema}, {faultColumns, k.columns}, {faultAudit, k.audit},
		{faultSessions, k.sessions}, {faultEvents, k.events}, {faultFacts, k.facts}, {faultTotals, k.totals}, {faultSecrets, k.recognised},
		{faultSecrets, k.sealed},
	} {
		err := part.look(ctx)
		switch {
		case ctx.Err() != nil:
			return models.Unavailable(ctx.Err())
		case errors.Is(err, errFound):
		case models.IsKind(err, models.KindUnavailable) && k.file == nil:
			return err
		case err != nil:
			k.cannotRead(part.kind, err)
		}
	}
	return nil
}

// errFound ends the search for further faults of a kind.
var errFound = errors.New("found")

// fault notes the first fault of a kind and returns errFound.
func (k *check) fault(kind, format string, args ...any) error {
	if !slices.ContainsFunc(k.faults, func(f Fault) bool { return f.Kind == kind }) {
		k.faults = append(k.faults, Fault{kind, fmt.Sprintf(format, args...)})
	}
	return errFound
}

func (k *check) cannotRead(kind string, err error) {
	_ = k.fault(kind, "the documents cannot be read: %s", Explain(err))
}

// tellEvery is the pause between two lines of progress.
const tellEvery = 2 * time.Second

// working writes what is being done, now and then.
func (k *check) working(format string, args ...any) {
	if k.progress == nil || k.now().Sub(k.told) < tellEvery {
		return
	}
	k.told = k.now()
	_ = say(k.progress, "checking "+format+"\n", args...)
}

// integrity has SQLite check the file.
func (k *check) integrity(ctx context.Context) error {
	if k.file == nil {
		return nil
	}
	k.working("the integrity of the file")
	fault, err := k.file.Integrity(ctx)
	if err == nil && fault != "" {
		return k.fault(faultIntegrity, "%s", fault)
	}
	return err
}

// schema compares the collections, fields and indexes with their declaration. What a
// file of an earlier version lacks is no fault, and a start adds it: all that is
// missing in one of an older schema version; in one of this schema version collections
// and fields, which versions add without a new one. An index that is missing though
// its fields are there was dropped.
func (k *check) schema(ctx context.Context) error {
	if k.file == nil {
		differences, err := k.engine.SchemaDifferences(ctx)
		if err != nil || len(differences) == 0 {
			return err
		}
		d := differences[0]
		return k.fault(faultSchema, "the index %s of %s is %s, declared is %s", d.Index, d.Collection, d.Found, d.Declared)
	}
	missing := k.file.Missing()
	version := int64(0)
	if !slices.Contains(missing, "schema") {
		var err error
		if version, err = k.look.SchemaVersion(ctx); err != nil {
			return err
		}
	}
	lost := func(part string) bool {
		return version >= database.SchemaVersion() && strings.HasPrefix(part, "index ")
	}
	if i := slices.IndexFunc(missing, lost); i >= 0 {
		return k.fault(faultSchema, "%s is missing or differs from its declaration; a start makes a missing one", missing[i])
	}
	if len(missing) > 0 && k.progress != nil {
		return say(k.progress, "older layout; a start or `pulse-control-plane migrate` will add %s\n", someOf(missing))
	}
	return nil
}

// someOf lists the first of many names.
func someOf(names []string) string {
	const shown = 5
	text := strings.Join(names[:min(shown, len(names))], ", ")
	if len(names) > shown {
		text += fmt.Sprintf(" and %d more", len(names)-shown)
	}
	return text
}

// columns compares what queries search with the documents.
func (k *check) columns(ctx context.Context) error {
	if k.file == nil {
		return nil
	}
	for _, c := range database.Schema() {
		if slices.Contains(k.file.Missing(), c.Name) {
			continue
		}
		seen := 0
		fault, err := k.file.CompareColumns(ctx, c.Name, func() {
			if seen++; seen%1000 == 0 {
				k.working("the columns of %s: %d documents", c.Name, seen)
			}
		})
		if err != nil {
			return err
		}
		if fault != nil {
			return k.fault(faultColumns, "%s %s: the column %s differs from the document", fault.Collection, fault.ID, fault.Field)
		}
	}
	return nil
}
