package audit

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"pulse-control-plane/models"
)

// Line is an entry as JSON: in responses of /v1/audit-logs and on a line of an
// export.
type Line struct {
	ID          models.AuditID        `json:"id"`
	OrgID       models.OrganizationID `json:"org_id"`
	Seq         int64                 `json:"seq"`
	At          time.Time             `json:"at"`
	Actor       Actor                 `json:"actor"`
	Action      string                `json:"action"`
	Target      Target                `json:"target"`
	Before      jsontext.Value        `json:"before"`
	After       jsontext.Value        `json:"after"`
	IP          string                `json:"ip"`
	UserAgent   string                `json:"user_agent"`
	RequestID   string                `json:"request_id"`
	Outcome     models.AuditOutcome   `json:"outcome"`
	Code        string                `json:"code,omitempty"`
	CompletedAt *time.Time            `json:"completed_at"`
	Seals       []Seal                `json:"seals"`
	Open        []int64               `json:"open"`
	PrevHash    string                `json:"prev_hash"`
	Hash        string                `json:"hash"`
	OutcomeHash string                `json:"outcome_hash"`
}

// Actor is the caller that made a change.
type Actor struct {
	Kind         string `json:"kind"`
	ID           string `json:"id"`
	CredentialID string `json:"credential_id"`
}

// Target is the changed object.
type Target struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// Seal is the outcome of an earlier entry.
type Seal struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
}

// Trailer is the last line of an export; an export without it is incomplete.
type Trailer struct {
	// Entries counts the lines before this one; Head is the hash of the last.
	Entries int64  `json:"entries"`
	Head    string `json:"head_hash"`
	// Whole is true if no entry between the first and the last was filtered out, so
	// that each must follow the one before.
	Whole bool `json:"whole"`
}

// LineOf converts an entry to a line.
func LineOf(e models.AuditEntry) Line {
	l := Line{
		ID: e.ID, OrgID: e.OrgID, Seq: e.Seq, At: e.At.UTC(), Actor: Actor(e.Actor), Action: e.Action, Target: Target(e.Target),
		Before: jsontext.Value(e.Before), After: jsontext.Value(e.After), IP: e.IP, UserAgent: e.UserAgent, RequestID: e.RequestID,
		Outcome: e.Outcome, Code: e.Code, Seals: make([]Seal, 0, len(e.Seals)), Open: append([]int64{}, e.Open...),
		PrevHash: e.PrevHash, Hash: e.Hash, OutcomeHash: e.OutcomeHash,
	}
	for _, s := range e.Seals {
		l.Seals = append(l.Seals, Seal(s))
	}
	if e.CompletedAt != nil {
		at := e.CompletedAt.UTC()
		l.CompletedAt = &at
	}
	return l
}

// Entry converts a line to an entry.
func (l *Line) Entry() models.AuditEntry {
	e := models.AuditEntry{
		ID: l.ID, OrgID: l.OrgID, Seq: l.Seq, At: l.At, Actor: models.AuditActor(l.Actor), Action: l.Action,
		Target: models.AuditTarget(l.Target), Before: string(l.Before), After: string(l.After),
		IP: l.IP, UserAgent: l.UserAgent, RequestID: l.RequestID, Outcome: l.Outcome, Code: l.Code,
		CompletedAt: l.CompletedAt, Open: l.Open, PrevHash: l.PrevHash, Hash: l.Hash, OutcomeHash: l.OutcomeHash,
	}
	for _, s := range l.Seals {
		e.Seals = append(e.Seals, models.AuditSeal(s))
	}
	return e
}
