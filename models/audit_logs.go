package models

import "time"

// AuditID names an entry of the audit trail: "aud_…".
type AuditID string

// InstallationTrail stands for an organization in the audit trail of what the
// operator does to the installation as a whole.
const InstallationTrail OrganizationID = "installation"

// AuditPrefix is that of audit entries.
const AuditPrefix = "aud_"

// AuditSettled is how long a change may take before its entry counts as staying
// without an outcome: many times the deadline of a request.
const AuditSettled = 5 * time.Minute

// AuditOutcome is how a change went.
type AuditOutcome string

// The outcomes. An entry that stays pending was written by a process that died
// before it could say more.
const (
	AuditPending AuditOutcome = "pending"
	AuditSuccess AuditOutcome = "success"
	AuditFailure AuditOutcome = "failure"
)

// AuditActor is who made a change: a person, a key or the operator, or Pulse
// itself ("system").
type AuditActor struct {
	Kind string `bson:"kind"`
	// ID is the person's or the key's; empty for the operator and the system.
	ID string `bson:"id"`
	// CredentialID is the session's or the key's that was shown.
	CredentialID string `bson:"credential_id"`
}

// AuditCaller is who asks for a change, and from where, in a document that is stored
// before the change and names it until the entry is written.
type AuditCaller struct {
	Actor     AuditActor `bson:"actor"`
	IP        string     `bson:"ip"`
	UserAgent string     `bson:"user_agent"`
	RequestID string     `bson:"request_id"`
}

// AuditTarget is what was changed.
type AuditTarget struct {
	Type string `bson:"type"`
	ID   string `bson:"id"`
}

// AuditSeal says, in a later entry, how an earlier one ended. An empty Hash
// says that it never did.
type AuditSeal struct {
	Seq  int64  `bson:"seq"`
	Hash string `bson:"hash"`
}

// AuditEntry is one change by anybody. Entries of an organization are numbered
// from 1 without gaps. All but the last four fields is written before the
// change and covered by Hash, which covers the Hash before it, too. The outcome
// is written after the change; OutcomeHash covers it, and the entries that
// follow seal that.
type AuditEntry struct {
	ID     AuditID        `bson:"_id"`
	OrgID  OrganizationID `bson:"org_id"`
	Seq    int64          `bson:"seq"`
	At     time.Time      `bson:"at"`
	Actor  AuditActor     `bson:"actor"`
	Action string         `bson:"action"`
	Target AuditTarget    `bson:"target"`
	// Before and After are JSON objects of the changed fields, secrets
	// redacted; "{}" where there is nothing to say.
	Before    string `bson:"before"`
	After     string `bson:"after"`
	IP        string `bson:"ip"`
	UserAgent string `bson:"user_agent"`
	RequestID string `bson:"request_id"`
	// Seals are the outcomes of earlier entries known since the last entry, and
	// Open the numbers of those that are not known yet.
	Seals    []AuditSeal `bson:"seals,omitempty"`
	Open     []int64     `bson:"open,omitempty"`
	PrevHash string      `bson:"prev_hash"`
	Hash     string      `bson:"hash"`

	Outcome AuditOutcome `bson:"outcome"`
	// Code is the error's, of a failure.
	Code        string     `bson:"code,omitempty"`
	CompletedAt *time.Time `bson:"completed_at,omitempty"`
	OutcomeHash string     `bson:"outcome_hash,omitempty"`

	// ProjectID is what a change concerns that tenants are informed of, "" for the whole
	// organization. It and TellAt are no part of the trail: they are neither hashed
	// nor exported.
	ProjectID ProjectID `bson:"project_id,omitempty"`
	// TellAt is there until the event of the change is stored, or it is known that
	// there was no change: from when on any process handles it, instead of the one
	// that made the change.
	TellAt *time.Time `bson:"tell_at,omitempty"`
}

// Origin is where a request came from, for the audit trail: observation, never
// authority.
type Origin struct {
	IP        string `bson:"ip"`
	UserAgent string `bson:"user_agent"`
	RequestID string `bson:"request_id"`
}
