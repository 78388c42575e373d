package data

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/utils/secret"
)

// The environment that makes the test binary a process that runs one command and
// kills itself at a step.
const (
	asCommand = "PULSE_TEST_COMMAND"
	dieAt     = "PULSE_TEST_DIE_AT"
)

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) == "" {
		os.Exit(m.Run())
	}
	tool := Tool{Path: os.Args[1], Version: "test", Now: time.Now, reached: func(step string) {
		if step == os.Getenv(dieAt) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}}
	run := tool.Backup
	if os.Getenv(asCommand) == "restore" {
		run = tool.Restore
	}
	if _, err := run(context.Background(), os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child is a process that runs backup or restore and kills itself at a step; ""
// does not.
func child(t *testing.T, command, step, path, file string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], path, file)
	c.Env = append(os.Environ(), asCommand+"="+command, dieAt+"="+step)
	c.Stderr = os.Stderr
	return c
}

// killed runs a child and reports whether it was killed; any other failure fails
// the test.
func killed(t *testing.T, c *exec.Cmd) bool {
	t.Helper()
	err := c.Run()
	if err == nil {
		return false
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatal(err)
	}
	return true
}

func tool(path string) Tool { return Tool{Path: path, Version: "test", Now: time.Now} }

func open(t *testing.T, path string) database.Engine {
	t.Helper()
	e, err := database.Open(t.Context(), database.Location{Path: path}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func shut(t *testing.T, e database.Engine) {
	t.Helper()
	if err := e.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func someSecrets() Secrets {
	return Secrets{
		DataKey: {secret.New("a data key of thirty-two bytes..")}, APIKeyPepper: {secret.New("pepper")}, JWTSecret: {secret.New("jwt")},
	}
}

// store fills a new database with documents of several collections, closed in
// the end, and returns its path.
func store(t *testing.T, events int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pulse.db")
	e := open(t, path)
	defer shut(t, e)
	if err := Recognise(t.Context(), e, someSecrets(), false, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	trail, err := audit.NewTrail(database.NewAuditLogs(e), testkit.Silence{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		entry, err := trail.Begin(t.Context(), &models.Principal{Kind: models.CallerOperator},
			audit.Event{OrgID: models.OrganizationID(fmt.Sprintf("org_%d", i%2)), Action: "test", Type: "t", ID: "x"})
		if err != nil {
			t.Fatal(err)
		}
		var failed error
		entry.End(t.Context(), &failed)
	}
	inbox := database.NewLiveKitEvents(e)
	for first := 0; first < events; first += 100 {
		if _, err := inbox.InsertMany(t.Context(), batch(first, 100)); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func batch(first, n int) []models.LiveKitEvent {
	out := make([]models.LiveKitEvent, n)
	for i := range out {
		out[i] = models.LiveKitEvent{ID: fmt.Sprintf("EV_%08d", first+i), Event: models.EventRoomStarted, State: models.EventDone, ReceivedAt: time.Now().UTC().Truncate(time.Millisecond)}
	}
	return out
}

// describe gives what a database holds.
func describe(t *testing.T, path string) Manifest {
	t.Helper()
	var m Manifest
	if err := verify(t.Context(), path, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
