package commands_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pulse-control-plane/e2e/harness"
	"pulse-control-plane/e2e/mongowire"
)

// git runs a command of git in this repository.
func git(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "git", args...)
	c.Dir = "../.."
	return c.Output()
}

// previousBinary builds the product of the commit before this one, outside of the tree.
func previousBinary(t *testing.T) string {
	t.Helper()
	return binaryOf(t, "HEAD^")
}

// binaryOf builds the product of a commit.
func binaryOf(t *testing.T, revision string) string {
	t.Helper()
	commit, err := git(t, "rev-parse", "--verify", "--quiet", revision)
	if err != nil {
		t.Skip("there is no commit " + revision + " here: no git, or a shallow clone")
	}
	archive, err := git(t, "archive", strings.TrimSpace(string(commit)))
	if err != nil {
		t.Fatal(err)
	}
	tree := t.TempDir()
	unpack := exec.CommandContext(t.Context(), "tar", "-x", "-C", tree)
	unpack.Stdin = bytes.NewReader(archive)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	binary := filepath.Join(t.TempDir(), "previous")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, ".")
	build.Dir = tree
	build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// works has a process use what the other version stored: it logs the owner in, mints tokens with every project's key, and
// stores a project of its own.
func works(t *testing.T, p *harness.Pulse, projects []harness.Project, name string) []harness.Project {
	t.Helper()
	var login struct {
		Session harness.Session `json:"session"`
	}
	credentials := map[string]string{"email": "a@example.com", "password": "correct horse battery"}
	if err := p.API().Do(t.Context(), "POST", "/v1/auth/login", nil, credentials, &login); err != nil {
		t.Fatalf("%s: login: %v", name, err)
	}
	for _, project := range projects {
		if _, err := p.API().CreateToken(t.Context(), harness.AsServer(project), harness.TokenRequest{RoomName: "hall"}); err != nil {
			t.Errorf("%s: token of project %s: %v", name, project.Project.Name, err)
		}
	}
	project, err := p.API().CreateProject(t.Context(), login.Session, name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return append(projects, project)
}

func TestThisVersionAndThePreviousOneWorkOnOneDatabaseSideBySide(t *testing.T) {
	previous := previousBinary(t)
	t.Run("embedded, one after the other", func(t *testing.T) {
		dir := t.TempDir()
		var projects []harness.Project
		for i, binary := range []string{previous, pulseBinary, previous, pulseBinary} {
			p := pulse(t, binary, map[string]string{"DATA_DIR": dir})
			if i == 0 {
				signUp(t, p)
			}
			projects = works(t, p, projects, []string{"previous", "this", "previous again", "this again"}[i])
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("MongoDB, at the same time", func(t *testing.T) {
		uri, dir := mongowire.Start(t).Line(t).URI, t.TempDir() // the secrets in DATA_DIR are for both
		env := map[string]string{"DATA_DIR": dir, "MONGO_URI": uri}
		older := pulse(t, previous, env)
		signUp(t, older)
		newer := pulse(t, pulseBinary, env)
		var projects []harness.Project
		for range 3 {
			projects = works(t, newer, projects, "this "+string(rune('a'+len(projects))))
			projects = works(t, older, projects, "previous "+string(rune('a'+len(projects))))
		}
	})
}

func signUp(t *testing.T, p *harness.Pulse) {
	t.Helper()
	if _, err := p.API().SignUp(t.Context(), "acme", "a@example.com", "correct horse battery"); err != nil {
		t.Fatal(err)
	}
}
