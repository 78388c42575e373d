package audit

import (
	"context"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/clip"
)

// Record is a change whose entry is written once, after the change: the document that
// the change makes is stored before it and contains the caller and what follows here,
// so that any process can write the entry if the first one dies.
type Record struct {
	// ID follows from the document: the same document has the same entry.
	ID     models.AuditID
	Caller models.AuditCaller
	Event
	// Outcome is success, failure (Failed is the reason), or pending if it can't be found
	// out.
	Outcome models.AuditOutcome
	Failed  error
}

// CallerOf gives a caller as entries name it.
func CallerOf(p *models.Principal) models.AuditCaller {
	return models.AuditCaller{Actor: auditActor(p), IP: p.Origin.IP, UserAgent: clip.Bytes(p.Origin.UserAgent, maxUserAgent), RequestID: p.Origin.RequestID}
}

// Has reports whether an entry of an organization is stored.
func (t *Trail) Has(ctx context.Context, org models.OrganizationID, id models.AuditID) (bool, error) {
	_, err := t.logs.Get(ctx, org, id)
	if models.IsKind(err, models.KindNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Record writes the entry of a change together with its outcome, unless an entry with
// its id is stored. Tenants are not informed of the change: an action that they are
// informed of needs Begin.
func (t *Trail) Record(ctx context.Context, r Record) error {
	doc, err := entryOf(r.Caller, r.Event)
	if err != nil {
		return err
	}
	doc.ID = r.ID
	_, err = t.append(ctx, &doc, func(doc *models.AuditEntry) {
		if r.Outcome != models.AuditPending {
			end(doc, doc.At, r.Failed)
		}
	})
	if models.IsKind(err, models.KindConflict) {
		return nil // it was written before
	}
	return err
}
