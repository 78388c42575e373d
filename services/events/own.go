package events

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/ids"
)

// toldOf gives the event of a change that was made: entry is its entry in the audit
// trail, whose fields have no secret. The same entry gives the same event.
func toldOf(entry *models.AuditEntry) (models.Event, error) {
	kind := kindOf(entry.Action)
	text, err := json.Marshal(dataOf(kind, entry), json.Deterministic(true))
	if err != nil {
		return models.Event{}, models.Internal(err)
	}
	e := models.Event{Type: kind, OrgID: entry.OrgID, ProjectID: entry.ProjectID, At: entry.At, SourceID: string(entry.ID), Data: string(text)}
	e.ID = sourcedID(&e)
	return e, nil
}

// fields are those of an audit entry.
type fields map[string]jsontext.Value

func fieldsOf(text string) fields {
	var out fields
	if json.Unmarshal([]byte(text), &out) != nil {
		return fields{} // an entry that is there was written as an object
	}
	return out
}

// kindOf gives the type of the event of changes with an action; "" for those that
// no event contains.
func kindOf(action string) string {
	switch action {
	case "key.created":
		return KeyCreated
	case "key.updated":
		return KeyUpdated
	case "key.deleted":
		return KeyDeleted
	case "key.rotated":
		return KeyRotated
	case "project.created":
		return ProjectCreated
	case "project.updated":
		return ProjectUpdated
	case "project.deleted":
		return ProjectDeleted
	case "invitation.accepted":
		return MemberJoined
	case "member.role_changed":
		return MemberRoleChanged
	case "member.removed":
		return MemberRemoved
	case "tokens.revoked":
		return TokenRevoked
	}
	return ""
}

// dataOf gives the data of the event of an entry. What only those may read who
// manage keys is left out: readers of events may have less rights.
func dataOf(kind string, entry *models.AuditEntry) map[string]any {
	before, after := fieldsOf(entry.Before), fieldsOf(entry.After)
	pick := func(from fields, names ...string) map[string]any {
		out := map[string]any{}
		for _, name := range names {
			if value, ok := from[name]; ok {
				out[name] = value
			}
		}
		return out
	}
	with := func(out map[string]any, name string, value any) map[string]any {
		out[name] = value
		return out
	}
	id := entry.Target.ID
	switch kind {
	case KeyCreated:
		return with(pick(after, "name", "scopes", "expires_at"), "key_id", id)
	case KeyUpdated:
		return map[string]any{"key_id": id, "changes": pick(after, "name", "scopes", "expires_at")}
	case KeyDeleted:
		return with(pick(before, "name"), "key_id", id)
	case KeyRotated:
		return with(pick(after, "key_id", "grace_period_seconds"), "previous_key_id", before["key_id"])
	case ProjectCreated:
		return with(pick(after, "name", "region"), "project_id", id)
	case ProjectUpdated:
		return map[string]any{"project_id": id, "changes": changesOf(after)}
	case ProjectDeleted:
		return with(pick(before, "name"), "project_id", id)
	case MemberJoined:
		return pick(after, "user_id", "email", "name", "role")
	case MemberRoleChanged:
		return with(with(pick(after, "role"), "user_id", id), "previous_role", before["role"])
	case MemberRemoved:
		return with(pick(before, "email", "role"), "user_id", id)
	}
	return with(pick(after, "room_name", "banned_until"), "participant_identity", id) // TokenRevoked
}

func changesOf(after fields) fields {
	if after == nil {
		return fields{}
	}
	return after
}

// quotaData is the data of quota.*.
type quotaData struct {
	Quota       models.Quota `json:"quota"`
	Limit       int64        `json:"limit"`
	Used        float64      `json:"used"`
	Percent     int64        `json:"percent"`
	PeriodStart time.Time    `json:"period_start"`
}

// QuotaEventID is the id of the event of a threshold in its period.
func QuotaEventID(e *models.QuotaEvent) string {
	return ids.Derived(models.EventPrefix, e.Period, "quota", e.ID)
}

// Quota records the event of a threshold; a second call records nothing new.
func (s *Sources) Quota(ctx context.Context, e *models.QuotaEvent) error {
	data, err := json.Marshal(quotaData{Quota: e.Quota, Limit: e.Limit, Used: e.Used, Percent: e.Percent, PeriodStart: e.Period})
	if err != nil {
		return models.Internal(err)
	}
	out := models.Event{ID: QuotaEventID(e), Type: QuotaWarning, At: e.At, SourceID: e.ID, Data: string(data)}
	if e.Percent >= models.QuotaReachedPercent {
		out.Type = QuotaExceeded
	}
	if e.Quota == models.QuotaProjects {
		out.OrgID = models.OrganizationID(e.Owner)
		return s.c.Log.Record(ctx, &out)
	}
	out.ProjectID = models.ProjectID(e.Owner)
	if out.OrgID, err = s.orgs.Get(ctx, e.Owner); err != nil {
		return err
	}
	return s.c.Log.Record(ctx, &out)
}

// RecordingFailed records the event of an automatic recording that Pulse could not
// start; a second call records nothing new.
func (s *Sources) RecordingFailed(ctx context.Context, e *models.Egress) error {
	data, err := json.Marshal(failedRecordingData{EgressID: e.PublicID(), RoomName: e.RoomName, RoomSID: e.RecordedSID, Error: e.Error})
	if err != nil {
		return models.Internal(err)
	}
	return s.c.Log.Record(ctx, &models.Event{Type: RecordingFailed, OrgID: e.OrgID, ProjectID: e.ProjectID, At: e.CreatedAt,
		Order: models.QualifyRoom(e.ProjectID, e.RoomName), SourceID: string(e.ID), Data: string(data)})
}

const (
	// expiringWithin is how long before a key expires its key.expiring is sent.
	expiringWithin = 7 * 24 * time.Hour
	// ExpiringInterval is how often expiring keys are looked for.
	ExpiringInterval = 10 * time.Minute
	// expiringBatch is how many keys one read takes.
	expiringBatch = 500
)

// ExpiringKeys reads keys that expire in (after, until], the first to expire first.
type ExpiringKeys interface {
	Expiring(ctx context.Context, after, until time.Time, limit int64) ([]models.APIKey, error)
}

type keyData struct {
	KeyID     models.KeyID `json:"key_id"`
	Name      string       `json:"name"`
	ExpiresAt time.Time    `json:"expires_at"`
}

// Expiring records an event for each key that expires within a week, once. A key
// that another replaced is left out: its end is what was asked for.
func (s *Sources) Expiring(ctx context.Context) error {
	now := s.c.Now().UTC()
	for after := now; ; {
		list, err := s.c.Keys.Expiring(ctx, after, now.Add(expiringWithin), expiringBatch)
		if err != nil {
			return err
		}
		var out []models.Event
		for i := range list {
			k := &list[i]
			after = *k.ExpiresAt
			if k.RotatedAt != nil {
				continue
			}
			data, err := json.Marshal(keyData{k.ID, k.Name, k.ExpiresAt.UTC()})
			if err != nil {
				return models.Internal(err)
			}
			at := k.ExpiresAt.Add(-expiringWithin)
			if at.Before(k.CreatedAt) {
				at = k.CreatedAt
			}
			out = append(out, models.Event{ID: ids.Derived(models.EventPrefix, *k.ExpiresAt, "expiring", string(k.ID)), Type: KeyExpiring,
				OrgID: k.OrgID, ProjectID: k.ProjectID, At: at.UTC(), SourceID: string(k.ID), Data: string(data)})
		}
		if out, err = s.c.Log.Unknown(ctx, out); err != nil {
			return err
		}
		if err := s.c.Log.Append(ctx, out); err != nil {
			return err
		}
		if len(list) < expiringBatch {
			return nil
		}
	}
}
