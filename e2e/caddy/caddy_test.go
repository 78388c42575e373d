package caddy_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// do sends a request and returns the status and the body.
func do(t *testing.T, client *http.Client, method, url, body string, header ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// tenant signs up and creates a project.
func tenant(t *testing.T, name string) (projectID, key, secret string) {
	t.Helper()
	client := shared.client("127.0.0.1")
	var owner struct {
		Session struct {
			AccessToken string `json:"access_token"`
		}
	}
	status, text := do(t, client, http.MethodPost, shared.url+"/v1/organizations",
		`{"name":"Acme","admin_email":"`+name+`@acme.example","password":"correct horse battery"}`)
	if err := json.Unmarshal([]byte(text), &owner); err != nil || status != http.StatusCreated {
		t.Fatal(status, text, err)
	}
	var created struct {
		Project struct{ ID string }
		Key     string `json:"pulse_api_key"`
		Secret  string `json:"pulse_api_secret"`
	}
	status, text = do(t, client, http.MethodPost, shared.url+"/v1/projects", `{"name":"Calls"}`, "Authorization: Bearer "+owner.Session.AccessToken)
	if err := json.Unmarshal([]byte(text), &created); err != nil || status != http.StatusCreated {
		t.Fatal(status, text, err)
	}
	return created.Project.ID, created.Key, created.Secret
}

// signed is the Authorization header of a LiveKit event.
func signed(body string) string {
	part := func(v any) string {
		text, _ := json.Marshal(v) // of maps of strings and numbers
		return base64.RawURLEncoding.EncodeToString(text)
	}
	sum, now := sha256.Sum256([]byte(body)), time.Now()
	head := part(map[string]string{"alg": "HS256", "typ": "JWT"}) + "." + part(map[string]any{"iss": liveKitKey,
		"nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(), "sha256": base64.StdEncoding.EncodeToString(sum[:])})
	mac := hmac.New(sha256.New, []byte(liveKitSecret))
	mac.Write([]byte(head))
	return "Authorization: " + head + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// roomStarted is LiveKit's event of a project's room with metadata.
func roomStarted(project, room, metadata string) string {
	return fmt.Sprintf(`{"event":"room_started","id":"EV_%s","createdAt":"%d","room":{"sid":"RM_%s","name":"%s_%s","creationTime":"%d","metadata":"%s"}}`,
		room, time.Now().Unix(), room, project, room, time.Now().Unix(), metadata)
}

func TestPulseIsReachedByTLSAndItsMetricsAreNot(t *testing.T) {
	client := shared.client("127.0.0.1")
	if status, text := do(t, client, http.MethodGet, shared.url+"/health", ""); status != http.StatusOK || !strings.Contains(text, "healthy") {
		t.Errorf("%d %s", status, text)
	}
	if status, _ := do(t, client, http.MethodGet, shared.url+"/metrics", ""); status != http.StatusNotFound {
		t.Errorf("metrics: %d", status)
	}
	if status, text := do(t, client, http.MethodGet, shared.direct+"/metrics", ""); status != http.StatusOK || !strings.Contains(text, "pulse_build_info") {
		t.Errorf("metrics within the network: %d %.100s", status, text)
	}
}

func TestAnEventOfFourMiBPassesAndComesOutOfAStreamThatIsStillOpen(t *testing.T) {
	project, key, secret := tenant(t, "ann")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, shared.url+"/v1/events/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(key, secret)
	stream, err := shared.client("127.0.0.1").Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if stream.StatusCode != http.StatusOK || stream.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s %v", stream.Status, stream.Header)
	}
	lines := bufio.NewReader(stream.Body)
	if first, err := lines.ReadString('\n'); err != nil || first != ": connected\n" {
		t.Fatalf("%q %v", first, err)
	}
	const size = 4 << 20
	body := roomStarted(project, "daily", "")
	body = roomStarted(project, "daily", strings.Repeat("m", size-len(body)))
	if status, text := do(t, shared.client("127.0.0.1"), http.MethodPost, shared.url+"/v1/webhooks/livekit", body, signed(body)); status != http.StatusOK || len(body) != size {
		t.Fatalf("%d bytes: %d %s", len(body), status, text)
	}
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream ended without the event: %v", err)
		}
		if strings.HasPrefix(line, "data:") && strings.Contains(line, "room.started") && strings.Contains(line, "daily") {
			return
		}
	}
}

// addresses gives the addresses of the clients whose requests Pulse logged with a
// path, waiting for the first.
func addresses(t *testing.T, path string) (list []string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); len(list) == 0; {
		for line := range strings.Lines(shared.log.String()) {
			var entry struct{ Path, IP string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Path == path {
				list = append(list, entry.IP)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no request of %s in the log", path)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return list
}

func TestTheClientsAddressComesFromCaddyAndFromNobodyElse(t *testing.T) {
	const forged = "X-Forwarded-For: 203.0.113.7"
	for path, from := range map[string]string{"/v1/through-caddy": shared.url, "/v1/past-caddy": shared.direct} {
		do(t, shared.client("127.0.0.3"), http.MethodGet, from+path, "", forged)
		if got := addresses(t, path); len(got) != 1 || got[0] != "127.0.0.3" {
			t.Errorf("%s: the client is %v, want 127.0.0.3", path, got)
		}
	}
}
