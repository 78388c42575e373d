package docs_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// signed is a request as a receiver gets it.
type signed struct {
	Secret  string            `json:"secret"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

const (
	rightSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	otherSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// request is signed by Standard Webhooks' own library.
func request(t *testing.T, at time.Time, body string, secrets ...string) signed {
	t.Helper()
	var all []string
	for _, secret := range secrets {
		library, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		one, err := library.Sign("evt_1", at, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return signed{rightSecret, map[string]string{"webhook-id": "evt_1", "webhook-timestamp": strconv.FormatInt(at.Unix(), 10),
		"webhook-signature": strings.Join(all, " ")}, body}
}

// requests are those of the kinds a receiver meets, and whether each is good.
func requests(t *testing.T) (list []signed, good []bool) {
	now, body := time.Now(), `{"type":"room.started","data":{"room_name":"Grüße"}}`
	add := func(s signed, want bool) { list, good = append(list, s), append(good, want) }
	changed := func(change func(*signed)) signed {
		s := request(t, now, body, rightSecret)
		change(&s)
		return s
	}
	add(request(t, now, body, rightSecret), true)
	add(request(t, now, body, otherSecret, rightSecret), true) // a rotation
	add(request(t, now, body, rightSecret, otherSecret), true)
	add(request(t, now, body, otherSecret), false)
	add(request(t, now.Add(-time.Hour), body, rightSecret), false)
	add(request(t, now.Add(time.Hour), body, rightSecret), false)
	add(changed(func(s *signed) { s.Body += " " }), false)
	add(changed(func(s *signed) { s.Headers["webhook-id"] = "evt_2" }), false)
	add(changed(func(s *signed) { s.Headers["webhook-timestamp"] = strconv.FormatInt(now.Unix()+1, 10) }), false)
	add(changed(func(s *signed) {
		s.Headers["webhook-signature"] = strings.Replace(s.Headers["webhook-signature"], "v1,", "v2,", 1)
	}), false)
	for _, text := range []string{"", "v1", "v1,", "v1,x", ",", "é"} {
		add(changed(func(s *signed) { s.Headers["webhook-signature"] = text }), false)
		add(changed(func(s *signed) { s.Headers["webhook-timestamp"] = text }), false)
	}
	add(signed{Secret: rightSecret, Headers: map[string]string{}, Body: body}, false)
	return list, good
}

// harnesses read requests from standard input and print what verify says of each.
func harnesses() map[string]struct {
	file, harness string
	command       []string
} {
	return map[string]struct {
		file, harness string
		command       []string
	}{
		"go": {"main.go", `
func main() {
	var list []struct {
		Secret, Body string
		Headers      map[string]string
	}
	if err := json.NewDecoder(os.Stdin).Decode(&list); err != nil {
		panic(err)
	}
	for _, one := range list {
		h := http.Header{}
		for name, value := range one.Headers {
			h.Set(name, value)
		}
		fmt.Println(verify(one.Secret, h, []byte(one.Body)))
	}
}
`, []string{"go", "run", "main.go"}},
		"js": {"main.js", `
for (const one of JSON.parse(require("node:fs").readFileSync(0, "utf8"))) console.log(verify(one.secret, one.headers, Buffer.from(one.body)));
`, []string{"node", "main.js"}},
		"python": {"main.py", `
import json, sys
for one in json.load(sys.stdin):
    print(str(verify(one["secret"], one["headers"], one["body"].encode())).lower())
`, []string{"python3", "main.py"}},
	}
}

func TestTheSnippetsThatVerifySignaturesTakeWhatPulseSignsAndNothingElse(t *testing.T) {
	page, err := os.ReadFile("EVENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	list, good := requests(t)
	input, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	for language, h := range harnesses() {
		t.Run(language, func(t *testing.T) {
			found := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
			if found == nil {
				t.Fatal("the page has no snippet")
			}
			if _, err := exec.LookPath(h.command[0]); err != nil {
				t.Skipf("%s is not installed", h.command[0])
			}
			code := string(found[1]) + h.harness
			code = strings.Replace(code, "import (\n", "import (\n\t\"encoding/json\"\n\t\"fmt\"\n\t\"os\"\n", 1)
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, h.file), []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			run := exec.CommandContext(t.Context(), h.command[0], h.command[1:]...)
			run.Dir, run.Stdin = folder, bytes.NewReader(input)
			run.Env = append(os.Environ(), "GOFLAGS=", "GO111MODULE=off")
			var problems bytes.Buffer
			run.Stderr = &problems
			out, err := run.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, problems.String())
			}
			answers := strings.Fields(string(out))
			if len(answers) != len(good) {
				t.Fatalf("%d answers to %d requests", len(answers), len(good))
			}
			for i, answer := range answers {
				if want := strconv.FormatBool(good[i]); answer != want {
					t.Errorf("%s for request %d: %+v", answer, i, list[i])
				}
			}
		})
	}
}
