package logging

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"

	"pulse-control-plane/utils/lineio"
)

// The formats.
const (
	JSON    = "json"
	Console = "console"
)

// Config says what a log looks like.
type Config struct {
	// Format is JSON or Console; "" is JSON.
	Format string
	// Level is the least level written: "debug", "info", "warn" or "error"; ""
	// is "info".
	Level string
	// Leading names the fields that Console writes first, before the message and
	// without their names, in this order; lines without them lose nothing.
	Leading []string
}

// New builds a log that writes to a stream, which must take concurrent writes
// as os.File does. The caller calls flush once, after the last line. The error
// is an unknown format or level.
func New(to io.Writer, c Config) (log zerolog.Logger, flush func(), err error) {
	level := zerolog.InfoLevel
	if c.Level != "" {
		if level, err = zerolog.ParseLevel(c.Level); err != nil {
			return zerolog.Nop(), func() {}, err
		}
	}
	flush = func() {}
	switch c.Format {
	case Console:
		to = console(to, c.Leading)
	case JSON, "":
		lines := lineio.New(to)
		to, flush = collected{lines}, func() { _ = lines.Flush() } // the stream is gone: nowhere to report it
	default:
		return zerolog.Nop(), flush, fmt.Errorf("unknown log format %q", c.Format)
	}
	return zerolog.New(to).Level(level).With().Timestamp().Logger(), flush, nil
}

// console writes text: time, level, the leading fields, the message, then the
// other fields by name.
func console(to io.Writer, leading []string) io.Writer {
	order := append([]string{zerolog.TimestampFieldName, zerolog.LevelFieldName}, leading...)
	return zerolog.ConsoleWriter{
		Out: to, TimeFormat: time.TimeOnly, NoColor: !terminal(to),
		PartsOrder:    append(order, zerolog.MessageFieldName),
		FieldsExclude: leading,
		FormatPartValueByName: func(value any, _ string) string {
			if value == nil {
				return "" // the line does not have the field
			}
			return fmt.Sprint(value)
		},
	}
}

func terminal(to io.Writer) bool {
	file, ok := to.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// collected is a log whose lines are written together: one system call a line
// was a fifth of what a request costs.
type collected struct{ *lineio.Writer }

var _ zerolog.LevelWriter = collected{}

// WriteLevel writes one line of a level.
func (c collected) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	if level >= zerolog.ErrorLevel && level <= zerolog.PanicLevel {
		return c.Urgent(line)
	}
	return c.Write(line)
}
