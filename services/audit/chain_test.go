package audit_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
)

// chainOf is a complete chain of n entries, each of which seals the one before.
func chainOf(n int) []models.AuditEntry {
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	chain := make([]models.AuditEntry, 0, n)
	for i := range n {
		e := models.AuditEntry{
			ID: models.AuditID(fmt.Sprintf("aud_%d", i+1)), OrgID: "org_1", Seq: int64(i + 1), At: at,
			Actor:  models.AuditActor{Kind: "person", ID: "usr_1", CredentialID: "ses_1"},
			Action: "project.updated", Target: models.AuditTarget{Type: "project", ID: "prj_1"},
			Before: `{"name":"a"}`, After: fmt.Sprintf(`{"name":"%d"}`, i), IP: "203.0.113.9", UserAgent: "walker/1", RequestID: "req-1",
			Outcome: models.AuditSuccess, CompletedAt: &at,
		}
		if i > 0 {
			last := chain[i-1]
			e.PrevHash, e.Seals = last.Hash, []models.AuditSeal{{Seq: last.Seq, Hash: last.OutcomeHash}}
		}
		rehash(&e)
		chain = append(chain, e)
	}
	return chain
}

func rehash(e *models.AuditEntry) {
	e.Hash = audit.Hash(e)
	e.OutcomeHash = audit.OutcomeHash(e)
}

// firstWrong returns the number of the first invalid entry, 0 for none.
func firstWrong(chain []models.AuditEntry) int64 {
	var v audit.Verifier
	for i := range chain {
		if v.Add(&chain[i]) != "" {
			return chain[i].Seq
		}
	}
	return 0
}

// exportOf is a complete export of entries, as /v1/audit-logs/export writes it.
func exportOf(t testing.TB, chain []models.AuditEntry, whole bool) []byte {
	t.Helper()
	var out bytes.Buffer
	head := ""
	write := func(v any) {
		if err := json.MarshalWrite(&out, v); err != nil {
			t.Fatal(err)
		}
		out.WriteByte('\n')
	}
	for _, e := range chain {
		write(audit.LineOf(e))
		head = e.Hash
	}
	write(map[string]any{"trailer": audit.Trailer{Entries: int64(len(chain)), Head: head, Whole: whole}})
	return out.Bytes()
}

func TestAnUnmodifiedChainIsValid(t *testing.T) {
	chain := chainOf(20)
	if got := firstWrong(chain); got != 0 {
		t.Errorf("entry %d is invalid", got)
	}
	report, err := audit.VerifyExport(bytes.NewReader(exportOf(t, chain, true)), chain[19].Hash)
	if err != nil || report.Entries != 20 || !report.Whole || report.Head != chain[19].Hash {
		t.Errorf("got %+v, %v", report, err)
	}
}

// tampered are modifications of one entry, one for each field.
func tampered() map[string]func(*models.AuditEntry) {
	later := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	return map[string]func(*models.AuditEntry){
		"id":            func(e *models.AuditEntry) { e.ID += "x" },
		"org_id":        func(e *models.AuditEntry) { e.OrgID += "x" },
		"seq":           func(e *models.AuditEntry) { e.Seq += 100 },
		"at":            func(e *models.AuditEntry) { e.At = later },
		"actor kind":    func(e *models.AuditEntry) { e.Actor.Kind = "operator" },
		"actor id":      func(e *models.AuditEntry) { e.Actor.ID = "usr_2" },
		"credential":    func(e *models.AuditEntry) { e.Actor.CredentialID = "" },
		"action":        func(e *models.AuditEntry) { e.Action = "project.deleted" },
		"target type":   func(e *models.AuditEntry) { e.Target.Type = "key" },
		"target id":     func(e *models.AuditEntry) { e.Target.ID = "prj_2" },
		"before":        func(e *models.AuditEntry) { e.Before = "{}" },
		"after":         func(e *models.AuditEntry) { e.After = "{}" },
		"moved text":    func(e *models.AuditEntry) { e.Before, e.After = e.After, e.Before },
		"ip":            func(e *models.AuditEntry) { e.IP = "203.0.113.8" },
		"user agent":    func(e *models.AuditEntry) { e.UserAgent = "" },
		"request id":    func(e *models.AuditEntry) { e.RequestID = "req-2" },
		"seals removed": func(e *models.AuditEntry) { e.Seals = nil },
		"seal altered":  func(e *models.AuditEntry) { e.Seals = []models.AuditSeal{{Seq: e.Seals[0].Seq, Hash: "0"}} },
		"open":          func(e *models.AuditEntry) { e.Open = []int64{1} },
		"prev_hash":     func(e *models.AuditEntry) { e.PrevHash = strings.Repeat("0", 64) },
		"hash":          func(e *models.AuditEntry) { e.Hash = strings.Repeat("0", 64) },
		"outcome":       func(e *models.AuditEntry) { e.Outcome = models.AuditFailure },
		"pending again": func(e *models.AuditEntry) { e.Outcome = models.AuditPending },
		"code":          func(e *models.AuditEntry) { e.Code = "internal_error" },
		"completed_at":  func(e *models.AuditEntry) { e.CompletedAt = &later },
		"outcome hash":  func(e *models.AuditEntry) { e.OutcomeHash = strings.Repeat("0", 64) },
	}
}

func TestAChangeOfAnyFieldIsDetected(t *testing.T) {
	for name, change := range tampered() {
		chain := chainOf(5)
		change(&chain[2])
		if got := firstWrong(chain); got != chain[2].Seq {
			t.Errorf("%s: entry %d is invalid, want %d", name, got, chain[2].Seq)
		}
		if _, err := audit.VerifyExport(bytes.NewReader(exportOf(t, chain, true)), ""); err == nil {
			t.Errorf("%s: the export passes", name)
		}
	}
}

func TestAChangedEntryWithRecomputedHashesIsDetectedByTheNextEntry(t *testing.T) {
	for name, change := range tampered() {
		chain := chainOf(5)
		change(&chain[2])
		rehash(&chain[2])
		if name == "hash" || name == "outcome hash" { // recomputed, they are unchanged
			continue
		}
		if got := firstWrong(chain); got < 3 {
			t.Errorf("%s: entry %d is invalid, want the third or the next", name, got)
		}
		if _, err := audit.VerifyExport(bytes.NewReader(exportOf(t, chain, true)), ""); err == nil {
			t.Errorf("%s: the export passes", name)
		}
	}
}

func TestADeletedEntryIsDetected(t *testing.T) {
	for i := range 5 {
		chain := slices.Delete(chainOf(6), i, i+1)
		if got := firstWrong(chain); got != int64(i+2) {
			t.Errorf("without entry %d: entry %d is invalid", i+1, got)
		}
	}
}

func TestReorderedAndRepeatedEntriesAreDetected(t *testing.T) {
	for i := range 5 {
		chain := chainOf(6)
		chain[i], chain[i+1] = chain[i+1], chain[i]
		if firstWrong(chain) == 0 {
			t.Errorf("entries %d and %d in turn: not found", i+1, i+2)
		}
		if firstWrong(slices.Insert(chainOf(6), i, chainOf(6)[i])) == 0 {
			t.Errorf("entry %d twice: not found", i+1)
		}
	}
}

func TestATruncatedExportIsDetected(t *testing.T) {
	export := exportOf(t, chainOf(3), true)
	for n := range len(export) - 1 { // the export is complete without the last line feed
		if _, err := audit.VerifyExport(bytes.NewReader(export[:n]), ""); err == nil {
			t.Fatalf("cut off after %d of %d bytes: not found", n, len(export))
		}
	}
}

func TestEntriesDeletedFromTheEndAreDetectedWithAKnownHead(t *testing.T) {
	chain := chainOf(5)
	head := chain[4].Hash
	forged := exportOf(t, chain[:3], true) // with its own last line
	if _, err := audit.VerifyExport(bytes.NewReader(forged), ""); err != nil {
		t.Errorf("a shorter chain is a chain: %v", err)
	}
	if _, err := audit.VerifyExport(bytes.NewReader(forged), head); err == nil {
		t.Error("not found")
	}
}

func TestAFilteredExportDetectsChangedEntriesOnly(t *testing.T) {
	chain := chainOf(6)
	some := []models.AuditEntry{chain[1], chain[4]}
	report, err := audit.VerifyExport(bytes.NewReader(exportOf(t, some, false)), "")
	if err != nil || report.Whole || report.Entries != 2 {
		t.Errorf("got %+v, %v", report, err)
	}
	some[1].After = "{}"
	if _, err := audit.VerifyExport(bytes.NewReader(exportOf(t, some, false)), ""); err == nil {
		t.Error("a changed entry was not found")
	}
	if _, err := audit.VerifyExport(bytes.NewReader(exportOf(t, []models.AuditEntry{chain[1], chain[4]}, true)), ""); err == nil {
		t.Error("a filtered export passes as a complete one")
	}
}

// FuzzVerifyExport changes one byte of a complete export: verification fails, or
// the JSON still means the same. Other input must not panic.
func FuzzVerifyExport(f *testing.F) {
	export := exportOf(f, chainOf(3), true)
	want := meaning(export)
	f.Add([]byte("{}"), 0, byte(0))
	f.Add([]byte(`{"trailer":{"entries":0,"head_hash":"","whole":true}}`), 17, byte('x'))
	f.Add([]byte(`{"seq":-1,"open":[9,1],"seals":[{"seq":1}]}`), 300, byte(' '))
	f.Add(export, len(export)-20, byte('0'))
	f.Fuzz(func(t *testing.T, file []byte, at int, b byte) {
		if report, err := audit.VerifyExport(bytes.NewReader(file), ""); err == nil && report.Entries < 0 {
			t.Errorf("got %+v", report)
		}
		altered := bytes.Clone(export)
		altered[int(uint(at)%uint(len(altered)))] = b
		if _, err := audit.VerifyExport(bytes.NewReader(altered), ""); err == nil && meaning(altered) != want {
			t.Errorf("byte %d as %q: not found", int(uint(at)%uint(len(altered))), b)
		}
	})
}

// meaning is the content of an export, independent of its JSON spelling.
func meaning(export []byte) string {
	var out strings.Builder
	for line := range bytes.Lines(export) {
		var value any
		if err := json.Unmarshal(line, &value); err != nil {
			fmt.Fprintf(&out, "%q\n", line)
			continue
		}
		text, err := json.Marshal(value, json.Deterministic(true))
		fmt.Fprintf(&out, "%s %v\n", text, err)
	}
	return out.String()
}

func TestOutcomesOfEntriesBeforeAnExportAreNotVerified(t *testing.T) {
	chain := chainOf(4)
	// The third entry was open when the next one was written.
	chain[3].Seals, chain[3].Open = nil, []int64{3}
	rehash(&chain[3])
	last := models.AuditEntry{ID: "aud_5", OrgID: "org_1", Seq: 5, Before: "{}", After: "{}", PrevHash: chain[3].Hash, Outcome: models.AuditPending, Seals: []models.AuditSeal{
		{Seq: 3, Hash: chain[2].OutcomeHash}, {Seq: 4, Hash: chain[3].OutcomeHash}}}
	rehash(&last)
	report, err := audit.VerifyExport(bytes.NewReader(exportOf(t, []models.AuditEntry{chain[3], last}, true)), "")
	if err != nil || report.Entries != 2 {
		t.Errorf("got %+v, %v", report, err)
	}
}
