package routes_test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// BenchmarkExportOf300000Facts streams every fact of a project through the whole
// stack without the connection, on the embedded engine. The goal is 20,000 facts
// a second.
func BenchmarkExportOf300000Facts(b *testing.B) {
	const facts = 300_000
	s := newServer(b)
	mine := s.tenant("mine")
	store := database.NewUsageMetrics(s.engine)
	start := s.clock.Now().Add(-48 * time.Hour).Truncate(time.Hour)
	batch := make([]models.UsageFact, 0, database.MaxBatch)
	for i := range facts {
		batch = append(batch, models.UsageFact{
			ID: fmt.Sprintf("fact_%09d", i), ProjectID: models.ProjectID(mine.project), Meter: models.MeterParticipantSeconds,
			Timestamp: start.Add(time.Duration(i/10) * time.Second), Value: 60, SessionID: fmt.Sprintf("PA_%09d", i),
			RoomName: "standup", EventIDs: []string{fmt.Sprintf("EV_%09d", i), fmt.Sprintf("EV_%09d_end", i)},
		})
		if len(batch) == cap(batch) {
			if err := store.Put(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	path := "/v1/usage/export?format=jsonl&start=" + start.Format(time.RFC3339) + "&end=" + start.Add(47*time.Hour).Format(time.RFC3339)
	for b.Loop() {
		w := s.raw(http.MethodGet, path, mine.asOwn)
		if lines := bytes.Count(w.Body.Bytes(), []byte("\n")); w.Code != http.StatusOK || lines != facts {
			b.Fatalf("status %d, %d lines of %d", w.Code, lines, facts)
		}
	}
	b.ReportMetric(float64(facts*b.N)/b.Elapsed().Seconds(), "facts/s")
}
