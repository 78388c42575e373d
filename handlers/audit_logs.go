package handlers

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
)

// AuditLogs serves /v1/audit-logs.
type AuditLogs struct{ service *audit.Logs }

// NewAuditLogs makes the handlers of a service.
func NewAuditLogs(s *audit.Logs) *AuditLogs { return &AuditLogs{s} }

// auditQuery reads the filters of the trail.
func auditQuery(q *request.Query) audit.Query {
	return audit.Query{
		OrgID: models.OrganizationID(q.Text("org_id")), Actor: q.Text("actor"),
		Action: q.Text("action"), Target: q.Text("target"),
		From: optional(q.Time("start")), Until: optional(q.Time("end")),
	}
}

// optional gives nil for the zero time.
func optional(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// List returns a page of the trail.
func (h *AuditLogs) List(c *gin.Context) error {
	q := request.NewQuery(c)
	page, narrowed := pageOf(q), auditQuery(q)
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), actor(c), narrowed, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderAuditEntry))
}

// AuditEntry is an entry in a list.
type AuditEntry struct {
	audit.Line
	Actor AuditActor `json:"actor"`
}

// AuditActor is the caller that made a change.
type AuditActor struct {
	audit.Actor
	// Name is null for callers without one.
	Name *string `json:"name"`
}

func renderAuditEntry(e audit.ActorEntry) AuditEntry {
	out := AuditEntry{Line: audit.LineOf(e.AuditEntry)}
	out.Actor.Actor = out.Line.Actor
	if e.ActorName != "" {
		out.Actor.Name = &e.ActorName
	}
	return out
}

// AuditCheck is the result of verification.
type AuditCheck struct {
	Valid   bool   `json:"valid"`
	Entries int64  `json:"entries"`
	Head    string `json:"head_hash"`
	// FirstInvalid is the sequence number of the first entry that fails
	// verification.
	FirstInvalid *int64 `json:"first_invalid,omitempty"`
	Reason       string `json:"reason,omitempty"`
}

// Verify checks the hash chain of the trail.
func (h *AuditLogs) Verify(c *gin.Context) error {
	q := request.NewQuery(c)
	org := q.Text("org_id")
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.Verify(c.Request.Context(), actor(c), models.OrganizationID(org))
	if err != nil {
		return err
	}
	check := AuditCheck{Valid: out.Valid, Entries: out.Entries, Head: out.Head, Reason: out.Reason}
	if !out.Valid {
		check.FirstInvalid = &out.FirstInvalid
	}
	return answer(c, http.StatusOK, check)
}

// auditWriter writes entries in one format.
type auditWriter interface {
	entry(*models.AuditEntry) error
	end(audit.Summary) error
}

// errHeadOnly ends an export that was asked for its headers.
var errHeadOnly = errors.New("handlers: HEAD has no body")

// Export streams the trail, oldest first.
func (h *AuditLogs) Export(again Again) func(*gin.Context) error {
	return func(c *gin.Context) error { return h.export(c, again) }
}

func (h *AuditLogs) export(c *gin.Context, again Again) error {
	q := request.NewQuery(c)
	narrowed, format := auditQuery(q), q.OneOf("format", "csv", "jsonl")
	if err := q.Err(); err != nil {
		return err
	}
	still := stillMay(c, again, func(_ context.Context, p *models.Principal) error { return h.service.MayRead(p, narrowed.OrgID) })
	var out auditWriter = &auditLines{c.Writer}
	kind := "application/jsonl"
	if format == "csv" {
		out, kind = &auditTable{w: csv.NewWriter(c.Writer)}, "text/csv; charset=utf-8"
	}
	// The header is sent with the first entry: until then an error can still
	// change the status.
	begin := func() {
		if !c.Writer.Written() {
			c.Header("Content-Type", kind)
			c.Header("Content-Disposition", `attachment; filename="audit-logs.`+orFormat(format)+`"`)
			c.Status(http.StatusOK)
			c.Writer.WriteHeaderNow()
		}
	}
	summary, err := h.service.Export(c.Request.Context(), actor(c), narrowed, func(e *models.AuditEntry) error {
		begin()
		if c.Request.Method == http.MethodHead {
			return errHeadOnly
		}
		if err := still(); err != nil {
			return err
		}
		return out.entry(e)
	})
	switch {
	case errors.Is(err, errHeadOnly):
		return nil
	case err != nil:
		return err
	}
	begin()
	return out.end(summary)
}

func orFormat(format string) string {
	if format == "" {
		return "jsonl"
	}
	return format
}

// auditLines writes JSON lines. The last one is the trailer.
type auditLines struct{ w io.Writer }

func (l *auditLines) entry(e *models.AuditEntry) error { return l.line(audit.LineOf(*e)) }

// auditEnd is the last line of an export.
type auditEnd struct {
	Trailer audit.Trailer `json:"trailer"`
}

func (l *auditLines) end(s audit.Summary) error {
	return l.line(auditEnd{audit.Trailer(s)})
}

func (l *auditLines) line(value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return models.Internal(err)
	}
	_, err = l.w.Write(append(data, '\n'))
	return err
}

// auditTable writes CSV (RFC 4180).
type auditTable struct {
	w     *csv.Writer
	begun bool
}

func (t *auditTable) head() error {
	if t.begun {
		return nil
	}
	t.begun = true
	return t.w.Write([]string{"seq", "id", "at", "actor_kind", "actor_id", "credential_id", "action", "target_type", "target_id",
		"before", "after", "ip", "user_agent", "request_id", "outcome", "code", "completed_at", "prev_hash", "hash", "outcome_hash"})
}

func (t *auditTable) entry(e *models.AuditEntry) error {
	if err := t.head(); err != nil {
		return err
	}
	completed := ""
	if e.CompletedAt != nil {
		completed = e.CompletedAt.UTC().Format(time.RFC3339Nano)
	}
	row := []string{strconv.FormatInt(e.Seq, 10), string(e.ID), e.At.UTC().Format(time.RFC3339Nano), e.Actor.Kind, e.Actor.ID,
		e.Actor.CredentialID, e.Action, e.Target.Type, e.Target.ID, e.Before, e.After, e.IP, e.UserAgent, e.RequestID,
		string(e.Outcome), e.Code, completed, e.PrevHash, e.Hash, e.OutcomeHash}
	for i, text := range row {
		row[i] = cell(text)
	}
	return t.w.Write(row)
}

func (t *auditTable) end(audit.Summary) error {
	if err := t.head(); err != nil {
		return err
	}
	t.w.Flush()
	return t.w.Error()
}
