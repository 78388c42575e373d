package webhooks

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"pulse-control-plane/database/testkit"
)

// verifies reports whether Standard Webhooks' own library takes a delivery.
func verifies(t *testing.T, secret string, got received) bool {
	t.Helper()
	library, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return library.Verify(got.body, got.header) == nil
}

func TestDeliveriesAreThoseOfStandardWebhooks(t *testing.T) {
	server := newReceiver(t, nil)
	r := newRig(t)
	_, secret := r.endpoint(server.URL)
	e := r.event(1, "room.started", "lobby")
	r.work()
	if len(server.got) != 1 {
		t.Fatalf("%d requests", len(server.got))
	}
	got := server.got[0]
	if !verifies(t, secret, got) {
		t.Error("the library refuses the signature")
	}
	forged := received{got.header, []byte(strings.Replace(string(got.body), "lobby", "vault", 1))}
	if verifies(t, secret, forged) {
		t.Error("the library takes another body")
	}
	var body struct {
		ID        string         `json:"id"`
		Type      string         `json:"type"`
		Timestamp time.Time      `json:"timestamp"`
		ProjectID string         `json:"project_id"`
		Data      map[string]any `json:"data"`
	}
	if err := json.Unmarshal(got.body, &body); err != nil {
		t.Fatal(err)
	}
	if body.ID != e.ID || body.Type != e.Type || !body.Timestamp.Equal(e.At) || body.ProjectID != string(testkit.Project) || body.Data["room_name"] != "lobby" {
		t.Errorf("%s", got.body)
	}
	if got.header.Get("Webhook-Id") != e.ID || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", got.header)
	}
}

func TestTwoSecretsSignWhileOneIsBeingRotated(t *testing.T) {
	server := newReceiver(t, nil)
	r := newRig(t)
	e, old := r.endpoint(server.URL)
	rotated, shown, err := r.RotateSecret(t.Context(), owner(), e.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	fresh := shown.Reveal()
	if fresh == old || rotated.ID != e.ID {
		t.Fatal("the secret was not rotated")
	}
	r.event(1, "room.started", "lobby")
	r.work()
	if got := server.got[0]; !verifies(t, old, got) || !verifies(t, fresh, got) {
		t.Errorf("during the grace period: %v", got.header)
	}
	r.clock.Advance(time.Hour)
	r.event(2, "room.started", "lobby")
	r.work()
	// The library judges the time of the attempt by the real clock.
	got := server.got[1]
	library, _ := standardwebhooks.NewWebhook(fresh)
	if err := library.VerifyIgnoringTimestamp(got.body, got.header); err != nil {
		t.Error(err)
	}
	if n := len(strings.Fields(got.header.Get("Webhook-Signature"))); n != 1 {
		t.Errorf("%d signatures after the grace period", n)
	}
}

func TestARotationWithoutGraceEndsTheOldSecretAtOnce(t *testing.T) {
	server := newReceiver(t, nil)
	r := newRig(t)
	e, old := r.endpoint(server.URL)
	_, shown, err := r.RotateSecret(t.Context(), owner(), e.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.event(1, "room.started", "lobby")
	r.work()
	if got := server.got[0]; verifies(t, old, got) || !verifies(t, shown.Reveal(), got) {
		t.Errorf("%v", got.header)
	}
}

func TestTheTimestampIsTheAttemptsAndTheIDTheEvents(t *testing.T) {
	server := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, before int) {
		if before == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	r := newRig(t)
	_, secret := r.endpoint(server.URL)
	r.event(1, "room.started", "lobby")
	r.work()
	r.later(10 * time.Second)
	if len(server.got) != 2 {
		t.Fatalf("%d requests", len(server.got))
	}
	first, second := server.got[0], server.got[1]
	if first.header.Get("Webhook-Id") != second.header.Get("Webhook-Id") || first.header.Get("Webhook-Timestamp") == second.header.Get("Webhook-Timestamp") ||
		string(first.body) != string(second.body) || !verifies(t, secret, second) {
		t.Errorf("%v\n%v", first.header, second.header)
	}
}
