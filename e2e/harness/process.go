package harness

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// logLimit bounds what is kept of a child's output; of a longer one the end is kept.
const logLimit = 1 << 20

// Process is a child process whose output is kept.
type Process struct {
	name   string
	cmd    *exec.Cmd
	log    *tail
	done   chan struct{} // closed once the process has been waited for
	err    error         // of Wait; read after done
	ending atomic.Bool   // this package has asked it to end
}

// startProcess starts path with exactly the environment env in the folder dir.
func startProcess(name, path string, args, env []string, dir string) (*Process, error) {
	p := &Process{name: name, cmd: exec.Command(path, args...), log: &tail{}, done: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir = env, dir
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	// The child must not outlive a test binary that panics or is killed by go test's timeout.
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Pid is the process id of the child.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Log is what the child has written so far to standard output and standard error, at most its last MiB.
func (p *Process) Log() string { return p.log.String() }

// Exited is closed when the child has ended.
func (p *Process) Exited() <-chan struct{} { return p.done }

// Signal sends s to the child; a child that has already ended is no error.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// Kill ends the child as `kill -9` does, and returns when it is gone.
func (p *Process) Kill() error {
	p.ending.Store(true)
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// Stop sends SIGTERM and waits. It returns the child's exit status as an error if that is not 0, and kills a child
// that has not ended within the given time, which is an error too.
func (p *Process) Stop(within time.Duration) error {
	p.ending.Store(true)
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%s ended: %w", p.name, p.err)
		}
		return nil
	case <-time.After(within):
		if err := p.Kill(); err != nil {
			return err
		}
		return fmt.Errorf("%s had not ended %s after SIGTERM and was killed", p.name, within)
	}
}

// logOnFailure prints the end of the child's output when the test has failed: it is half of every diagnosis.
func (p *Process) logOnFailure(t testing.TB) {
	if !t.Failed() {
		return
	}
	const most = 8 << 10
	text := p.Log()
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	t.Logf("output of %s (pid %d):\n%s", p.name, p.Pid(), text)
}

// tail is a writer that keeps the last logLimit bytes.
type tail struct {
	mu   sync.Mutex
	data []byte
}

var _ io.Writer = (*tail)(nil)

func (w *tail) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.data = append(w.data, b...)
	if len(w.data) > 2*logLimit {
		w.data = append(w.data[:0], w.data[len(w.data)-logLimit:]...)
	}
	return len(b), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.data[max(0, len(w.data)-logLimit):])
}
