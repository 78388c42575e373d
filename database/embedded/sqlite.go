package embedded

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	// SQLite in pure Go, a maintained translation of the C sources: the binary
	// stays static and needs no C compiler.
	"modernc.org/sqlite"

	"pulse-control-plane/models"
)

// Result codes of SQLite (https://www.sqlite.org/rescode.html). The low byte is
// the primary code.
const (
	sqlitePrimary          = 0xff
	sqliteError            = 1
	sqliteCorrupt          = 11
	sqliteConstraint       = 19
	sqliteMismatch         = 20
	sqliteMisuse           = 21
	sqliteRange            = 25
	sqliteNotADB           = 26
	sqliteConstraintUnique = 2067
	sqliteConstraintKey    = 1555
)

// cachedStatements limits the prepared statements of a connection. The
// repositories use fewer different queries.
const cachedStatements = 256

// sqliteConn is one connection with its prepared statements. It bypasses
// database/sql, whose locks and conversions cost as much as a point read. Only
// one goroutine at a time may use it.
type sqliteConn struct {
	conn       driver.Conn
	statements map[string]sqliteStatement
	args       []driver.NamedValue
}

type sqliteStatement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// openSQLite opens a connection to the file at an absolute path and runs the
// pragmas ("cache_size=-4000") in order.
func openSQLite(path string, pragmas []string) (*sqliteConn, error) {
	options := url.Values{}
	for _, p := range pragmas {
		options.Add("_pragma", p)
	}
	_ = allocatePagesInBulk() // refused: slower, not wrong
	source := url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}
	conn, err := (&sqlite.Driver{}).Open(source.String())
	if err != nil {
		return nil, err
	}
	return &sqliteConn{conn: conn, statements: map[string]sqliteStatement{}}, nil
}

// close closes the statements and the connection.
func (c *sqliteConn) close() error {
	var errs []error
	for _, s := range c.statements {
		errs = append(errs, s.Close())
	}
	c.statements = map[string]sqliteStatement{}
	return errors.Join(append(errs, c.conn.Close())...)
}

// prepare returns a cached or new prepared statement.
func (c *sqliteConn) prepare(text string) (sqliteStatement, error) {
	if s, ok := c.statements[text]; ok {
		return s, nil
	}
	if len(c.statements) >= cachedStatements {
		// Evict any statement; which one does not matter.
		for other, s := range c.statements {
			delete(c.statements, other)
			if err := s.Close(); err != nil {
				return nil, err
			}
			break
		}
	}
	prepared, err := c.conn.Prepare(text)
	if err != nil {
		return nil, err
	}
	s, ok := prepared.(sqliteStatement)
	if !ok {
		return nil, errors.Join(fmt.Errorf("sqlite: statements are %T", prepared), prepared.Close())
	}
	c.statements[text] = s
	return s, nil
}

// named converts arguments for the driver; the slice is valid until the next
// call.
func (c *sqliteConn) named(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// exec runs a statement and returns the number of changed rows.
func (c *sqliteConn) exec(ctx context.Context, text string, args ...any) (int64, error) {
	s, err := c.prepare(text)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(ctx, c.named(args))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query runs a statement that returns rows; the caller closes them.
func (c *sqliteConn) query(ctx context.Context, text string, args ...any) (*sqliteRows, error) {
	s, err := c.prepare(text)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, c.named(args))
	if err != nil {
		return nil, err
	}
	return &sqliteRows{rows, make([]driver.Value, len(rows.Columns()))}, nil
}

// row runs a statement and returns its first row or nil.
func (c *sqliteConn) row(ctx context.Context, text string, args ...any) ([]driver.Value, error) {
	rows, err := c.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	values, err := rows.next()
	return values, errors.Join(err, rows.close())
}

// sqliteRows are the rows of a running statement.
type sqliteRows struct {
	rows   driver.Rows
	values []driver.Value
}

// next returns the values of the next row, or nil after the last. The slice is
// valid until the next call; the values stay valid.
func (r *sqliteRows) next() ([]driver.Value, error) {
	switch err := r.rows.Next(r.values); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return r.values, nil
}

func (r *sqliteRows) close() error { return r.rows.Close() }

// sqliteFailure converts a driver error to a models error: a faulty statement
// or file is internal; disk, locks and an ended context are unavailable.
func sqliteFailure(err error) error {
	var already *models.Error
	if err == nil || errors.As(err, &already) {
		return err
	}
	var failure *sqlite.Error
	if errors.As(err, &failure) {
		switch failure.Code() & sqlitePrimary {
		case sqliteError, sqliteCorrupt, sqliteConstraint, sqliteMismatch, sqliteMisuse, sqliteRange, sqliteNotADB:
			return models.Internal(err)
		}
		return models.Unavailable(err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return models.Unavailable(err)
	}
	return models.Internal(err)
}

// notADatabase is the error of opening a file that is not a SQLite database; err
// unchanged otherwise.
func notADatabase(path string, err error) error {
	var failure *sqlite.Error
	if errors.As(err, &failure) && failure.Code()&sqlitePrimary == sqliteNotADB {
		return models.Misconfigured("not_a_database", fmt.Sprintf("The file %s is not a database of Pulse.", path)).Because(failure)
	}
	return err
}

// sqliteDuplicate reports whether err is a violated unique index, and what it
// names: "users.email, users.org_id" by its columns, or "index
// 'users.email_1.null'" for an index on expressions.
func sqliteDuplicate(err error) (what string, ok bool) {
	var failure *sqlite.Error
	if !errors.As(err, &failure) || failure.Code() != sqliteConstraintUnique && failure.Code() != sqliteConstraintKey {
		return "", false
	}
	// "constraint failed: UNIQUE constraint failed: users.email (2067)"
	_, what, _ = strings.Cut(failure.Error(), "UNIQUE constraint failed: ")
	if end := strings.LastIndex(what, " ("); end >= 0 {
		what = what[:end]
	}
	return what, true
}

// sqliteSpoils reports whether a failed statement may have rolled back its
// whole transaction: every error except a violated constraint
// (https://www.sqlite.org/lang_transaction.html, "Response To Errors").
func sqliteSpoils(err error) bool {
	var failure *sqlite.Error
	return errors.As(err, &failure) && failure.Code()&sqlitePrimary != sqliteConstraint
}
