package subprocess

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// timeout bounds each wait.
const timeout = 20 * time.Second

// Process is a running program. Start makes one.
type Process struct {
	command *exec.Cmd
	lines   chan []byte
	ended   chan struct{} // standard error is closed
	mu      sync.Mutex
	written bytes.Buffer
}

// Start runs a command, whose standard error it reads. It kills the process
// when the test ends. A command that does not start fails the test.
func Start(t testing.TB, command *exec.Cmd) *Process {
	t.Helper()
	p := &Process{command: command, lines: make(chan []byte, 1024), ended: make(chan struct{})}
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	go p.collect(stderr)
	return p
}

// collect reads lines until the process closes its standard error.
func (p *Process) collect(from io.Reader) {
	defer close(p.ended)
	defer close(p.lines)
	for lines := bufio.NewScanner(from); lines.Scan(); {
		p.mu.Lock()
		p.written.Write(lines.Bytes())
		p.written.WriteByte('\n')
		p.mu.Unlock()
		select {
		case p.lines <- bytes.Clone(lines.Bytes()):
		default: // no reader waits for a line any more
		}
	}
}

// Await reads lines until one matches. The test fails if the process ends, or
// 20 s pass, before that.
func (p *Process) Await(t testing.TB, match func(line []byte) bool) {
	t.Helper()
	deadline := time.After(timeout)
	for {
		select {
		case line, open := <-p.lines:
			switch {
			case !open:
				t.Fatalf("the process ended with exit code %d:\n%s", p.Wait(t), p.Log())
			case match(line):
				return
			}
		case <-deadline:
			t.Fatalf("the awaited line did not come:\n%s", p.Log())
		}
	}
}

// Log is what the process wrote to standard error so far.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.written.String()
}

// Signal sends a signal, such as syscall.SIGTERM or os.Kill.
func (p *Process) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Wait returns the exit code of a process that is ending, -1 if a signal ended
// it. The test fails if that takes more than 20 s.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended: // all is read: Wait closes the pipe
		_ = p.command.Wait()
	case <-time.After(timeout):
		t.Fatalf("the process did not end:\n%s", p.Log())
	}
	return p.command.ProcessState.ExitCode()
}
