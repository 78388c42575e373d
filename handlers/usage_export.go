package handlers

import (
	"context"
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
)

// flushRows is the number of rows per flush.
const flushRows = 500

// ExportedFact is one line of an export.
type ExportedFact struct {
	ID        string           `json:"id"`
	ProjectID models.ProjectID `json:"project_id"`
	Meter     models.Meter     `json:"meter"`
	Timestamp time.Time        `json:"timestamp"`
	Value     float64          `json:"value"`
	SessionID string           `json:"session_id"`
	RoomName  string           `json:"room_name"`
	EventIDs  []string         `json:"event_ids"`
}

// Export streams the facts of a project, or with of=sessions its usage sessions, as
// CSV (RFC 4180) or JSON lines, as long as the caller may read them.
func (h *Usage) Export(again Again) func(*gin.Context) error {
	return func(c *gin.Context) error { return h.export(c, again) }
}

func (h *Usage) export(c *gin.Context, again Again) error {
	q := request.NewQuery(c)
	ask, format, of := rangeOf(q), q.OneOf("format", "csv", "jsonl"), q.OneOf("of", "facts", "sessions")
	if format == "" {
		format = "csv"
	}
	if err := q.Err(); err != nil {
		return err
	}
	still := stillMay(c, again, func(ctx context.Context, p *models.Principal) error {
		_, err := h.service.Project(ctx, p, ask.ProjectID)
		return err
	})
	if of == "sessions" {
		each, err := h.service.ExportSessions(c.Request.Context(), actor(c), ask)
		if err != nil {
			return err
		}
		render := renderUsageSession(h.service.Now())
		return export(c, still, "sessions."+format, sessionColumns(), func(ctx context.Context, line func(UsageSession) error) error {
			return each(ctx, func(s models.UsageSession) error { return line(render(s)) })
		})
	}
	each, err := h.service.Export(c.Request.Context(), actor(c), ask)
	if err != nil {
		return err
	}
	return export(c, still, "usage."+format, factColumns(), func(ctx context.Context, line func(ExportedFact) error) error {
		return each(ctx, func(f models.UsageFact) error {
			return line(ExportedFact{ID: f.ID, ProjectID: f.ProjectID, Meter: f.Meter, Timestamp: instant(f.Timestamp),
				Value: millis(f.Value), SessionID: f.SessionID, RoomName: f.RoomName, EventIDs: append([]string{}, f.EventIDs...)})
		})
	})
}

// columns are those of a CSV, and how a row is made.
type columns[T any] struct {
	names []string
	row   func(T) []string
}

func factColumns() columns[ExportedFact] {
	return columns[ExportedFact]{[]string{"id", "project_id", "meter", "timestamp", "value", "session_id", "room_name", "event_ids"}, func(f ExportedFact) []string {
		return []string{f.ID, string(f.ProjectID), string(f.Meter), f.Timestamp.Format(time.RFC3339Nano),
			strconv.FormatFloat(f.Value, 'f', -1, 64), cell(f.SessionID), cell(f.RoomName), cell(strings.Join(f.EventIDs, " "))}
	}}
}

func sessionColumns() columns[UsageSession] {
	names := []string{"id", "subject", "room_name", "room_sid", "participant_identity", "kind", "joined_at", "left_at", "duration_seconds", "end_reason", "event_ids"}
	return columns[UsageSession]{names, func(s UsageSession) []string {
		left, reason := "", ""
		if s.LeftAt != nil {
			left, reason = s.LeftAt.Format(time.RFC3339Nano), *s.EndReason
		}
		return []string{cell(s.ID), string(s.Subject), cell(s.RoomName), cell(s.RoomSID), cell(s.ParticipantIdentity), cell(s.Kind),
			s.JoinedAt.Format(time.RFC3339Nano), left, strconv.FormatFloat(s.DurationSeconds, 'f', -1, 64), cell(reason), cell(strings.Join(s.EventIDs, " "))}
	}}
}

// export streams rows under a file name that ends in .csv or .jsonl, until still
// returns an error.
func export[T any](c *gin.Context, still func() error, file string, in columns[T], rows func(context.Context, func(T) error) error) error {
	header := c.Writer.Header()
	header.Set("Content-Disposition", `attachment; filename="`+file+`"`)
	line, flush := jsonLines[T](c)
	if strings.HasSuffix(file, ".csv") {
		header.Set("Content-Type", "text/csv; charset=utf-8")
		line, flush = csvLines(c, in)
	} else {
		header.Set("Content-Type", "application/jsonl")
	}
	c.Status(http.StatusOK)
	if c.Request.Method == http.MethodHead {
		return nil
	}
	n := 0
	if err := rows(c.Request.Context(), func(row T) error {
		if n++; n%flushRows == 0 {
			flush()
		}
		if err := still(); err != nil {
			return err
		}
		return line(row)
	}); err != nil {
		return err
	}
	flush()
	return nil
}

func jsonLines[T any](c *gin.Context) (line func(T) error, flush func()) {
	return func(row T) error {
		data, err := json.Marshal(row)
		if err != nil {
			return models.Internal(err)
		}
		_, err = c.Writer.Write(append(data, '\n'))
		return err
	}, c.Writer.Flush
}

func csvLines[T any](c *gin.Context, in columns[T]) (line func(T) error, flush func()) {
	out, started := csv.NewWriter(c.Writer), false
	head := func() error {
		if started {
			return nil
		}
		started = true
		return out.Write(in.names)
	}
	return func(row T) error {
			if err := head(); err != nil {
				return err
			}
			return out.Write(in.row(row))
		}, func() {
			if head() == nil {
				out.Flush()
			}
			c.Writer.Flush()
		}
}
