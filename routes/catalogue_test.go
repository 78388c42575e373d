package routes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/events"
)

// otherKinds stands for LiveKit's events that the catalogue does not have.
const otherKinds = events.LiveKitPrefix + "*"

// asCatalogued holds an event against the catalogue in the document.
func asCatalogued(t testing.TB, e *models.Event) {
	t.Helper()
	all, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	body, err := events.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	kind := e.Type
	if strings.HasPrefix(kind, events.LiveKitPrefix) {
		kind = otherKinds
	}
	if err := all.validate(body, "webhooks", kind, "post", "requestBody", "content", "application/json", "schema"); err != nil {
		t.Errorf("%s is not as the document describes it: %v", body, err)
	}
}

// allCatalogued holds every event that a test left in a database against the
// catalogue, whatever the test was about.
func allCatalogued(t testing.TB, engine database.Engine) {
	log, err := events.NewLog(events.LogConfig{Events: database.NewEvents(engine), Sequences: database.NewSequences(engine), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	for after := int64(0); ; {
		list, err := log.After(ctx, after, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return
		}
		for i := range list {
			after = list[i].Seq
			if list[i].Type != models.EventGap {
				asCatalogued(t, &list[i])
			}
		}
	}
}

func TestTheDocumentHasEachTypeOfTheCatalogueAndNoOther(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	for kind := range doc.Webhooks {
		if !slices.Contains(events.Types(), kind) && kind != otherKinds {
			t.Errorf("%s is described and never told", kind)
		}
	}
	for _, kind := range append(events.Types(), otherKinds) {
		if doc.Webhooks[kind] == nil {
			t.Errorf("%s is not described", kind)
		}
	}
}

// TestEveryLiveKitEventBecomesAnEventOfTheDocumentedShape has each kind of event with each
// recorded body, with none, and as a correction.
func TestEveryLiveKitEventBecomesAnEventOfTheDocumentedShape(t *testing.T) {
	bodies := []string{"", "{}", `{"track":{"type":"VIDEO","source":2,"width":1280},"egressInfo":{"error":"x","streamResults":[{"status":"ACTIVE"}],
		"segmentResults":[{"playlistName":"a.m3u8","size":"9","duration":"1"}],"imageResults":[{"filenamePrefix":"i"}]}}`}
	files, err := filepath.Glob("../services/metering/testdata/livekit/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d bodies (%v)", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var in struct{ Body json.RawMessage }
		if err := json.Unmarshal(raw, &in); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(in.Body))
	}
	told, now := map[string]bool{}, time.Now().UTC()
	for _, kind := range []string{"room_started", "room_finished", "participant_joined", "participant_left", "participant_connection_aborted",
		"track_published", "track_unpublished", "egress_started", "egress_updated", "egress_ended", "ingress_started", "ingress_ended",
		"not_known_yet", models.EventFoundPresent, models.EventFoundGone} {
		for _, subject := range []models.Subject{"", models.SubjectRoom, models.SubjectParticipant, models.SubjectEgress, models.SubjectIngress} {
			for i, body := range bodies {
				for _, e := range []models.LiveKitEvent{
					{},
					{Participant: &models.EventParticipant{SID: "PA_1", Identity: "ann", Kind: "STANDARD", JoinedAt: now, Reason: "client_initiated"}, RoomCreatedAt: now,
						Media: &models.EventMedia{ID: "EG_1", Status: "EGRESS_COMPLETE", StartedAt: now, EndedAt: now.Add(time.Second)}},
				} {
					e.ID, e.Cluster, e.Event, e.Subject, e.Body = fmt.Sprintf("EV_%d", i), "key", kind, subject, body
					e.ProjectID, e.RoomName, e.SessionID, e.CreatedAt, e.ReceivedAt = "prj_1", "daily", "PA_1@RM_1", now, now
					list, err := events.ToldBy(&e, "org_1")
					if err != nil {
						t.Fatal(err)
					}
					for i := range list {
						told[list[i].Type] = true
						asCatalogued(t, &list[i])
					}
				}
			}
		}
	}
	for _, kind := range events.Types()[:12] {
		if !told[kind] {
			t.Errorf("%s was not told", kind)
		}
	}
}
