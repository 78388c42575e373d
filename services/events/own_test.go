package events

import (
	"context"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

func TestAChangeMakesOneEventHoweverOftenItsEntryIsCompleted(t *testing.T) {
	r := newRig(t)
	trail := database.NewAuditLogs(r.engine)
	owed := testkit.Must[*Owed](t)(NewOwed(OwedConfig{Log: r.Log, Trail: trail, Exclusive: true, Wake: func() {}, Now: r.clock.Now,
		Made: func(context.Context, *models.AuditEntry) (bool, error) { return false, nil }}))
	if !owed.Heard("key.created") || owed.Heard("session.created") {
		t.Error("of which changes do tenants hear?")
	}
	now := r.clock.Now()
	entry := models.AuditEntry{ID: "aud_1", OrgID: "org_1", ProjectID: testkit.Project, At: now, Action: "key.created", Target: models.AuditTarget{Type: "key", ID: "key_1"},
		Before: "{}", After: `{"name":"ci","project_id":"prj_1","scopes":["*"],"allowed_ips":["192.0.2.7/32"]}`, Outcome: models.AuditSuccess, TellAt: &now}
	if err := trail.Append(t.Context(), &entry); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		owed.Made(&entry)
		if n, err := owed.Pass(t.Context()); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if err := owed.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	list, err := r.Log.After(t.Context(), 0, 10)
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	told := 0
	for _, e := range list {
		if e.Type == models.EventGap {
			continue
		}
		told++
		if e.Type != KeyCreated || e.ProjectID != testkit.Project || e.OrgID != "org_1" || !strings.Contains(e.Data, `"key_id":"key_1"`) || strings.Contains(e.Data, "project_id") || strings.Contains(e.Data, "192.0.2.7") {
			t.Errorf("%+v", e)
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	if left, err := trail.Untold(t.Context(), now.Add(time.Hour), 10); len(left) != 0 || err != nil {
		t.Errorf("still owed: %v, %v", left, err)
	}
}

func TestAThresholdOfAQuotaMakesOneEventHoweverOftenItIsReported(t *testing.T) {
	r := newRig(t)
	s := testkit.Must[*Sources](t)(NewSources(SourcesConfig{Log: r.Log, Projects: database.NewProjects(r.engine), Keys: database.NewAPIKeys(r.engine), Now: r.clock.Now}))
	e := models.QuotaEvent{ID: "org_1|projects|100|2|2026-03-02", Owner: "org_1", Quota: models.QuotaProjects, Percent: 100, Limit: 2, Used: 2,
		Period: r.clock.Now().Truncate(24 * time.Hour), At: r.clock.Now()}
	for range 2 {
		if err := s.Quota(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
		e.At = e.At.Add(time.Minute) // as another replica saw it
	}
	list, err := r.Log.After(t.Context(), 0, 10)
	if err != nil || list[0].Type != QuotaExceeded || list[0].OrgID != "org_1" || list[0].ID != QuotaEventID(&e) {
		t.Fatal(list, err)
	}
	for _, more := range list[1:] {
		if more.Type != models.EventGap {
			t.Errorf("told again: %+v", more)
		}
	}
}

func TestKeysThatExpireWithinAWeekMakeOneEventUnlessReplaced(t *testing.T) {
	r := newRig(t)
	keys := database.NewAPIKeys(r.engine)
	s := testkit.Must[*Sources](t)(NewSources(SourcesConfig{Log: r.Log, Projects: database.NewProjects(r.engine), Keys: keys, Now: r.clock.Now}))
	now := r.clock.Now()
	at := func(d time.Duration) *time.Time { out := now.Add(d); return &out }
	for _, k := range []models.APIKey{
		{ID: "key_soon", ExpiresAt: at(24 * time.Hour)}, {ID: "key_later", ExpiresAt: at(8 * 24 * time.Hour)}, {ID: "key_never"},
		{ID: "key_over", ExpiresAt: at(-time.Hour)}, {ID: "key_replaced", ExpiresAt: at(time.Hour), RotatedAt: at(-time.Hour)},
		{ID: "key_gone", ExpiresAt: at(time.Hour), IsDeleted: true},
	} {
		k.Key, k.OrgID, k.ProjectID, k.CreatedAt = string(k.ID), "org_1", testkit.Project, now.Add(-30*24*time.Hour)
		if err := keys.Insert(t.Context(), &k); err != nil {
			t.Fatal(err)
		}
	}
	told := func() (out []string) {
		for range 2 {
			if err := s.Expiring(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		list, err := r.Log.After(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			out = append(out, e.SourceID)
		}
		return out
	}
	if got := told(); len(got) != 1 || got[0] != "key_soon" {
		t.Errorf("told of %v", got)
	}
	r.clock.Advance(2 * 24 * time.Hour)
	if got := told(); len(got) != 2 || got[1] != "key_later" {
		t.Errorf("two days later told of %v", got)
	}
}
