package harness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	liveKitPackage = "github.com/livekit/livekit-server/cmd/server"
	liveKitBinary  = "livekit-server"
	// progressInterval is how often a long build reports that it still runs: CI systems end silent jobs.
	progressInterval = 15 * time.Second
)

// BuildLiveKit returns the path of the livekit-server that e2e/livekit/go.mod names, building it unless the cache has it
// (about six minutes on two cores). The binary is kept in
//
//	${PULSE_E2E_CACHE:-the user's cache directory}/pulse-control-plane/livekit-server-<first 16 hex of sha256(go.sum)>/
//
// so that every version has its own folder. It is renamed into the folder under a file lock: when several test binaries call
// this at the same time, one builds and the others wait. A line goes to progress at the start, every 15 seconds and at the end; a
// cached binary is returned silently. The call must be made from inside the e2e module. ctx ends build and wait.
func BuildLiveKit(ctx context.Context, progress io.Writer) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	module := filepath.Join(root, "livekit")
	sums, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return "", fmt.Errorf("read livekit's go.sum: %w", err)
	}
	sum := sha256.Sum256(sums)
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "pulse-control-plane", "livekit-server-"+hex.EncodeToString(sum[:8]))
	path := filepath.Join(dir, liveKitBinary)
	if isFile(path) {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	unlock, err := lockFile(ctx, filepath.Join(dir, "lock"), progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if isFile(path) {
		return path, nil // another process built it while this one waited
	}
	building := filepath.Join(dir, fmt.Sprintf("%s.%d.tmp", liveKitBinary, os.Getpid()))
	defer os.Remove(building) // the rest of a failed build
	if err := goBuild(ctx, module, liveKitPackage, building, "livekit-server", progress); err != nil {
		return "", err
	}
	if err := os.Rename(building, path); err != nil {
		return "", fmt.Errorf("move livekit-server into the cache: %w", err)
	}
	return path, nil
}

// BuildPulse builds the product from the folder above the e2e module into dir and returns the path of the binary. It
// is not cached between runs: with the Go build cache an unchanged tree takes a second, and a stale binary would test old
// code.
func BuildPulse(ctx context.Context, dir string, progress io.Writer) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "pulse-control-plane")
	if err := goBuild(ctx, filepath.Dir(root), ".", path, "pulse-control-plane", progress); err != nil {
		return "", err
	}
	return path, nil
}

// clockAhead is the environment variable of [BuildPulseAhead].
const clockAhead = "E2E_CLOCK_AHEAD"

// BuildPulseAhead is BuildPulse with a main.go whose clock is ahead by the duration in the environment variable
// E2E_CLOCK_AHEAD. The compiler is given the changed file instead of the product's (go build -overlay): the product itself
// has no such setting.
func BuildPulseAhead(ctx context.Context, dir string, progress io.Writer) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	main := filepath.Join(filepath.Dir(root), "main.go")
	text, err := os.ReadFile(main)
	if err != nil {
		return "", err
	}
	const clock = "Now: time.Now,"
	if bytes.Count(text, []byte(clock)) != 1 {
		return "", fmt.Errorf("%s does not set its clock once, with %q", main, clock)
	}
	text = bytes.Replace(text, []byte(clock), []byte("Now: clockAhead(),"), 1)
	text = fmt.Appendf(text, "\nfunc clockAhead() func() time.Time {\n\tahead, err := time.ParseDuration(os.Getenv(%q))\n"+
		"\tif err != nil {\n\t\tpanic(err)\n\t}\n\treturn func() time.Time { return time.Now().Add(ahead) }\n}\n", clockAhead)
	changed, overlay := filepath.Join(dir, "main_ahead.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{main: changed}})
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.WriteFile(changed, text, 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "pulse-with-a-clock-ahead")
	if err := goBuild(ctx, filepath.Dir(root), ".", path, "pulse-control-plane", progress, "-overlay", overlay); err != nil {
		return "", err
	}
	return path, nil
}

// goBuild runs `go build` of pkg in the module at dir and writes the binary to out.
func goBuild(ctx context.Context, dir, pkg, out, name string, progress io.Writer, flags ...string) error {
	// -buildvcs=false: tests must also work in a checkout of another user or without one.
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = dir
	// GOFLAGS and GOWORK of the developer must not apply to the other module; without cgo no C compiler is needed.
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go build: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("go build %s: %w\n%s", pkg, err, output.Bytes())
			}
			if took := time.Since(start); took > progressInterval {
				fmt.Fprintf(progress, "%s: built in %s\n", name, took.Round(time.Second))
			}
			return nil
		case <-tick.C:
			fmt.Fprintf(progress, "%s: building, %s so far (about six minutes the first time on two cores, then cached)\n",
				name, time.Since(start).Round(time.Second))
		}
	}
}

// lockFile takes an exclusive lock on path, creates it if missing, and returns the function that releases it. The kernel
// releases the lock of a killed process.
func lockFile(ctx context.Context, path string, progress io.Writer) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the build lock: %w", err)
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	said := time.Time{}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if time.Since(said) > progressInterval {
			said = time.Now()
			fmt.Fprintln(progress, "livekit-server: waiting for another process that builds it")
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for the build lock: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// moduleRoot is the folder of the e2e module, found from the working folder as the go command does.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if filepath.Base(mod) != "go.mod" {
		return "", errors.New("not inside the e2e module")
	}
	return filepath.Dir(mod), nil
}

func cacheDir() (string, error) {
	if dir := os.Getenv("PULSE_E2E_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder, set PULSE_E2E_CACHE: %w", err)
	}
	return dir, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
