package e2e_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/livekit/protocol/auth"

	"pulse-control-plane/e2e/harness"
)

// event is the body of a webhook, decoded loosely.
type event struct {
	Event       string
	ID          string
	CreatedAt   string // seconds
	Room        map[string]any
	Participant map[string]any
	Track       map[string]any
	EgressInfo  map[string]any
	IngressInfo map[string]any
}

func decode(t *testing.T, hook harness.Webhook) event {
	t.Helper()
	var e event
	if err := json.Unmarshal(hook.Body, &e); err != nil {
		t.Fatalf("a webhook with a wrong signature: %v\n%s", err, hook.Body)
	}
	return e
}

// verifySignature verifies the JWT as the product must: signed with the cluster's key, over exactly these bytes.
func verifySignature(hook harness.Webhook, l *harness.LiveKit) error {
	token, err := auth.ParseAPIToken(hook.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	if token.APIKey() != l.APIKey {
		return fmt.Errorf("signed by %q", token.APIKey())
	}
	_, grants, err := token.Verify(l.APISecret)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(hook.Body)
	if want := base64.StdEncoding.EncodeToString(sum[:]); grants.Sha256 != want {
		return fmt.Errorf("the signature is over %q, the body is %q", grants.Sha256, want)
	}
	return nil
}

// checkShape checks which fields LiveKit's events contain.
func checkShape(e event, room string) error {
	if _, err := strconv.ParseInt(e.CreatedAt, 10, 64); err != nil {
		return fmt.Errorf("createdAt is %q, want whole seconds in a string", e.CreatedAt)
	}
	kind, _, _ := strings.Cut(e.Event, "_")
	switch kind {
	case "egress", "ingress":
		if e.Room != nil {
			return errors.New("it has a room")
		}
		info := e.EgressInfo
		if kind == "ingress" {
			info = e.IngressInfo
			if info["streamKey"] == nil {
				return errors.New("it has no stream key, which is no secret any more")
			}
		}
		if info["roomName"] != room {
			return fmt.Errorf("it is about the room %v", info["roomName"])
		}
		return nil
	case "track":
		if err := onlyFields(e.Room, "name", "sid"); err != nil {
			return fmt.Errorf("room: %w", err)
		}
		if err := onlyFields(e.Participant, "identity", "sid"); err != nil {
			return fmt.Errorf("participant: %w", err)
		}
	default:
		if e.Room["turnPassword"] == nil {
			return errors.New("its room has no TURN password, which is no secret any more")
		}
	}
	if e.Room["name"] != room {
		return fmt.Errorf("it is about the room %v", e.Room["name"])
	}
	return nil
}

func onlyFields(object map[string]any, want ...string) error {
	var got []string
	for name := range object {
		got = append(got, name)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("it has the fields %q, want %q", got, want)
	}
	return nil
}

// record writes hooks to the folder RECORD_WEBHOOKS in order of arrival, one file each: the claims of the JWT that signed
// the body, and the body with its secrets redacted (so the claims' sha256 no longer matches).
func record(t *testing.T, hooks []harness.Webhook) {
	t.Helper()
	dir := os.Getenv("RECORD_WEBHOOKS")
	if dir == "" {
		return
	}
	for i, hook := range hooks {
		_, payload, _ := parts(t, hook.Header.Get("Authorization"))
		content, err := json.MarshalIndent(struct {
			ContentType string          `json:"content_type"`
			Claims      claims          `json:"claims"`
			Body        json.RawMessage `json:"body"`
		}{hook.Header.Get("Content-Type"), payload, redact(hook.Body)}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%02d-%s.json", i+1, decode(t, hook).Event)
		if err := os.WriteFile(filepath.Join(dir, name), append(content, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var secretFields = regexp.MustCompile(`"(turnPassword|streamKey)":\s*"[^"]*"`)

func redact(body []byte) []byte { return secretFields.ReplaceAll(body, []byte(`"$1":"[redacted]"`)) }
