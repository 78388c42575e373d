package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// get reads an answer in full.
func get(t *testing.T, url, token string) []byte {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %d: %s, %v", url, response.StatusCode, body, err)
	}
	return body
}

func TestAuditVerifyTellsAnIntactExportFromOneThatWasChangedOrCutOff(t *testing.T) {
	s := start(t, t.TempDir())
	_, body := post(t, s.URL+"/v1/organizations", `{"name":"Acme","admin_email":"a@example.com","password":"correct horse battery"}`)
	var signedUp struct {
		Session struct {
			AccessToken string `json:"access_token"`
		}
	}
	if err := json.Unmarshal([]byte(body), &signedUp); err != nil {
		t.Fatal(err)
	}
	token := signedUp.Session.AccessToken
	for _, name := range []string{"one", "two", "three"} {
		if code, body := post(t, s.URL+"/v1/projects", `{"name":"`+name+`"}`, "Authorization", "Bearer "+token); code != http.StatusCreated {
			t.Fatalf("%d %s", code, body)
		}
	}
	var check struct {
		Head string `json:"head_hash"`
	}
	if err := json.Unmarshal(get(t, s.URL+"/v1/audit-logs/verify", token), &check); err != nil || len(check.Head) != 64 {
		t.Fatal(check, err)
	}
	intact := string(get(t, s.URL+"/v1/audit-logs/export?format=jsonl", token))
	lines := strings.SplitAfter(strings.TrimSuffix(intact, "\n"), "\n") // four entries and the end
	if len(lines) != 5 || !strings.Contains(intact, `"name":"two"`) {
		t.Fatal(intact)
	}
	for name, c := range map[string]struct {
		export string
		head   []string
		code   int
		says   string
	}{
		"intact":              {intact, nil, exitOK, "4 entries, as they were written"},
		"intact, head known":  {intact, []string{check.Head}, exitOK, check.Head},
		"intact, not the end": {intact, []string{strings.Repeat("0", 64)}, exitFailed, "the last entry has the hash"},
		"changed":             {strings.Replace(intact, `"name":"two"`, `"name":"2"`, 1), nil, exitFailed, "entry 3 was changed"},
		"removed":             {lines[0] + lines[2] + lines[3] + lines[4], nil, exitFailed, "missing"},
		"reordered":           {lines[0] + lines[2] + lines[1] + lines[3] + lines[4], nil, exitFailed, "out of order"},
		"truncated":           {lines[0] + lines[1] + lines[2], nil, exitFailed, "cut off"},
		"truncated in a line": {intact[:len(intact)/2], nil, exitFailed, "line 3"},
		"empty":               {"", nil, exitFailed, "cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "audit.jsonl")
			if err := os.WriteFile(file, []byte(c.export), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			code := process{stdout: &out, stderr: &errs}.run(t.Context(), append([]string{"audit", "verify", file}, c.head...))
			said := out.String()
			if code != exitOK {
				said = errs.String()
			}
			if code != c.code || !strings.Contains(said, c.says) {
				t.Errorf("exit code %d, want %d; it says %s", code, c.code, said)
			}
		})
	}
}

func TestAuditVerifyOfNoFileEndsWithCode2(t *testing.T) {
	for _, args := range [][]string{{"audit"}, {"audit", "verify"}, {"audit", "verify", "a", "b", "c"}, {"audit", "prove", "a"},
		{"audit", "verify", filepath.Join(t.TempDir(), "none")}} {
		var errs bytes.Buffer
		if code := (process{stdout: io.Discard, stderr: &errs}).run(t.Context(), args); code != exitUsage || errs.Len() == 0 {
			t.Errorf("%q: exit code %d: %s", args, code, &errs)
		}
	}
}
