package handlers

import (
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

// Export streams the facts of a project as CSV (RFC 4180) or JSON lines.
func (h *Usage) Export(c *gin.Context) error {
	q := request.NewQuery(c)
	ask, format := rangeOf(q), q.OneOf("format", "csv", "jsonl")
	if format == "" {
		format = "csv"
	}
	if err := q.Err(); err != nil {
		return err
	}
	each, err := h.service.Export(c.Request.Context(), actor(c), ask)
	if err != nil {
		return err
	}
	header := c.Writer.Header()
	header.Set("Content-Disposition", `attachment; filename="usage.`+format+`"`)
	line, flush := jsonLines(c)
	if format == "csv" {
		header.Set("Content-Type", "text/csv; charset=utf-8")
		line, flush = csvLines(c)
	} else {
		header.Set("Content-Type", "application/jsonl")
	}
	c.Status(http.StatusOK)
	if c.Request.Method == http.MethodHead {
		return nil
	}
	rows := 0
	if err := each(c.Request.Context(), func(f models.UsageFact) error {
		if rows++; rows%flushRows == 0 {
			flush()
		}
		return line(ExportedFact{ID: f.ID, ProjectID: f.ProjectID, Meter: f.Meter, Timestamp: instant(f.Timestamp),
			Value: millis(f.Value), SessionID: f.SessionID, RoomName: f.RoomName, EventIDs: append([]string{}, f.EventIDs...)})
	}); err != nil {
		return err
	}
	flush()
	return nil
}

func jsonLines(c *gin.Context) (line func(ExportedFact) error, flush func()) {
	return func(f ExportedFact) error {
		data, err := json.Marshal(f)
		if err != nil {
			return models.Internal(err)
		}
		_, err = c.Writer.Write(append(data, '\n'))
		return err
	}, c.Writer.Flush
}

func csvLines(c *gin.Context) (line func(ExportedFact) error, flush func()) {
	out, started := csv.NewWriter(c.Writer), false
	head := func() error {
		if started {
			return nil
		}
		started = true
		return out.Write([]string{"id", "project_id", "meter", "timestamp", "value", "session_id", "room_name", "event_ids"})
	}
	return func(f ExportedFact) error {
			if err := head(); err != nil {
				return err
			}
			return out.Write([]string{f.ID, string(f.ProjectID), string(f.Meter), f.Timestamp.Format(time.RFC3339Nano),
				strconv.FormatFloat(f.Value, 'f', -1, 64), cell(f.SessionID), cell(f.RoomName), cell(strings.Join(f.EventIDs, " "))})
		}, func() {
			if head() == nil {
				out.Flush()
			}
			c.Writer.Flush()
		}
}
