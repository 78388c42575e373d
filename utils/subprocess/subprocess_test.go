package subprocess_test

import (
	"os"
	"os/exec"
	"testing"

	"pulse-control-plane/utils/subprocess"
)

func TestAProcessIsReadSignalledAndWaitedFor(t *testing.T) {
	p := subprocess.Start(t, exec.Command("sh", "-c", "echo one >&2; echo two >&2; exec sleep 60"))
	p.Await(t, func(line []byte) bool { return string(line) == "two" })
	if p.Log() != "one\ntwo\n" {
		t.Errorf("it wrote %q", p.Log())
	}
	p.Signal(t, os.Kill)
	if code := p.Wait(t); code != -1 {
		t.Errorf("exit code %d after a signal", code)
	}
	if code := subprocess.Start(t, exec.Command("sh", "-c", "exit 3")).Wait(t); code != 3 {
		t.Errorf("exit code %d", code)
	}
}
