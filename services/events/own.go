package events

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/ids"
)

// Audited records the event of a change that was made, if tenants hear of it:
// entry is its entry in the audit trail, whose fields have no secret; project is
// what it concerns, "" for the whole organization. The entry told again is the same
// event.
func (s *Sources) Audited(ctx context.Context, entry *models.AuditEntry, project models.ProjectID) error {
	kind, data, known := heardOf(entry)
	if !known {
		return nil
	}
	text, err := json.Marshal(data, json.Deterministic(true))
	if err != nil {
		return models.Internal(err)
	}
	return s.c.Log.Record(ctx, &models.Event{Type: kind, OrgID: entry.OrgID, ProjectID: project, At: entry.At, SourceID: string(entry.ID), Data: string(text)})
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

// heardOf gives the type and data of the event of an entry; false for changes
// that no event tells of. What only those may read who manage keys is left out:
// readers of events may have less rights.
func heardOf(entry *models.AuditEntry) (kind string, data map[string]any, known bool) {
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
	switch entry.Action {
	case "key.created":
		return KeyCreated, with(pick(after, "name", "scopes", "expires_at"), "key_id", id), true
	case "key.updated":
		return KeyUpdated, map[string]any{"key_id": id, "changes": pick(after, "name", "scopes", "expires_at")}, true
	case "key.deleted":
		return KeyDeleted, with(pick(before, "name"), "key_id", id), true
	case "key.rotated":
		return KeyRotated, with(pick(after, "key_id", "grace_period_seconds"), "previous_key_id", before["key_id"]), true
	case "project.created":
		return ProjectCreated, with(pick(after, "name", "region"), "project_id", id), true
	case "project.updated":
		return ProjectUpdated, map[string]any{"project_id": id, "changes": changesOf(after)}, true
	case "project.deleted":
		return ProjectDeleted, with(pick(before, "name"), "project_id", id), true
	case "invitation.accepted":
		return MemberJoined, pick(after, "user_id", "email", "name", "role"), true
	case "member.role_changed":
		return MemberRoleChanged, with(with(pick(after, "role"), "user_id", id), "previous_role", before["role"]), true
	case "member.removed":
		return MemberRemoved, with(pick(before, "email", "role"), "user_id", id), true
	case "tokens.revoked":
		return TokenRevoked, with(pick(after, "room_name", "banned_until"), "participant_identity", id), true
	}
	return "", nil, false
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

// Quota records the event of a threshold; told again it is the same event.
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
// start; told again it is the same event.
func (s *Sources) RecordingFailed(ctx context.Context, e *models.Egress) error {
	data, err := json.Marshal(failedRecordingData{EgressID: e.PublicID(), RoomName: e.RoomName, RoomSID: e.RecordedSID, Error: e.Error})
	if err != nil {
		return models.Internal(err)
	}
	return s.c.Log.Record(ctx, &models.Event{Type: RecordingFailed, OrgID: e.OrgID, ProjectID: e.ProjectID, At: e.CreatedAt,
		Order: models.QualifyRoom(e.ProjectID, e.RoomName), SourceID: string(e.ID), Data: string(data)})
}

const (
	// expiringWithin is how long before it expires key.expiring tells of a key.
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
