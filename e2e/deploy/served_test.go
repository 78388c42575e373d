package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// serves starts the real binary with settings until the test ends, and waits until it is ready.
func serves(t *testing.T, settings ...string) (url string, log *output) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	port := freePort(t)
	command := exec.CommandContext(ctx, pulse(t))
	log = new(output)
	command.Stdout, command.Stderr, command.Dir = log, log, t.TempDir()
	command.Env = slices.Concat([]string{"HOST=127.0.0.1", fmt.Sprintf("PORT=%d", port), "LOG_FORMAT=json", "BCRYPT_COST=4",
		"LIVEKIT_HOST=ws://127.0.0.1:1"}, settings)
	if err := command.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = command.Wait() // it was killed
		if t.Failed() {
			t.Logf("Pulse:\n%s", log)
		}
	})
	url = fmt.Sprintf("http://127.0.0.1:%d", port)
	eventually(t, "Pulse is ready", func() error {
		res, err := http.Get(url + "/health/ready")
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", res.Status)
		}
		return nil
	})
	return url, log
}

// asks sends a request with a JSON body and decodes the answer, which must have the
// status; header lines are "Name: value".
func asks(t *testing.T, method, url string, body, out any, status int, header ...string) {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(string(encoded)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	client := http.Client{Timeout: 20 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		t.Fatalf("%s %s: %s %s %v", method, url, res.Status, text, err)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// tenant signs up, creates a project and mints a token.
func tenant(t *testing.T, url string) {
	t.Helper()
	var owner struct {
		Session struct {
			AccessToken string `json:"access_token"`
		}
	}
	asks(t, http.MethodPost, url+"/v1/organizations", map[string]string{"name": "Acme", "admin_email": "ann@acme.example", "password": "correct horse battery"},
		&owner, http.StatusCreated)
	var project struct {
		Key string `json:"pulse_api_key"`
	}
	asks(t, http.MethodPost, url+"/v1/projects", map[string]string{"name": "Calls"}, &project, http.StatusCreated, "Authorization: Bearer "+owner.Session.AccessToken)
	asks(t, http.MethodPost, url+"/v1/tokens/create", map[string]string{"room_name": "daily", "participant_identity": "ann"}, nil, http.StatusCreated,
		"X-Pulse-Key: "+project.Key)
}
