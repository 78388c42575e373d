package embedded

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	// The pure-Go SQLite: a maintained translation of the C sources, so that
	// the binary stays static and needs no C compiler.
	"modernc.org/sqlite"

	"pulse-control-plane/models"
)

// SQLite's result codes that mean something to us
// (https://www.sqlite.org/rescode.html). The low byte is the primary code.
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

// cachedStatements bounds the prepared statements a connection keeps. The
// repositories' distinct questions are fewer.
const cachedStatements = 256

// sqliteConn is one connection with its prepared statements. It goes past
// database/sql, whose locking and conversions cost about as much as a point
// read itself. One goroutine at a time may use it.
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
// pragmas given ("cache_size=-4000"), in order.
func openSQLite(path string, pragmas []string) (*sqliteConn, error) {
	options := url.Values{}
	for _, p := range pragmas {
		options.Add("_pragma", p)
	}
	source := url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}
	conn, err := (&sqlite.Driver{}).Open(source.String())
	if err != nil {
		return nil, err
	}
	return &sqliteConn{conn: conn, statements: map[string]sqliteStatement{}}, nil
}

// close lets go of the statements and the connection.
func (c *sqliteConn) close() error {
	var errs []error
	for _, s := range c.statements {
		errs = append(errs, s.Close())
	}
	c.statements = map[string]sqliteStatement{}
	return errors.Join(append(errs, c.conn.Close())...)
}

// prepare finds or prepares a statement.
func (c *sqliteConn) prepare(text string) (sqliteStatement, error) {
	if s, ok := c.statements[text]; ok {
		return s, nil
	}
	if len(c.statements) >= cachedStatements {
		// Any one: which of them goes does not matter, only that one does.
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

// named puts the arguments into the form the driver takes; the slice is valid
// until the next call.
func (c *sqliteConn) named(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// exec runs one statement and returns how many rows it changed.
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

// query runs one statement that answers rows; the caller closes them.
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

// row runs one statement and returns its first row, or nil.
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
// valid until the next call, what is in it for good.
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

// sqliteFailure turns an error of the driver into a models error: what is
// wrong with the statement or the file is ours (internal); the disk, locks and
// an ended context are not (unavailable).
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

// sqliteDuplicate tells whether err is a violated unique index, and names what
// was violated: "users.email, users.org_id" by its columns, or "index
// 'users.email_1.null'" where the index is on expressions.
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

// sqliteSpoils tells whether a failed statement may have taken its whole
// transaction along: everything but a violated constraint
// (https://www.sqlite.org/lang_transaction.html, "Response To Errors").
func sqliteSpoils(err error) bool {
	var failure *sqlite.Error
	return errors.As(err, &failure) && failure.Code()&sqlitePrimary != sqliteConstraint
}
