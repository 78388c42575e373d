package events

import (
	"context"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/required"
)

const (
	// exists stands for whether the target of a change is there.
	exists = "exists"
	// laterRead is how many later changes of a target are looked at.
	laterRead = 200
)

// Outcomes finds out about changes whose outcome was lost, because their process died or
// the database did not answer: whether they were made.
type Outcomes struct{ c OutcomesConfig }

// OutcomesConfig of NewOutcomes; every field is required.
type OutcomesConfig struct {
	Trail         *database.AuditLogs
	Projects      *database.Projects
	Keys          *database.APIKeys
	Organizations *database.Organizations
	Users         *database.Users
	Revocations   *database.Revocations
	// Fields gives the fields of a project by their names in the audit trail.
	Fields func(*models.Project) map[string]any
}

// NewOutcomes returns the outcomes. It fails if a required field is missing.
func NewOutcomes(c OutcomesConfig) (*Outcomes, error) { return &Outcomes{c}, required.Fields(c) }

// Made reports whether a change was made that may be under way no more: each field
// that it was to change has to have changed. What is stored now proves it, if no other
// change was to leave that; else what the next change of the same target found in a
// field decides.
func (o *Outcomes) Made(ctx context.Context, entry *models.AuditEntry) (bool, error) {
	later, err := o.c.Trail.After(ctx, entry.OrgID, database.AuditFilter{Target: entry.Target.ID}, entry.Seq, math.MaxInt64, laterRead)
	if err != nil {
		return false, err
	}
	more := len(later) == laterRead
	later = slices.DeleteFunc(later, overtaken)
	stored, err := o.stored(ctx, entry)
	if models.IsKind(err, models.KindNotFound) { // what was to be changed is not there
		return false, nil
	}
	if err != nil {
		return false, err
	}
	from, to := foundBy(entry), wanted(entry)
	for name, value := range to {
		if !took(name, from[name], value, later, more, stored) {
			return false, nil
		}
	}
	return len(to) > 0, nil
}

// overtaken tells a change that was not made, because another one came between its read
// and its write: what it found says nothing of that one.
func overtaken(e models.AuditEntry) bool {
	return e.Outcome == models.AuditFailure && e.Code == database.ChangedSince
}

// took reports whether a field has changed from one value to another; more tells that
// there are more later changes than these. A later change may
// have read the field before this one wrote it: that it found the old value proves
// something only if it then was made itself.
func took(name string, from, to any, later []models.AuditEntry, more bool, stored map[string]any) bool {
	is := reflect.DeepEqual(stored[name], to)
	leaves := func(e *models.AuditEntry) bool {
		value, known := wanted(e)[name]
		return known && reflect.DeepEqual(value, to)
	}
	if is && !more && !slices.ContainsFunc(later, func(e models.AuditEntry) bool { return leaves(&e) }) {
		return true
	}
	for i := range later {
		value, known := foundBy(&later[i])[name]
		switch {
		case !known:
		case reflect.DeepEqual(value, to):
			return true
		case reflect.DeepEqual(value, from) && (later[i].Outcome == models.AuditSuccess || leaves(&later[i])):
			return false
		}
	}
	return is
}

// foundBy gives the fields that a change found.
func foundBy(entry *models.AuditEntry) map[string]any {
	out := plain(entry.Before)
	switch kindOf(entry.Action) {
	case KeyCreated, ProjectCreated:
		out[exists] = false
	case MemberJoined:
		out[joined(plain(entry.After))] = false
	case KeyRotated, TokenRevoked:
	default:
		out[exists] = true
	}
	return out
}

// wanted gives the fields that a change was to leave.
func wanted(entry *models.AuditEntry) map[string]any {
	after := plain(entry.After)
	switch kindOf(entry.Action) {
	case KeyCreated, ProjectCreated:
		return map[string]any{exists: true}
	case KeyDeleted, ProjectDeleted, MemberRemoved:
		return map[string]any{exists: false}
	case MemberJoined:
		return map[string]any{joined(after): true}
	case KeyRotated:
		return map[string]any{"key_id": after["key_id"]}
	case TokenRevoked:
		return map[string]any{"revocation_id": after["revocation_id"]}
	}
	delete(after, "storage.credential") // storage.credential_id tells which is stored
	return after
}

// joined names whether a person is a member.
func joined(after map[string]any) string { return "member " + textOf(after["user_id"]) }

// stored gives what is stored of the fields that a change was to change.
func (o *Outcomes) stored(ctx context.Context, entry *models.AuditEntry) (map[string]any, error) {
	id, after := entry.Target.ID, plain(entry.After)
	switch kindOf(entry.Action) {
	case KeyCreated, KeyUpdated, KeyDeleted:
		key, err := o.c.Keys.Known(ctx, entry.ProjectID, models.KeyID(id))
		return fieldsFrom(map[string]any{"name": key.Name, "scopes": key.Scopes, "allowed_ips": key.AllowedIPs, "expires_at": key.ExpiresAt,
			exists: !key.IsDeleted}, err)
	case KeyRotated:
		project, err := o.c.Projects.Named(ctx, models.ProjectID(id))
		if err != nil {
			return nil, err
		}
		key, err := o.c.Keys.Known(ctx, project.ID, models.KeyID(textOf(after["key_id"])))
		if key.Key != project.PulseAPIKey {
			return map[string]any{}, err
		}
		return fieldsFrom(map[string]any{"key_id": key.ID}, err)
	case ProjectCreated, ProjectUpdated, ProjectDeleted:
		project, err := o.c.Projects.Named(ctx, models.ProjectID(id))
		out := o.c.Fields(&project)
		out[exists] = !project.IsDeleted
		return fieldsFrom(out, err)
	case MemberJoined:
		member, err := o.c.Users.Known(ctx, entry.OrgID, models.UserID(textOf(after["user_id"])))
		return map[string]any{joined(after): member.ID != ""}, err
	case MemberRoleChanged, MemberRemoved:
		member, err := o.c.Users.Known(ctx, entry.OrgID, models.UserID(id))
		if err != nil || member.IsDeleted {
			return map[string]any{exists: false}, err
		}
		org, err := o.c.Organizations.Get(ctx, models.TenantOf(entry.OrgID), entry.OrgID)
		return fieldsFrom(map[string]any{exists: true, "role": org.RoleOf(&member)}, err)
	}
	list, err := o.c.Revocations.Named(ctx, []string{models.RevocationKey(entry.ProjectID, textOf(after["room_name"]), id)})
	if err != nil || len(list) == 0 {
		return map[string]any{}, err
	}
	return map[string]any{"revocation_id": string(list[0].PublicID)}, nil
}

func textOf(value any) string {
	text, _ := value.(string)
	return text
}

// fieldsFrom gives fields in the form that plain gives those of an entry.
func fieldsFrom(fields map[string]any, err error) (map[string]any, error) {
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, models.Internal(err)
	}
	return plain(string(text)), nil
}

// plain gives the fields of an entry so that equal values are equal: times in the
// precision that is stored, nothing for what is empty.
func plain(text string) map[string]any {
	var out map[string]any
	if json.Unmarshal([]byte(text), &out) != nil || out == nil {
		return map[string]any{}
	}
	for name, value := range out {
		switch v := value.(type) {
		case string:
			if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
				out[name] = at.UTC().Truncate(time.Millisecond).String()
			}
		case []any:
			if len(v) == 0 {
				out[name] = nil
			}
		}
	}
	return out
}
