package harness

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/e2e/egressworker"
)

const (
	redisStartAttempts = 5
	redisReadyTimeout  = 10 * time.Second
	workerReadyTimeout = 10 * time.Second
)

// StartRedisServer runs redis-server from PATH on loopback until the test ends and returns its host:port.
func StartRedisServer(t testing.TB) string {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("%v: install redis-server (Debian: apt install redis-server)", err)
	}
	var last error
	for range redisStartAttempts {
		port, err := FreeTCPPort()
		if err != nil {
			t.Fatal(err)
		}
		process, err := startProcess("redis-server", binary,
			[]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "", "--appendonly", "no"}, nil, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if last = process.waitFor("Ready to accept connections", redisReadyTimeout); last == nil {
			t.Cleanup(func() {
				if err := process.Kill(); err != nil {
					t.Error(err)
				}
				process.logOnFailure(t)
			})
			return fmt.Sprintf("127.0.0.1:%d", port)
		}
		if err := process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("redis-server did not start: %v", last)
	return ""
}

// EgressWorker is a process of package egressworker.
type EgressWorker struct {
	// Dir is where it writes files.
	Dir     string
	process *Process
}

// StartEgressWorker runs a worker for a livekit-server until the test ends. It is the test binary itself, whose TestMain must
// call egressworker.Main if egressworker.Asked.
func StartEgressWorker(t testing.TB, l *LiveKit, c egressworker.Config) *EgressWorker {
	t.Helper()
	c.RedisAddress, c.URL, c.APIKey, c.APISecret, c.Dir = l.RedisAddress, l.URL, l.APIKey, l.APISecret, t.TempDir()
	variable, err := c.Environment()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &EgressWorker{Dir: c.Dir}
	if w.process, err = startProcess("egress worker", self, nil, []string{variable}, c.Dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Kill(); err != nil {
			t.Error(err)
		}
		w.process.logOnFailure(t)
	})
	if err := w.process.waitFor(egressworker.Ready, workerReadyTimeout); err != nil {
		t.Fatal(err)
	}
	return w
}

// Kill ends the worker at once: it reports nothing.
func (w *EgressWorker) Kill() error { return w.process.Kill() }

// waitFor waits until the child has written a text.
func (p *Process) waitFor(text string, within time.Duration) error {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for !strings.Contains(p.Log(), text) {
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %w\n%s", p.name, p.err, p.Log())
		case <-deadline.C:
			return fmt.Errorf("%s did not write %q within %s\n%s", p.name, text, within, p.Log())
		case <-tick.C:
		}
	}
	return nil
}
