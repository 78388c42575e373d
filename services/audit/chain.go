package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"

	"pulse-control-plane/models"
)

// version names the format of what is hashed, so that it can change later.
const version = "pulse-audit-v1"

// Hash is the hex SHA-256 over an entry as written before its change, including the
// hash of the previous entry.
func Hash(e *models.AuditEntry) string {
	b := make([]byte, 0, 1024)
	b = text(b, version)
	for _, s := range []string{
		string(e.ID), string(e.OrgID), strconv.FormatInt(e.Seq, 10), strconv.FormatInt(e.At.UnixMilli(), 10),
		e.Actor.Kind, e.Actor.ID, e.Actor.CredentialID, e.Action, e.Target.Type, e.Target.ID,
		e.Before, e.After, e.IP, e.UserAgent, e.RequestID, e.PrevHash,
	} {
		b = text(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Seals)))
	for _, s := range e.Seals {
		b = text(binary.AppendVarint(b, s.Seq), s.Hash)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Open)))
	for _, seq := range e.Open {
		b = binary.AppendVarint(b, seq)
	}
	return sum(b)
}

// OutcomeHash is the hex SHA-256 over an entry's outcome; "" while it is unknown.
func OutcomeHash(e *models.AuditEntry) string {
	if e.Outcome == models.AuditPending || e.CompletedAt == nil {
		return ""
	}
	b := make([]byte, 0, 256)
	for _, s := range []string{version, e.Hash, string(e.Outcome), e.Code, strconv.FormatInt(e.CompletedAt.UnixMilli(), 10)} {
		b = text(b, s)
	}
	return sum(b)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// text appends a text with its length, so that no two entries have the same bytes.
func text(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// unknown stands for the outcome of an entry before the first one, which can't be
// verified. It is not a hash.
const unknown = "before the first"

// Verifier verifies entries one by one, oldest first. The zero Verifier expects a
// chain from its first entry; FromMiddle accepts one that starts anywhere.
type Verifier struct {
	FromMiddle bool
	// Entries counts the valid entries; Head is the hash of the last one, Last its
	// number.
	Entries int64
	Head    string
	Last    int64
	// unsealed are the outcomes that no later entry has sealed.
	unsealed map[int64]string
}

// Add verifies the next entry and returns its fault, "" for none. After the first
// fault the Verifier must not be used further.
func (v *Verifier) Add(e *models.AuditEntry) string {
	first := v.Entries == 0
	if v.unsealed == nil {
		v.unsealed = map[int64]string{}
	}
	switch {
	case first && !v.FromMiddle && (e.Seq != 1 || e.PrevHash != ""):
		return "the first entry is missing"
	case !first && e.Seq != v.Last+1:
		return "an entry is missing, repeated or out of order before this one"
	case !first && e.PrevHash != v.Head:
		return "it does not follow the entry before it"
	case e.Hash != Hash(e):
		return "the entry was changed"
	case e.OutcomeHash != OutcomeHash(e):
		return "the outcome of the entry was changed"
	}
	if first {
		for _, seq := range e.Open {
			v.unsealed[seq] = unknown
		}
	} else if wrong := v.seal(e); wrong != "" {
		return wrong
	}
	v.unsealed[e.Seq] = e.OutcomeHash
	v.Entries, v.Head, v.Last = v.Entries+1, e.Hash, e.Seq
	return ""
}

// seal checks that an entry seals every outcome that no earlier entry sealed.
func (v *Verifier) seal(e *models.AuditEntry) string {
	for _, s := range e.Seals {
		outcome, waits := v.unsealed[s.Seq]
		if !waits || s.Hash != outcome && outcome != unknown {
			return "the outcome of entry " + strconv.FormatInt(s.Seq, 10) + " was changed"
		}
		delete(v.unsealed, s.Seq)
	}
	if len(e.Open) != len(v.unsealed) {
		return "it does not seal the outcomes of the entries before it"
	}
	for _, seq := range e.Open {
		if _, waits := v.unsealed[seq]; !waits {
			return "it does not seal the outcomes of the entries before it"
		}
	}
	if !slices.IsSorted(e.Open) {
		return "the entry was changed"
	}
	return ""
}
