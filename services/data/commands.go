package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// Commands are the sub-commands that work on the stored database without
// serving it.
type Commands struct {
	Tool
	// At is the configured database; Path of Tool is its file.
	At database.Location
	// Secrets are those at hand; none is required.
	Secrets Secrets
	// Out takes results and Progress what is going on.
	Out, Progress io.Writer
}

// embedded refuses a command on MongoDB and says what to use instead.
func (c Commands) embedded(command, instead string) error {
	if c.At.URI == "" {
		return nil
	}
	return models.Misconfigured("embedded_only", fmt.Sprintf(
		"%s works on the embedded database, and MONGO_URI names MongoDB. %s See docs/BACKUP.md.", command, instead))
}

// Explain gives the text of an error for the operator: what happened, then why.
func Explain(err error) string {
	var known *models.Error
	if !errors.As(err, &known) {
		return err.Error()
	}
	switch cause := known.Unwrap(); {
	case cause == nil, known.Kind == models.KindInvalid, known.Code == "database_in_use", known.Code == "in_progress", known.Code == "interrupted":
		return known.Message
	case known.Kind == models.KindInternal, known.Code == "service_unavailable":
		return cause.Error()
	default:
		return known.Message + " " + cause.Error()
	}
}

// WriteBackup is `backup FILE`.
func (c Commands) WriteBackup(ctx context.Context, file string) error {
	if err := c.embedded("backup", "Use `mongodump --oplog --gzip` or Percona Backup for MongoDB."); err != nil {
		return err
	}
	m, err := c.Backup(ctx, file)
	if err != nil {
		return err
	}
	return say(c.Out, "%s: %s\n%s", file, m.summary(), m.needed())
}

// ReadBackup is `restore FILE`.
func (c Commands) ReadBackup(ctx context.Context, file string) error {
	if err := c.embedded("restore", "Use `mongorestore --oplogReplay --gzip` or Percona Backup for MongoDB."); err != nil {
		return err
	}
	m, err := c.Restore(ctx, file)
	if err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s: restored; %s\n", c.Path, m.summary())
	missing := false
	for _, s := range m.Needs(c.Secrets) {
		switch {
		case len(s.Missing) == 0 && s.Of <= 1:
			fmt.Fprintf(&text, "%s: this configuration has the value that the database was made with\n", s.Name)
		case len(s.Missing) == 0:
			fmt.Fprintf(&text, "%s: this configuration has the %d values that the database was made with\n", s.Name, s.Of)
		case s.Given && s.Of > 1:
			for _, n := range s.Missing {
				fmt.Fprintf(&text, "%s: this configuration lacks value %d of the %d that the database was made with; bring it\n", s.Name, n, s.Of)
			}
		case s.Of > 1:
			fmt.Fprintf(&text, "%s: not set; bring the %d values that the database was made with\n", s.Name, s.Of)
		case s.Given:
			fmt.Fprintf(&text, "%s: this configuration has another value; bring the one that the database was made with\n", s.Name)
		default:
			fmt.Fprintf(&text, "%s: not set; bring the value that the database was made with\n", s.Name)
		}
		missing = missing || len(s.Missing) > 0
	}
	if len(m.Secrets) == 0 {
		fmt.Fprintf(&text, "bring %s, %s and %s of the installation that was backed up; this backup is too old to tell whether they are right\n", DataKey, APIKeyPepper, JWTSecret)
	}
	if missing {
		fmt.Fprintf(&text, "secrets are settings, or in development %s\n", filepath.Join(filepath.Dir(c.Path), "secrets.json"))
	}
	return say(c.Out, "%s", text.String())
}

// Shrink is `compact`.
func (c Commands) Shrink(ctx context.Context) error {
	if err := c.embedded("compact", "Use the command compact of mongosh, on one member after the other."); err != nil {
		return err
	}
	before, after, err := database.Vacuum(ctx, c.Path)
	if err != nil {
		return err
	}
	return say(c.Out, "%s: %d bytes before, %d bytes after, %d given back\n", c.Path, before, after, before-after)
}

// summary is what a backup holds, on one line.
func (m *Manifest) summary() string {
	return fmt.Sprintf("the database of %s: %d documents in %d collections, %d audit trails, schema version %d, %d bytes",
		m.CreatedAt.Format("2006-01-02T15:04:05Z"), m.Documents(), len(m.Collections), len(m.AuditHeads), m.SchemaVersion, m.Database.Size)
}

// needed is what else must be kept.
func (m *Manifest) needed() string {
	names := []string{DataKey, APIKeyPepper, JWTSecret}
	if len(m.Secrets) > 0 {
		names = names[:0]
		for _, s := range m.Secrets {
			names = append(names, s.Name)
		}
	}
	return "keep these secrets elsewhere, the backup does not contain them: " + strings.Join(names, ", ") + "\n"
}

func say(to io.Writer, format string, args ...any) error {
	_, err := fmt.Fprintf(to, format, args...)
	return err
}
