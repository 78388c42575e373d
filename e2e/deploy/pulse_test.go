package deploy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "pulse-deploy-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "pulse-control-plane")
		build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, ".")
		build.Dir, build.Env = "../..", append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// pulse is the path of the real binary.
func pulse(t *testing.T) string {
	t.Helper()
	return binary
}

// served starts the binary on a database of its own and returns its address.
func served(t *testing.T) string {
	t.Helper()
	command := exec.Command(binary)
	command.Dir, command.Env = t.TempDir(), []string{"DATA_DIR=" + t.TempDir(), "PORT=0", "LOG_FORMAT=json", "BCRYPT_COST=4"}
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	})
	address := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var line struct{ Message, Address string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "serving" {
				address <- line.Address
			}
		}
	}()
	select {
	case at := <-address:
		return "http://" + at
	case <-time.After(30 * time.Second):
		t.Fatal("the server did not start")
		return ""
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= http.StatusInternalServerError {
		t.Fatalf("%s answers %d: %v", url, response.StatusCode, err)
	}
	return string(body)
}
