package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const (
	pulseStartAttempts = 5
	pulseReadyTimeout  = 15 * time.Second
	// pulseStopTimeout is above the product's own SHUTDOWN_TIMEOUT of 5 s.
	pulseStopTimeout = 10 * time.Second
)

// PulseOptions say how the product is run. Binary and LiveKit are required.
type PulseOptions struct {
	// Binary is the path from [BuildPulse].
	Binary string
	// LiveKit is the cluster that it mints tokens for and hears events from.
	LiveKit *LiveKit
	// Env adds variables or replaces those set here (see [Pulse]).
	Env map[string]string
	// DataDir is an existing DATA_DIR; "" makes an empty one.
	DataDir string
}

// Pulse is a running product. It keeps its port, its data folder and its environment over a restart: ENVIRONMENT is
// development, the database is the embedded one in DATA_DIR, the secrets are those it makes itself, limits per IP are off.
type Pulse struct {
	// URL is the product's address, http://127.0.0.1:port.
	URL string
	// DataDir is its DATA_DIR.
	DataDir string

	process *Process
	binary  string
	env     []string
	workDir string
}

// StartPulse runs the product on a free port of 127.0.0.1 with an empty database, waits until GET /health/ready answers 200
// and stops it with SIGTERM when the test ends; an exit status other than 0 then fails the test.
func StartPulse(t testing.TB, o PulseOptions) *Pulse {
	t.Helper()
	p := &Pulse{DataDir: o.DataDir, workDir: t.TempDir(), binary: o.Binary}
	if p.DataDir == "" {
		p.DataDir = t.TempDir()
	}
	var last error
	for range pulseStartAttempts {
		port, err := FreeTCPPort()
		if err != nil {
			t.Fatal(err)
		}
		p.URL = "http://127.0.0.1:" + strconv.Itoa(port)
		p.env = pulseEnv(p, port, o)
		if last = p.start(); last == nil {
			t.Cleanup(func() {
				if err := p.Stop(); err != nil {
					t.Error(err)
				}
				p.process.logOnFailure(t)
			})
			return p
		}
	}
	t.Fatalf("pulse did not start: %v", last)
	return nil
}

// pulseEnv is the whole environment of the product: a MONGO_URI or a LIVEKIT_API_KEY of the developer's shell must not
// reach it. Its working folder is empty for the same reason: it reads a .env there.
func pulseEnv(p *Pulse, port int, o PulseOptions) []string {
	all := map[string]string{
		"HOME":                     p.workDir,
		"PATH":                     os.Getenv("PATH"),
		"ENVIRONMENT":              "development",
		"HOST":                     "127.0.0.1",
		"PORT":                     strconv.Itoa(port),
		"DATA_DIR":                 p.DataDir,
		"LIVEKIT_HOST":             o.LiveKit.URL,
		"LIVEKIT_API_KEY":          o.LiveKit.APIKey,
		"LIVEKIT_API_SECRET":       o.LiveKit.APISecret,
		"LOG_FORMAT":               "json",
		"RATE_LIMIT_IP_PER_MINUTE": "0", // every tenant of a test calls from the same address
	}
	for name, value := range o.Env {
		all[name] = value
	}
	env := make([]string, 0, len(all))
	for name, value := range all {
		env = append(env, name+"="+value)
	}
	return env
}

func (p *Pulse) start() error {
	process, err := startProcess("pulse", p.binary, nil, p.env, p.workDir)
	if err != nil {
		return err
	}
	p.process = process
	if err := p.waitHealthy(); err != nil {
		return errors.Join(err, process.Kill())
	}
	return nil
}

func (p *Pulse) waitHealthy() error {
	ctx, cancel := context.WithTimeout(context.Background(), pulseReadyTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := httpOK(ctx, p.URL+"/health/ready")
		select {
		// First: another process may answer on the port that ours could not have.
		case <-p.process.Exited():
			return fmt.Errorf("pulse ended at start: %w\n%s", p.process.err, p.process.Log())
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-p.process.Exited():
		case <-ctx.Done():
			return fmt.Errorf("pulse is not ready: %w\n%s", err, p.process.Log())
		case <-tick.C:
		}
	}
}

// API is a client of the product.
func (p *Pulse) API() *API { return NewAPI(p.URL) }

// Log is what the product has written since it was last started.
func (p *Pulse) Log() string { return p.process.Log() }

// Stop ends the product as a supervisor does, with SIGTERM, and returns an error unless it ends in time with status 0.
// One that was stopped or killed before is no error; one that ended by itself is.
func (p *Pulse) Stop() error {
	select {
	case <-p.process.Exited():
		if p.process.ending.Load() {
			return nil
		}
		return fmt.Errorf("pulse had ended by itself: %v", p.process.err)
	default:
		return p.process.Stop(pulseStopTimeout)
	}
}

// Pid is the process id.
func (p *Pulse) Pid() int { return p.process.Pid() }

// Kill ends the product as a power cut does.
func (p *Pulse) Kill() error { return p.process.Kill() }

// Restart starts the product again, on the same port and data. It must have been stopped or killed.
func (p *Pulse) Restart(t testing.TB) {
	t.Helper()
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
}

// Run runs a sub-command of the product with the environment of the server, in which env replaces variables, until it
// ends by itself or with ctx, and returns its exit code and what it wrote.
func (p *Pulse) Run(ctx context.Context, env map[string]string, args ...string) (code int, stdout, stderr string, err error) {
	command := exec.CommandContext(ctx, p.binary, args...)
	command.Dir, command.SysProcAttr = p.workDir, dieWithParent()
	command.Env = slices.Clone(p.env)
	for name, value := range env {
		command.Env = append(command.Env, name+"="+value) // the last one counts
	}
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	err = command.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = ctx.Err()
	}
	return command.ProcessState.ExitCode(), out.String(), errs.String(), err
}

// Suspend stops the process as a suspended machine does, Resume lets it go on.
func (p *Pulse) Suspend() error { return p.process.Signal(syscall.SIGSTOP) }

// Resume is the end of Suspend.
func (p *Pulse) Resume() error { return p.process.Signal(syscall.SIGCONT) }

// Ended waits until the process has ended by itself and gives its exit code, or -1 if it has not within a time.
func (p *Pulse) Ended(within time.Duration) int {
	select {
	case <-p.process.Exited():
		p.process.ending.Store(true)
		return p.process.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		return -1
	}
}
