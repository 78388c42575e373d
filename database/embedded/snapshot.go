package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"pulse-control-plane/models"
)

// Snapshot writes the state that the database file at path has at one moment
// into a new file, which only the user of the process can read and which is on
// disk when Snapshot returns. It takes no lock: the server may use the database
// meanwhile, in this process or another, and is not kept from writing. The new
// file has no unused pages.
//
// Errors: misconfigured with the code "no_database" without a file at path, or
// "not_a_database"; unavailable if into exists or the disk fails. A file that
// could not be completed is removed.
func Snapshot(ctx context.Context, path, into string) (err error) {
	conn, err := openExisting(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sqliteFailure(conn.close())) }()
	// SQLite fills an empty file; it would create one that everybody can read.
	f, err := os.OpenFile(into, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return models.Unavailable(err)
	}
	if err := f.Close(); err != nil {
		return models.Unavailable(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(into))
		}
	}()
	if _, err := conn.exec(ctx, "VACUUM INTO ?", into); err != nil {
		return notADatabase(path, sqliteFailure(err))
	}
	return syncFile(into)
}

// openExisting opens a connection to a database file that must be there. VACUUM
// copies the whole database into SQLite's temporary store, which is a file, not
// memory.
func openExisting(path string) (*sqliteConn, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, models.Unavailable(err)
	}
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, models.Misconfigured("no_database", fmt.Sprintf("There is no database at %s.", path))
	} else if err != nil {
		return nil, models.Unavailable(err)
	}
	conn, err := openSQLite(path, []string{busyMilliseconds, readerCache, noCheckpoints, "temp_store=FILE"})
	if err != nil {
		return nil, notADatabase(path, sqliteFailure(err))
	}
	return conn, nil
}

// syncFile puts a file on disk.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return models.Unavailable(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return models.Unavailable(err)
	}
	return nil
}

// Vacuum rewrites the database file at path without its unused pages and returns
// its size in bytes before and after. It holds the lock of the database. It needs
// free space of twice the file's size, half of it for temporary files, and can be interrupted at any time.
//
// Errors: as Snapshot; unavailable with the code "database_in_use" while another
// process has the database open.
func Vacuum(ctx context.Context, path string) (before, after int64, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, 0, models.Misconfigured("no_database", fmt.Sprintf("There is no database at %s.", path))
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	conn, err := openExisting(path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, sqliteFailure(conn.close())) }()
	size := func() (int64, error) {
		if _, err := walCheckpoint(ctx, conn, "TRUNCATE"); err != nil {
			return 0, notADatabase(path, sqliteFailure(err))
		}
		row, err := conn.row(ctx, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
		if err != nil {
			return 0, sqliteFailure(err)
		}
		return row[0].(int64), nil
	}
	if before, err = size(); err != nil {
		return 0, 0, err
	}
	if _, err := conn.exec(ctx, "VACUUM"); err != nil {
		return 0, 0, sqliteFailure(err)
	}
	after, err = size()
	return before, after, err
}

// Integrity has SQLite check the whole file: every page, and that every index has
// exactly the rows of its table and each unique one no value twice
// (https://www.sqlite.org/pragma.html#pragma_integrity_check). It returns the
// first fault, or "".
func (e *Engine) Integrity(ctx context.Context) (fault string, err error) {
	err = e.read(ctx, allTables, func(conn *sqliteConn) error {
		row, err := conn.row(ctx, "PRAGMA integrity_check(1)")
		if err != nil {
			return err
		}
		if text, _ := row[0].(string); text != "ok" {
			fault = strings.Join(strings.Fields(strings.TrimPrefix(text, "*** in database main ***")), " ")
		}
		return nil
	})
	return fault, err
}

// Counts returns the number of documents of every collection in the file, of
// undeclared ones too.
func (e *Engine) Counts(ctx context.Context) (map[string]int64, error) {
	counts := map[string]int64{}
	err := e.read(ctx, allTables, func(conn *sqliteConn) error {
		names, err := tableNames(ctx, conn)
		if err != nil {
			return err
		}
		for _, name := range names {
			row, err := conn.row(ctx, "SELECT count(*) FROM "+quoted(name))
			if err != nil {
				return err
			}
			counts[name] = row[0].(int64)
		}
		return nil
	})
	return counts, err
}

// tableNames lists the tables of collections.
func tableNames(ctx context.Context, conn *sqliteConn) ([]string, error) {
	rows, err := conn.query(ctx, `SELECT name FROM sqlite_master WHERE type = 'table'
		AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name <> 'pulse_engine' ORDER BY name`)
	if err != nil {
		return nil, err
	}
	var names []string
	for {
		row, err := rows.next()
		if err != nil || row == nil {
			return names, closeRows(rows, err)
		}
		names = append(names, row[0].(string))
	}
}
