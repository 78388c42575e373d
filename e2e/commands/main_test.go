package commands_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"pulse-control-plane/e2e/harness"
)

// pulseBinary is the program under test, built by TestMain.
var pulseBinary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pulse-commands-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if pulseBinary, err = harness.BuildPulse(context.Background(), dir, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// command is a run of a sub-command, in an empty folder and with no more than these settings.
func command(t *testing.T, ctx context.Context, settings []string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	c := exec.CommandContext(ctx, pulseBinary, args...)
	c.Dir = t.TempDir()
	c.Env = append([]string{"ENVIRONMENT=development", "PATH=" + os.Getenv("PATH")}, settings...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	return c, &out
}

// untilItFinishes runs a sub-command and kills it, each time a little later, until it ends by itself with success. check
// looks at what each kill left.
func untilItFinishes(t *testing.T, settings []string, first time.Duration, check func(), args ...string) {
	t.Helper()
	kills := 0
	for after := first; ; after += after / 2 {
		ctx, stop := context.WithTimeout(t.Context(), after) // kills with SIGKILL
		c, out := command(t, ctx, settings, args...)
		err := c.Run()
		killed := ctx.Err() != nil
		stop()
		switch {
		case err == nil:
			t.Logf("%v finished after %d kills", args, kills)
			if kills == 0 {
				t.Error("it was never killed")
			}
			return
		case !killed:
			t.Fatalf("%v: %v\n%s", args, err, out)
		case after > 10*time.Minute:
			t.Fatalf("%v does not finish in %s", args, after)
		}
		kills++
		check()
	}
}
