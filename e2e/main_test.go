package e2e_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"pulse-control-plane/e2e/egressworker"
	"pulse-control-plane/e2e/harness"
)

// The programs under test, built by TestMain.
var liveKitBinary, pulseBinary string

func TestMain(m *testing.M) {
	if egressworker.Asked() {
		os.Exit(egressworker.Main()) // a test started this process as a worker
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "pulse-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if pulseBinary, err = harness.BuildPulse(ctx, dir, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if liveKitBinary, err = harness.BuildLiveKit(ctx, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// installation is a Pulse with its own LiveKit.
type installation struct {
	LiveKit *harness.LiveKit
	Pulse   *harness.Pulse
	API     *harness.API
}

func install(t *testing.T, o harness.LiveKitOptions) *installation {
	t.Helper()
	liveKit := harness.StartLiveKit(t, liveKitBinary, o)
	pulse := harness.StartPulse(t, harness.PulseOptions{Binary: pulseBinary, LiveKit: liveKit})
	return &installation{LiveKit: liveKit, Pulse: pulse, API: pulse.API()}
}

// project signs up an organization called name and creates its first project.
func (i *installation) project(t *testing.T, name string) harness.Project {
	t.Helper()
	account, err := i.API.SignUp(t.Context(), name, name+"@example.com", "correct horse battery")
	if err != nil {
		t.Fatalf("sign up: %v", err)
	}
	project, err := i.API.CreateProject(t.Context(), account.Session, name)
	if err != nil {
		t.Fatalf("create a project: %v", err)
	}
	return project
}

// token mints a token for identity in room, as the project's app would, with the key alone.
func (i *installation) token(t *testing.T, p harness.Project, room, identity string) harness.Token {
	t.Helper()
	token, err := i.API.CreateToken(t.Context(), harness.AsClient(p),
		harness.TokenRequest{RoomName: room, ParticipantIdentity: identity})
	if err != nil {
		t.Fatalf("create a token: %v", err)
	}
	return token
}

// join mints a token and joins the room with it.
func (i *installation) join(t *testing.T, p harness.Project, room, identity string) *harness.Participant {
	t.Helper()
	token := i.token(t, p, room, identity)
	return harness.Join(t, token.ServerURL, token.ParticipantToken)
}
