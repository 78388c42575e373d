package events

import (
	"testing"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

func TestAChangeThatAnotherReadBeforeIsToldIfItWasMade(t *testing.T) {
	other := func(outcome models.AuditOutcome, found, left string) models.AuditEntry {
		return models.AuditEntry{Action: "project.updated", Outcome: outcome, Before: `{"name":"` + found + `"}`, After: `{"name":"` + left + `"}`}
	}
	unrelated := models.AuditEntry{Action: "project.updated", Outcome: models.AuditSuccess, Before: `{"region":"a"}`, After: `{"region":"b"}`}
	for name, c := range map[string]struct {
		later  []models.AuditEntry
		stored string
		want   bool
	}{
		"stored":                                   {nil, "new", true},
		"not stored":                               {nil, "old", false},
		"stored, and something else changed":       {[]models.AuditEntry{unrelated}, "new", true},
		"found by the next":                        {[]models.AuditEntry{other(models.AuditSuccess, "new", "next")}, "next", true},
		"found by the next, which is lost":         {[]models.AuditEntry{other(models.AuditPending, "new", "next")}, "new", true},
		"the next found the old and failed":        {[]models.AuditEntry{other(models.AuditFailure, "old", "next")}, "new", true},
		"the next found the old and is lost":       {[]models.AuditEntry{other(models.AuditPending, "old", "next")}, "new", true},
		"the next found the old and wrote before":  {[]models.AuditEntry{other(models.AuditSuccess, "old", "next")}, "new", true},
		"lost, and so is the next":                 {[]models.AuditEntry{other(models.AuditPending, "old", "next")}, "next", false},
		"not made, and the next was":               {[]models.AuditEntry{other(models.AuditSuccess, "old", "next")}, "next", false},
		"not made, and the next did the same":      {[]models.AuditEntry{other(models.AuditSuccess, "old", "new")}, "new", false},
		"not made, and the next is lost too":       {[]models.AuditEntry{other(models.AuditPending, "old", "new")}, "new", false},
		"the first failed, the second found it":    {[]models.AuditEntry{other(models.AuditFailure, "old", "x"), other(models.AuditSuccess, "new", "y")}, "y", true},
		"the first is lost, the second found what": {[]models.AuditEntry{other(models.AuditPending, "old", "x"), other(models.AuditSuccess, "x", "y")}, "y", false},
	} {
		if got := took("name", "old", "new", c.later, false, map[string]any{"name": c.stored}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAChangeThatFoundAnotherOneBetweenSaysNothingOfIt(t *testing.T) {
	e := models.AuditEntry{Outcome: models.AuditFailure, Code: database.ChangedSince}
	if !overtaken(e) {
		t.Error("it counts as a change")
	}
	for _, e := range []models.AuditEntry{{Outcome: models.AuditSuccess}, {Outcome: models.AuditPending}, {Outcome: models.AuditFailure, Code: "internal_error"}} {
		if overtaken(e) {
			t.Errorf("%+v is left out", e)
		}
	}
}
