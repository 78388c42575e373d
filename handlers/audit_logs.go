package handlers

import (
	"encoding/csv"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
)

// AuditLogs serves /v1/audit-logs.
type AuditLogs struct{ service *audit.Logs }

// NewAuditLogs serves a service.
func NewAuditLogs(s *audit.Logs) *AuditLogs { return &AuditLogs{s} }

// audit reads the parameters that narrow the trail.
func (q *query) audit() audit.Query {
	return audit.Query{
		OrgID: models.OrganizationID(q.text("org_id", maxQuery)), Actor: q.text("actor", maxQuery),
		Action: q.text("action", maxQuery), Target: q.text("target", maxQuery),
		From: q.time("start"), Until: q.time("end"),
	}
}

// time gives an RFC 3339 time, nil if it is absent.
func (q *query) time(name string) *time.Time {
	text := q.text(name, maxQuery)
	if text == "" {
		return nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		q.refuse(name, "must be a time such as 2026-01-31T12:00:00Z (RFC 3339)")
		return nil
	}
	return &at
}

// List answers with a page of the trail.
func (h *AuditLogs) List(c *gin.Context) error {
	q := query{c: c}
	page, narrowed := q.page(), q.audit()
	if err := q.err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), actor(c), narrowed, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, audit.LineOf))
}

// AuditCheck is the answer of verify.
type AuditCheck struct {
	Valid   bool   `json:"valid"`
	Entries int64  `json:"entries"`
	Head    string `json:"head_hash"`
	// FirstInvalid is the number of the first entry that is not as it was
	// written.
	FirstInvalid *int64 `json:"first_invalid,omitempty"`
	Reason       string `json:"reason,omitempty"`
}

// Verify checks the chain.
func (h *AuditLogs) Verify(c *gin.Context) error {
	q := query{c: c}
	org := q.text("org_id", maxQuery)
	if err := q.err(); err != nil {
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

// auditWriter writes entries in a format.
type auditWriter interface {
	entry(*models.AuditEntry) error
	end(audit.Summary) error
}

// Export streams the trail, oldest first.
func (h *AuditLogs) Export(c *gin.Context) error {
	q := query{c: c}
	narrowed, format := q.audit(), q.text("format", maxQuery)
	if format != "" && format != "csv" && format != "jsonl" {
		q.refuse("format", "must be csv or jsonl")
	}
	if err := q.err(); err != nil {
		return err
	}
	var out auditWriter = &auditLines{c.Writer}
	kind := "application/jsonl"
	if format == "csv" {
		out, kind = &auditTable{w: csv.NewWriter(c.Writer)}, "text/csv; charset=utf-8"
	}
	// The header goes out with the first entry: until then all can be refused.
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
		return out.entry(e)
	})
	if err != nil {
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

// auditLines writes JSON lines, the last one being the trailer.
type auditLines struct{ w io.Writer }

func (l *auditLines) entry(e *models.AuditEntry) error { return l.line(audit.LineOf(*e)) }

// auditEnd is the last line.
type auditEnd struct {
	Trailer audit.Trailer `json:"trailer"`
}

func (l *auditLines) end(s audit.Summary) error {
	return l.line(auditEnd{audit.Trailer{Entries: s.Entries, Head: s.Head, Whole: s.Whole}})
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
	for i, cell := range row {
		// A spreadsheet would run what begins like a formula (OWASP, "CSV
		// Injection").
		if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
			row[i] = "'" + cell
		}
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
