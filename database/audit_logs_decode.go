package database

import (
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// auditEntryOf decodes an entry field by field: verification reads a whole
// chain, and the reflection of the driver would dominate it.
func auditEntryOf(raw bson.Raw) (models.AuditEntry, error) {
	elements, err := raw.Elements()
	if err != nil {
		return models.AuditEntry{}, models.Internal(err)
	}
	var e models.AuditEntry
	for _, element := range elements {
		v := element.Value()
		switch element.Key() {
		case "_id":
			e.ID = models.AuditID(textOf(v))
		case "org_id":
			e.OrgID = models.OrganizationID(textOf(v))
		case "seq":
			e.Seq, _ = v.AsInt64OK()
		case "at":
			e.At = instantOf(v)
		case "actor":
			actor, _ := v.DocumentOK()
			e.Actor = models.AuditActor{
				Kind: textOf(actor.Lookup("kind")), ID: textOf(actor.Lookup("id")), CredentialID: textOf(actor.Lookup("credential_id")),
			}
		case "action":
			e.Action = textOf(v)
		case "target":
			target, _ := v.DocumentOK()
			e.Target = models.AuditTarget{Type: textOf(target.Lookup("type")), ID: textOf(target.Lookup("id"))}
		case "before":
			e.Before = textOf(v)
		case "after":
			e.After = textOf(v)
		case "ip":
			e.IP = textOf(v)
		case "user_agent":
			e.UserAgent = textOf(v)
		case "request_id":
			e.RequestID = textOf(v)
		case "seals":
			if e.Seals, err = auditSealsOf(v); err != nil {
				return models.AuditEntry{}, err
			}
		case "open":
			if e.Open, err = numbersOf(v); err != nil {
				return models.AuditEntry{}, err
			}
		case "prev_hash":
			e.PrevHash = textOf(v)
		case "hash":
			e.Hash = textOf(v)
		case "outcome":
			e.Outcome = models.AuditOutcome(textOf(v))
		case "code":
			e.Code = textOf(v)
		case "completed_at":
			e.CompletedAt = optionalOf(v)
		case "project_id":
			e.ProjectID = models.ProjectID(textOf(v))
		case "tell_at":
			e.TellAt = optionalOf(v)
		case "outcome_hash":
			e.OutcomeHash = textOf(v)
		}
	}
	return e, nil
}

func optionalOf(v bson.RawValue) *time.Time {
	if v.Type != bson.TypeDateTime {
		return nil
	}
	at := instantOf(v)
	return &at
}

func auditSealsOf(v bson.RawValue) ([]models.AuditSeal, error) {
	values, err := valuesOf(v)
	if err != nil || len(values) == 0 {
		return nil, err
	}
	out := make([]models.AuditSeal, 0, len(values))
	for _, value := range values {
		seal, _ := value.DocumentOK()
		seq, _ := seal.Lookup("seq").AsInt64OK()
		out = append(out, models.AuditSeal{Seq: seq, Hash: textOf(seal.Lookup("hash"))})
	}
	return out, nil
}

func numbersOf(v bson.RawValue) ([]int64, error) {
	values, err := valuesOf(v)
	if err != nil || len(values) == 0 {
		return nil, err
	}
	out := make([]int64, 0, len(values))
	for _, value := range values {
		n, _ := value.AsInt64OK()
		out = append(out, n)
	}
	return out, nil
}

func valuesOf(v bson.RawValue) ([]bson.RawValue, error) {
	array, ok := v.ArrayOK()
	if !ok {
		return nil, nil
	}
	values, err := array.Values()
	if err != nil {
		return nil, models.Internal(err)
	}
	return values, nil
}

// textOf and instantOf return a zero value for another type: an entry that was
// tampered with then fails its hash.
func textOf(v bson.RawValue) string {
	text, _ := v.StringValueOK()
	return text
}

func instantOf(v bson.RawValue) time.Time {
	ms, ok := v.DateTimeOK()
	if !ok {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
