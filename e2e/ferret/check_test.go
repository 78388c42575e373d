package ferret_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/mongo"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/e2e/ferret"
	"pulse-control-plane/e2e/harness"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/data"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/services/usage"
)

// TestTheCheckFindsFaultsOverTheWireProtocol runs the check as it runs on MongoDB, on a sound database and then on one with
// a fault of each kind that it looks for there.
func TestTheCheckFindsFaultsOverTheWireProtocol(t *testing.T) {
	e, err := mongo.Open(t.Context(), ferret.Start(t).URI, "pulse", ferretSchema(database.Schema()), mongo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if _, err := e.EnsureSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	running := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { running <- e.Run(ctx) }() // builds the indexes that are for speed
	defer func() {
		stop()
		if err := <-running; err != nil {
			t.Error(err)
		}
	}()
	harness.Eventually(t, 30*time.Second, "every index", func() error {
		differences, err := e.SchemaDifferences(t.Context())
		if err == nil && len(differences) > 0 {
			err = fmt.Errorf("%+v", differences)
		}
		return err
	})
	head := filled(t, e)
	check := func() string {
		var out bytes.Buffer
		err := data.Commands{Tool: data.Tool{Now: time.Now}, Out: &out}.VerifyEngine(t.Context(), e)
		if err != nil && !errors.Is(err, data.ErrFaults) {
			t.Fatal(err)
		}
		return out.String()
	}
	if found := check(); found != "ok\n" {
		t.Fatalf("a sound database: %s", found)
	}
	for _, id := range []struct{ collection, id, field string }{
		{"audit_logs", string(head.ID), "action"}, {"livekit_events", "EV_participant_left", "project_id"}, {"usage_sessions", "RM_1", "project_id"},
	} {
		n, err := e.Update(t.Context(), id.collection, bson.D{{Key: "_id", Value: id.id}}, bson.D{{Key: "$set", Value: bson.D{{Key: id.field, Value: "other"}}}}, database.UpdateOptions{})
		if err != nil || n != 1 {
			t.Fatalf("%d documents %s, %v", n, id.id, err)
		}
	}
	if _, err := e.Update(t.Context(), "usage_totals", bson.D{{Key: "meter", Value: "participant_seconds"}, {Key: "window", Value: "day"}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "value", Value: 1.5}}}}, database.UpdateOptions{Many: true}); err != nil {
		t.Fatal(err)
	}
	found := check()
	for _, kind := range []string{"audit: ", "sessions: ", "events: ", "totals: "} {
		if !strings.Contains("\n"+found, "\n"+kind) {
			t.Errorf("no fault of the kind %s in:\n%s", kind, found)
		}
	}
}

// filled stores an audit trail, whose last entry it returns, and what is metered of a participant.
func filled(t *testing.T, e database.Engine) models.AuditEntry {
	t.Helper()
	logs := database.NewAuditLogs(e)
	trail, err := audit.NewTrail(logs, testkit.Silence{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		entry, err := trail.Begin(t.Context(), &models.Principal{Kind: models.CallerOperator}, audit.Event{OrgID: "org_1", Action: "test", Type: "t", ID: "x"})
		if err != nil {
			t.Fatal(err)
		}
		var failed error
		entry.End(t.Context(), &failed)
	}
	began := time.Now().UTC().Truncate(time.Hour).Add(-5 * time.Hour)
	var all []models.LiveKitEvent
	for i, kind := range []string{models.EventRoomStarted, models.EventParticipantJoined, models.EventParticipantLeft} {
		at := began.Add(time.Duration(i) * 10 * time.Minute)
		event := models.LiveKitEvent{ID: "EV_" + kind, Event: kind, ProjectID: "prj_1", RoomName: "hall", RoomSID: "RM_1", RoomCreatedAt: began,
			CreatedAt: at, ReceivedAt: at.Add(5 * time.Second), State: models.EventDone}
		if i > 0 {
			event.Participant = &models.EventParticipant{SID: "PA_1", Identity: "i", Kind: models.ParticipantStandard, JoinedAt: began}
		}
		all = append(all, event)
	}
	sessions, facts, totals := database.NewUsageSessions(e), database.NewUsageMetrics(e), database.NewUsageTotals(e)
	if _, err := database.NewLiveKitEvents(e).InsertMany(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if _, err := metering.NewRecorder(sessions, facts, totals, time.Now).Record(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	settled(t, e)
	head, err := logs.Head(t.Context(), "org_1")
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// settled computes the totals that are marked, as the server does.
func settled(t *testing.T, e database.Engine) {
	t.Helper()
	totals, err := usage.NewTotals(usage.TotalsConfig{Totals: database.NewUsageTotals(e), Facts: database.NewUsageMetrics(e),
		Sessions: database.NewUsageSessions(e), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for marked := int64(1); marked > 0; {
		if err := totals.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if marked, err = totals.Unsettled(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
