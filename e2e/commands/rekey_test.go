package commands_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/e2e/harness"
	"pulse-control-plane/utils/secret"
)

// pulse starts the product without a LiveKit, with these settings.
func pulse(t *testing.T, binary string, env map[string]string) *harness.Pulse {
	t.Helper()
	return harness.StartPulse(t, harness.PulseOptions{Binary: binary, Env: env,
		LiveKit: &harness.LiveKit{URL: "ws://127.0.0.1:1", APIKey: "devkey", APISecret: strings.Repeat("s", 40)}})
}

// dataKey is a DATA_KEY, another one for each letter, and its id.
func dataKey(letter byte) (text, id string) {
	raw := []byte("0123456789abcdefghijklmnopqrstu" + string(letter))
	return base64.StdEncoding.EncodeToString(raw), secret.KeyID(secret.New(string(raw)))
}

func TestRekeyFinishesBesideARunningServerWhateverKillsIt(t *testing.T) {
	dir, values := t.TempDir(), 300
	if soak() {
		values = 5000
	}
	old, oldID := dataKey('y')
	fresh, freshID := dataKey('z')
	before := pulse(t, pulseBinary, map[string]string{"DATA_DIR": dir, "DATA_KEY": old, "RATE_LIMIT_PROJECT_PER_MINUTE": "0"})
	account, err := before.API().SignUp(t.Context(), "acme", "a@example.com", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	create := func(p *harness.Pulse, n int) (out harness.Project) {
		t.Helper()
		header := harness.AsPerson(account.Session)
		header.Set("Idempotency-Key", fmt.Sprint("project ", n))
		if err := p.API().Do(t.Context(), http.MethodPost, "/v1/projects", header, map[string]string{"name": fmt.Sprint("project ", n)}, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	var projects []harness.Project
	for n := range values {
		projects = append(projects, create(before, n))
	}
	if err := before.Stop(); err != nil {
		t.Fatal(err)
	}

	both := map[string]string{"DATA_DIR": dir, "DATA_KEY": fresh + "," + old, "RATE_LIMIT_PROJECT_PER_MINUTE": "0"}
	during := pulse(t, pulseBinary, both)
	settings := []string{"DATA_DIR=" + dir, "DATA_KEY=" + both["DATA_KEY"]}
	kills := 0
	untilItFinishes(t, settings, 20*time.Millisecond, func() {
		kills++
		projects = append(projects, create(during, values+kills)) // the server keeps working
	}, "rekey")
	if replayed := create(during, 0); replayed != projects[0] {
		t.Errorf("a request is replayed as %+v, was %+v", replayed, projects[0])
	}
	c, out := command(t, t.Context(), settings, "rekey")
	if err := c.Run(); err != nil || !bytes.Contains(out.Bytes(), []byte("nothing is sealed with another key")) {
		t.Errorf("a second run: %v\n%s", err, out)
	}
	if err := during.Stop(); err != nil {
		t.Fatal(err)
	}

	// Without the old key everything opens, and nothing in the whole database names it.
	after := pulse(t, pulseBinary, map[string]string{"DATA_DIR": dir, "DATA_KEY": fresh, "RATE_LIMIT_PROJECT_PER_MINUTE": "0"})
	for _, p := range projects[:3] {
		if _, err := after.API().CreateToken(t.Context(), harness.AsServer(p), harness.TokenRequest{RoomName: "hall"}); err != nil {
			t.Error(err)
		}
	}
	if err := after.Stop(); err != nil {
		t.Fatal(err)
	}
	e, named := openFile(t, filepath.Join(dir, "pulse.db")), 0
	for _, collection := range database.Schema() {
		if err := e.Find(t.Context(), collection.Name, database.Query{Limit: 1 << 30}, func(raw bson.Raw) error {
			text := raw.String()
			if strings.Contains(text, "v2."+oldID) || strings.Contains(text, `"v1.`) {
				t.Errorf("%s names the old key: %.300s", collection.Name, text)
			}
			named += strings.Count(text, "v2."+freshID)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if named < 2*values {
		t.Errorf("%d values name the new key; a seed and an answer of %d requests should", named, values)
	}
}
