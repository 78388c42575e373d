package audit_test

import (
	"context"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/utils/cursor"
)

func TestAnOvertakenAttemptLeavesItsEntryToTheNextOneOnlyIfThatFindsAndWantsTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		found   []string // by each attempt
		entries int64
		last    error // of the last attempt; the others were overtaken
	}{
		"the same":              {[]string{"a", "a", "a"}, 1, nil},
		"something else":        {[]string{"a", "b", "b"}, 2, nil},
		"something else twice":  {[]string{"a", "b", "c"}, 3, nil},
		"and then it is gone":   {[]string{"a", "a", ""}, 1, models.NotFound()},
		"and then it may not":   {[]string{"a", "a"}, 1, models.Conflict("last_owner", "no")},
		"and was changed again": {[]string{"a", "b", "a"}, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			logs := database.NewAuditLogs(testkit.NewEngine(t))
			trail := testkit.Must[*audit.Trail](t)(audit.NewTrail(logs, testkit.Silence{}, time.Now))
			operator := &models.Principal{Kind: models.CallerOperator}
			attempt := 0
			err := trail.Reapply(t.Context(), "prj_1", func(ctx context.Context) (err error) {
				found := c.found[attempt]
				attempt++
				if attempt == len(c.found) {
					err = c.last
				} else {
					err = database.ErrChangedSince()
				}
				if found == "" {
					return err
				}
				entry, begun := trail.Begin(ctx, operator, audit.Event{OrgID: "org_1", Action: "project.updated", Type: "project", ID: "prj_1",
					Before: map[string]any{"name": found}, After: map[string]any{"name": "z"}})
				if begun != nil {
					return begun
				}
				entry.End(ctx, &err)
				return err
			})
			if (err == nil) != (c.last == nil) || attempt != len(c.found) {
				t.Fatalf("%d attempts, %v", attempt, err)
			}
			check, err := audit.NewLogs(logs, nil, cursor.New([]byte("key"))).Verify(t.Context(), operator, "org_1")
			if err != nil || !check.Valid || check.Entries != c.entries {
				t.Errorf("%d entries wanted; %+v, %v", c.entries, check, err)
			}
			list, err := logs.Before(t.Context(), "org_1", database.AuditFilter{}, 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				if e.Outcome == models.AuditPending {
					t.Errorf("an entry has no outcome: %+v", e)
				}
			}
		})
	}
}

func TestAChangeWaitsForAnotherOfTheSameObjectNoLongerThanItsDeadline(t *testing.T) {
	trail := testkit.Must[*audit.Trail](t)(audit.NewTrail(database.NewAuditLogs(testkit.NewEngine(t)), testkit.Silence{}, time.Now))
	err := trail.Reapply(t.Context(), "prj_1", func(ctx context.Context) error {
		if err := trail.Reapply(ctx, "", func(context.Context) error { return nil }); err != nil {
			t.Errorf("a part of a change: %v", err)
		}
		late, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		return trail.Reapply(late, "prj_1", func(context.Context) error { t.Error("two changes at once"); return nil })
	})
	if !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := trail.Reapply(t.Context(), "prj_1", func(context.Context) error { return nil }); err != nil {
		t.Errorf("after the change: %v", err)
	}
}
