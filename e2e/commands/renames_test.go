package commands_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/e2e/harness"
	"pulse-control-plane/e2e/mongowire"
)

// slots is a collection that schema version 2 renamed, and formerSlots its name before.
var slots, formerSlots = "slots", database.FormerNames()["slots"]

// olderBinary builds the product of the last commit that has the former names alone.
func olderBinary(t *testing.T) string {
	t.Helper()
	commits, err := git(t, "log", "--format=%H", `-S{slots, "`+formerSlots+`"}`, "--", "database/migrations.go")
	if err != nil {
		t.Skip("there is no git here")
	}
	if all := strings.Fields(string(commits)); len(all) > 0 {
		return binaryOf(t, all[len(all)-1]+"^")
	}
	return binaryOf(t, "HEAD") // the migration is not committed yet
}

// stored counts the documents of a collection by the name that is stored.
func documentsOf(t *testing.T, server *mongowire.Server, stored string) int64 {
	t.Helper()
	n, err := server.Engine().Count(t.Context(), stored, bson.D{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// filled makes a project on an older server, takes every slot of its quota and stops the server.
func filled(t *testing.T, older *harness.Pulse) harness.Project {
	t.Helper()
	project := ownerOf(t, older)
	for i := range limit {
		if status := admit(t, older, project, fmt.Sprint("p", i)); status != http.StatusOK {
			t.Fatalf("participant %d: status %d", i, status)
		}
	}
	if err := older.Stop(); err != nil {
		t.Fatal(err)
	}
	return project
}

// admit asks for a token of an identity, which takes a slot, and gives the status of the response.
func admit(t *testing.T, p *harness.Pulse, project harness.Project, identity string) int {
	t.Helper()
	_, err := p.API().CreateToken(t.Context(), harness.AsServer(project), harness.TokenRequest{RoomName: "hall", ParticipantIdentity: identity})
	var refused *harness.APIError
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &refused):
		return refused.Status
	}
	t.Fatal(err)
	return 0
}

// exit is the exit code of a command that ended.
func exit(err error) int {
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return failed.ExitCode()
	}
	return 0
}

const limit = 6

// ownerOf is the project of an installation whose limit is on participants.
func ownerOf(t *testing.T, p *harness.Pulse) harness.Project {
	t.Helper()
	account, err := p.API().SignUp(t.Context(), "acme", "a@example.com", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	project, err := p.API().CreateProject(t.Context(), account.Session, "first")
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestOnMongoDBCollectionsAreRenamedOnlyWhenNoServerIsLeft(t *testing.T) {
	binary := olderBinary(t)
	server, dir := mongowire.Start(t), t.TempDir() // the secrets in DATA_DIR are for all
	uri := server.Line(t).URI
	env := map[string]string{"DATA_DIR": dir, "MONGO_URI": uri, "QUOTA_FREE": fmt.Sprint("concurrent_participants=", limit)}
	settings := []string{"DATA_DIR=" + dir, "MONGO_URI=" + uri}
	older := pulse(t, binary, env)
	project := ownerOf(t, older)
	newer := pulse(t, pulseBinary, env)
	if !strings.Contains(newer.Log(), "rename the collection "+formerSlots) {
		t.Errorf("the log does not say what remains:\n%s", newer.Log())
	}
	// Both versions count one quota: half of the limit each, in turn.
	for i := range limit {
		if status := admit(t, []*harness.Pulse{older, newer}[i%2], project, fmt.Sprint("p", i)); status != http.StatusOK {
			t.Fatalf("participant %d of %d: status %d", i, limit, status)
		}
	}
	for _, p := range []*harness.Pulse{older, newer} {
		if status := admit(t, p, project, "too many"); status != http.StatusTooManyRequests && status != http.StatusForbidden && status != http.StatusPaymentRequired {
			t.Errorf("one participant over the limit: status %d", status)
		}
	}
	if n := documentsOf(t, server, formerSlots); n < limit || documentsOf(t, server, slots) > 0 {
		t.Errorf("%d documents under the former name, %d under the new one", n, documentsOf(t, server, slots))
	}

	c, out := command(t, t.Context(), settings, "migrate")
	if code := exit(c.Run()); code != 78 || !strings.Contains(out.String(), "stop every server of Pulse on this database") {
		t.Errorf("migrate beside servers: exit code %d\n%s", code, out)
	}
	if status := admit(t, older, project, "p1"); status != http.StatusOK {
		t.Errorf("after a refused migrate: status %d", status)
	}

	// Both stand still, as on suspended machines, and look dead.
	for _, p := range []*harness.Pulse{older, newer} {
		if err := p.Suspend(); err != nil {
			t.Fatal(err)
		}
	}
	c, out = command(t, t.Context(), settings, "migrate")
	if err := c.Run(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
	moved := documentsOf(t, server, slots)
	if moved < limit || documentsOf(t, server, formerSlots) > 0 {
		t.Errorf("%d documents under the new name, %d under the former one", moved, documentsOf(t, server, formerSlots))
	}
	after := pulse(t, pulseBinary, env)
	if status := admit(t, after, project, "too many"); status == http.StatusOK {
		t.Error("the limit was exceeded after the renaming")
	}
	if status := admit(t, after, project, "p1"); status != http.StatusOK {
		t.Errorf("a participant with a slot: status %d", status)
	}
	for _, p := range []*harness.Pulse{older, newer} {
		if err := p.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 * limit { // whatever it remembers, the one that missed the renaming admits nobody
		if status := admit(t, older, project, fmt.Sprint("late ", i)); status == http.StatusOK {
			t.Error("a server of the earlier version admitted a participant after the renaming")
		}
	}
	if n := documentsOf(t, server, formerSlots); n > 0 {
		t.Errorf("%d documents under the former name", n)
	}
	if code := newer.Ended(30 * time.Second); code != 78 || !strings.Contains(newer.Log(), "has renamed collections of this database") {
		t.Errorf("the server of this version that missed the renaming: exit code %d", code)
	}
	if err := newer.Kill(); err != nil {
		t.Fatal(err)
	}
	started := exec.CommandContext(t.Context(), binary)
	started.Dir = t.TempDir()
	started.Env = append([]string{"ENVIRONMENT=development", "PORT=0", "LIVEKIT_HOST=ws://127.0.0.1:1", "LIVEKIT_API_KEY=devkey", "LIVEKIT_API_SECRET=" + strings.Repeat("s", 40)}, settings...)
	text, err := started.CombinedOutput()
	if code := exit(err); code != 78 || !bytes.Contains(text, []byte("newer version of Pulse")) {
		t.Errorf("a start of the earlier version: exit code %d\n%s", code, text)
	}
}

func TestARenamingThatIsKilledAtAnyCommandIsFinishedByTheNextMigrate(t *testing.T) {
	binary := olderBinary(t)
	// The commands of migrate from the mark on, and what happens to each: it is executed or not.
	for _, at := range []struct {
		name, collection string
		nth              int64
	}{
		{"update", "schema", 2}, {"update", "schema", 3}, {"renameCollection", "", 1}, {"create", "", 1}, {"renameCollection", "", 2}, {"update", "schema", 4},
	} {
		for _, fault := range []mongowire.Fault{mongowire.HangUpBefore, mongowire.HangUpAfter} {
			t.Run(fmt.Sprint(at.name, at.nth, "/", fault), func(t *testing.T) {
				t.Parallel()
				server, dir := mongowire.Start(t), t.TempDir()
				env := map[string]string{"DATA_DIR": dir, "MONGO_URI": server.Line(t).URI, "QUOTA_FREE": fmt.Sprint("concurrent_participants=", limit)}
				older := pulse(t, binary, env)
				project := filled(t, older)
				before := documentsOf(t, server, formerSlots)

				line := server.Line(t)
				ctx, kill := context.WithCancel(t.Context()) // SIGKILL
				defer kill()
				var seen atomic.Int64
				line.Inject(func(c mongowire.Command) mongowire.Fault {
					if c.Name != at.name || at.collection != "" && c.Collection != at.collection || seen.Add(1) != at.nth {
						return mongowire.None
					}
					kill()
					return fault
				})
				c, out := command(t, ctx, []string{"DATA_DIR=" + dir, "MONGO_URI=" + line.URI}, "migrate")
				if err := c.Run(); err == nil {
					t.Fatalf("it was not killed: %d of %s were seen\n%s", seen.Load(), at.name, out)
				}

				// A server that starts now works with every slot, or is refused.
				if n, m := documentsOf(t, server, formerSlots), documentsOf(t, server, slots); n+m != before || n > 0 && m > 0 {
					t.Errorf("%d and %d of %d documents", n, m, before)
				}
				settings := []string{"DATA_DIR=" + dir, "MONGO_URI=" + env["MONGO_URI"]}
				ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
				defer stop()
				c, out = command(t, ctx, append(settings, "PORT=0", "LIVEKIT_HOST=ws://127.0.0.1:1", "LIVEKIT_API_KEY=devkey", "LIVEKIT_API_SECRET="+strings.Repeat("s", 40)))
				if code := exit(c.Run()); code != -1 && (code != 78 || !strings.Contains(out.String(), "renaming collections of this database, or was interrupted")) {
					t.Errorf("a start: exit code %d\n%s", code, out)
				}

				c, out = command(t, t.Context(), settings, "migrate")
				if err := c.Run(); err != nil {
					t.Fatalf("migrate again: %v\n%s", err, out)
				}
				if n := documentsOf(t, server, slots); n != before || documentsOf(t, server, formerSlots) != 0 {
					t.Errorf("%d of %d documents", n, before)
				}
				p := pulse(t, pulseBinary, env)
				if status := admit(t, p, project, "too many"); status == http.StatusOK {
					t.Error("the limit was exceeded")
				}
				if status := admit(t, p, project, "p1"); status != http.StatusOK {
					t.Errorf("a participant with a slot: status %d", status)
				}
			})
		}
	}
}

func TestAnEmbeddedDatabaseIsRenamedByMigrateWhateverKillsIt(t *testing.T) {
	binary, dir := olderBinary(t), t.TempDir()
	env := map[string]string{"DATA_DIR": dir, "QUOTA_FREE": fmt.Sprint("concurrent_participants=", limit)}
	older := pulse(t, binary, env)
	project := ownerOf(t, older)
	p := older
	for i := range limit { // the versions take turns
		if status := admit(t, p, project, fmt.Sprint("p", i)); status != http.StatusOK {
			t.Fatalf("participant %d: status %d", i, status)
		}
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
		if i < 3 {
			p = pulse(t, []string{pulseBinary, binary}[i%2], env)
		} else {
			p.Restart(t)
		}
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	names := func() []string {
		t.Helper()
		f, err := database.OpenFile(t.Context(), dir+"/pulse.db")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close(context.WithoutCancel(t.Context()))
		all, err := f.Existing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if !slices.Contains(names(), formerSlots) {
		t.Errorf("the collections are %v", names())
	}
	untilItFinishes(t, []string{"DATA_DIR=" + dir}, 10*time.Millisecond, func() {
		all := names()
		for name, former := range database.FormerNames() {
			if slices.Contains(all, name) != slices.Contains(all, slots) || slices.Contains(all, name) == slices.Contains(all, former) {
				t.Errorf("the collections are %v", all)
			}
		}
	}, "migrate")
	if slices.Contains(names(), formerSlots) {
		t.Errorf("the collections are %v", names())
	}
	p = pulse(t, pulseBinary, env)
	if status := admit(t, p, project, "too many"); status == http.StatusOK {
		t.Error("the limit was exceeded")
	}
	if status := admit(t, p, project, "p1"); status != http.StatusOK {
		t.Errorf("a participant with a slot: status %d", status)
	}
}
