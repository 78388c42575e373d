package audit

import (
	"context"
	"strconv"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/utils/cursor"
)

// auditBatch is how many entries of a chain are in memory at a time.
const auditBatch = 1000

// Logs reads the audit trail.
type Logs struct {
	logs    *database.AuditLogs
	names   *ActorNames
	cursors *cursor.Codec
}

// NewLogs reads from a repository. Lists need names and cursors.
func NewLogs(logs *database.AuditLogs, names *ActorNames, cursors *cursor.Codec) *Logs {
	return &Logs{logs: logs, names: names, cursors: cursors}
}

// Query filters the trail; empty fields do not filter. OrgID is for the operator.
type Query struct {
	OrgID                 models.OrganizationID
	Actor, Action, Target string
	From, Until           *time.Time
}

func (q Query) filter() database.AuditFilter {
	return database.AuditFilter{Actor: q.Actor, Action: q.Action, Target: q.Target, From: q.From, Until: q.Until}
}

// organization is the organization whose trail is read.
func (s *Logs) organization(actor *models.Principal, asked models.OrganizationID) (models.OrganizationID, error) {
	if err := actor.May(models.ActionAuditRead); err != nil {
		return "", err
	}
	org, all := actor.Tenant().Organization()
	switch {
	case all && asked == "":
		return "", models.Invalid(models.FieldError{Location: "org_id", Message: "is required for the operator"})
	case all:
		return asked, nil
	case asked != "" && asked != org:
		return "", models.NotFound()
	}
	return org, nil
}

// MayRead returns an error if a caller may not read the trail that Query names as
// asked.
func (s *Logs) MayRead(actor *models.Principal, asked models.OrganizationID) error {
	_, err := s.organization(actor, asked)
	return err
}

// List reads a page of an organization's trail, newest first.
func (s *Logs) List(ctx context.Context, actor *models.Principal, q Query, p paging.Request) (paging.Page[ActorEntry], error) {
	org, err := s.organization(actor, q.OrgID)
	if err != nil {
		return paging.Page[ActorEntry]{}, err
	}
	page, err := paging.ByID(s.cursors, actor, "audit-logs|"+string(org), p, func(at database.Page) ([]models.AuditEntry, error) {
		below := int64(0)
		if at.After != "" {
			if below, err = strconv.ParseInt(at.After, 10, 64); err != nil {
				return nil, models.Internal(err)
			}
		}
		return s.logs.Before(ctx, org, q.filter(), below, int64(at.Limit))
	}, func(e models.AuditEntry) string { return strconv.FormatInt(e.Seq, 10) })
	if err != nil {
		return paging.Page[ActorEntry]{}, err
	}
	named, err := s.names.of(ctx, org, page.Items)
	return paging.Page[ActorEntry]{Items: named, NextCursor: page.NextCursor}, err
}

// Summary describes an export: the number of entries, the hash of the last one, and
// whether it contains every entry between the first and the last.
type Summary struct {
	Entries int64
	Head    string
	Whole   bool
}

// Export passes each entry that exists when it starts, oldest first.
func (s *Logs) Export(ctx context.Context, actor *models.Principal, q Query, each func(*models.AuditEntry) error) (Summary, error) {
	summary := Summary{Whole: q.filter().Empty()}
	org, err := s.organization(actor, q.OrgID)
	if err != nil {
		return summary, err
	}
	err = s.walk(ctx, org, q.filter(), func(e *models.AuditEntry) (bool, error) {
		summary.Entries, summary.Head = summary.Entries+1, e.Hash
		return true, each(e)
	})
	return summary, err
}

// Check is the outcome of Verify.
type Check struct {
	Valid   bool
	Entries int64
	// Head is the hash of the last entry; with it a later verification can prove
	// that no earlier entry was rewritten.
	Head string
	// FirstInvalid is the number of the first invalid entry, and Reason its fault.
	FirstInvalid int64
	Reason       string
}

// Verify verifies an organization's chain from its first entry to its last.
func (s *Logs) Verify(ctx context.Context, actor *models.Principal, asked models.OrganizationID) (Check, error) {
	org, err := s.organization(actor, asked)
	if err != nil {
		return Check{}, err
	}
	return s.VerifyChain(ctx, org)
}

// VerifyChain is Verify without a caller, for the check of a whole database.
func (s *Logs) VerifyChain(ctx context.Context, org models.OrganizationID) (Check, error) {
	var v Verifier
	check := Check{Valid: true}
	err := s.walk(ctx, org, database.AuditFilter{}, func(e *models.AuditEntry) (bool, error) {
		if wrong := v.Add(e); wrong != "" {
			check.Valid, check.FirstInvalid, check.Reason = false, e.Seq, wrong
		}
		return check.Valid, nil
	})
	check.Entries, check.Head = v.Entries, v.Head
	return check, err
}

// walk passes entries oldest first, batch by batch, until each stops it.
func (s *Logs) walk(ctx context.Context, org models.OrganizationID, f database.AuditFilter, each func(*models.AuditEntry) (bool, error)) error {
	head, err := s.logs.Head(ctx, org)
	if models.IsKind(err, models.KindNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for seq := int64(0); ; {
		batch, err := s.logs.After(ctx, org, f, seq, head.Seq, auditBatch)
		if err != nil {
			return err
		}
		for i := range batch {
			if more, err := each(&batch[i]); err != nil || !more {
				return err
			}
			seq = batch[i].Seq
		}
		if len(batch) < auditBatch {
			return nil
		}
	}
}
