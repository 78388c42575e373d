package e2e_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pulse-control-plane/e2e/harness"
)

// superviseWithin is how soon a killed server must answer again.
const superviseWithin = 3 * time.Second

// TestSupervisordRestartsAKilledServer runs the configuration of deploy/ under a real supervisord, with the paths and the
// user of this test.
func TestSupervisordRestartsAKilledServer(t *testing.T) {
	supervisord, err := exec.LookPath("supervisord")
	if err != nil {
		t.Skip("supervisord is not installed (apt-get install supervisor)")
	}
	home := t.TempDir()
	port, err := harness.FreeTCPPort()
	if err != nil {
		t.Fatal(err)
	}
	conf, err := os.ReadFile("../deploy/supervisor/pulse-control-plane.conf")
	if err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	program := strings.NewReplacer("/usr/local/bin/pulse-control-plane", pulseBinary, "/var/lib/pulse", home,
		"/var/log/pulse", home, "user=pulse", "user="+me.Username).Replace(string(conf))
	main := fmt.Sprintf("[supervisord]\nnodaemon=true\nuser=%s\nlogfile=%s/supervisord.log\npidfile=%s/supervisord.pid\n\n%s",
		me.Username, home, home, program)
	write(t, filepath.Join(home, "supervisord.conf"), main)
	// The configuration says ENVIRONMENT=production, which requires strong secrets.
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	dataKey := base64.StdEncoding.EncodeToString(key)
	write(t, filepath.Join(home, ".env"), fmt.Sprintf("PORT=%d\nHOST=127.0.0.1\nDATA_DIR=%s/data\nLOG_FORMAT=json\n"+
		"LIVEKIT_HOST=ws://127.0.0.1:7880\nLIVEKIT_API_KEY=APIsupervised\nLIVEKIT_API_SECRET=%s\nJWT_SECRET=%s\nAPI_KEY_PEPPER=%s\nDATA_KEY=%s\n",
		port, home, rand.Text()+rand.Text(), rand.Text()+rand.Text(), rand.Text()+rand.Text(), dataKey))

	cmd := exec.Command(supervisord, "-c", filepath.Join(home, "supervisord.conf"))
	cmd.Dir, cmd.Env = home, []string{"PATH=" + os.Getenv("PATH")}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
	})

	health := fmt.Sprintf("http://127.0.0.1:%d/health", port)
	healthy := func() error {
		response, err := http.Get(health)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("answers %d", response.StatusCode)
		}
		return nil
	}
	harness.Eventually(t, 15*time.Second, "the first start", healthy)
	for kills := range 3 {
		// A server that ends before startsecs counts as failed to start, and
		// supervisord waits longer each time.
		harness.Eventually(t, 15*time.Second, "supervisord to count the server as running", func() error {
			log, err := os.ReadFile(filepath.Join(home, "supervisord.log"))
			if err != nil {
				return err
			}
			if n := strings.Count(string(log), "entered RUNNING state"); n <= kills {
				return fmt.Errorf("it ran %d times", n)
			}
			return nil
		})
		before := serverOf(t, cmd.Process.Pid)
		if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, superviseWithin, "the server's restart after kill -9", func() error {
			if err := healthy(); err != nil {
				return err
			}
			if now := serverOf(t, cmd.Process.Pid); now == before || now == 0 {
				return fmt.Errorf("process %d still answers", now)
			}
			return nil
		})
	}
}

// serverOf is the pid of supervisord's only child, or 0 without one.
func serverOf(t *testing.T, supervisor int) int {
	t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", supervisor, supervisor))
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(field); err == nil {
			return pid
		}
	}
	return 0
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
