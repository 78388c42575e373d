package composition_test

import (
	"fmt"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/ids"
)

// BenchmarkVerify verifies a chain of 100,000 entries from the database. The goal is
// 2 s.
func BenchmarkVerify(b *testing.B) {
	const entries = 100_000
	c := &clock{time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}
	engine := openEngine(b, c)
	org := models.OrganizationID(ids.New(models.OrganizationPrefix))
	batch := make([]any, 0, database.MaxBatch)
	var last models.AuditEntry
	for seq := int64(1); seq <= entries; seq++ {
		e := models.AuditEntry{
			ID: models.AuditID(ids.New(models.AuditPrefix)), OrgID: org, Seq: seq, At: c.now,
			Actor:  models.AuditActor{Kind: "person", ID: ids.New(models.UserPrefix), CredentialID: ids.New(models.SessionPrefix)},
			Action: "project.updated", Target: models.AuditTarget{Type: "project", ID: ids.New(models.ProjectPrefix)},
			Before: `{"name":"before"}`, After: fmt.Sprintf(`{"name":"after %d"}`, seq), IP: "203.0.113.9",
			UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", RequestID: ids.New(models.RequestPrefix),
			PrevHash: last.Hash, Outcome: models.AuditSuccess, CompletedAt: &c.now,
		}
		if seq > 1 {
			e.Seals = []models.AuditSeal{{Seq: last.Seq, Hash: last.OutcomeHash}}
		}
		e.Hash = audit.Hash(&e)
		e.OutcomeHash = audit.OutcomeHash(&e)
		last, batch = e, append(batch, e)
		if len(batch) == cap(batch) {
			if _, err := engine.InsertMany(b.Context(), "audit_logs", batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	logs := audit.NewLogs(database.NewAuditLogs(engine), audit.NewActorNames(database.NewUsers(engine), database.NewAPIKeys(engine)), cursor.New([]byte("key")))
	operator := &models.Principal{Kind: models.CallerOperator}
	for b.Loop() {
		check, err := logs.Verify(b.Context(), operator, org)
		if err != nil || !check.Valid || check.Entries != entries {
			b.Fatalf("got %+v, %v", check, err)
		}
	}
}
