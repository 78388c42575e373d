package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asServer makes the test binary the server itself, so that signals and exit
// codes are tested on a process of its own.
const asServer = "PULSE_TEST_AS_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		main()
	}
	os.Exit(m.Run())
}

// settings are the environment of a server in dir on a port of its own.
func settings(dir string, more ...string) []string {
	return append([]string{"DATA_DIR=" + dir, "PORT=0", "GIN_MODE=test", "LOG_FORMAT=json", "BCRYPT_COST=4",
		"RATE_LIMIT_IP_PER_MINUTE=0", "PATH=" + os.Getenv("PATH")}, more...)
}

// server is the whole binary as a child process.
type server struct {
	cmd *exec.Cmd
	URL string
	log *logOf
}

// logOf collects what a process writes and tells when it serves.
type logOf struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logOf) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func start(t *testing.T, dir string, more ...string) *server {
	t.Helper()
	s := &server{cmd: exec.Command(os.Args[0], "serve"), log: &logOf{}}
	s.cmd.Dir = t.TempDir()
	s.cmd.Env = append(settings(dir, more...), asServer+"=1")
	out, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	address := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.log.mu.Lock()
			s.log.text.WriteString(lines.Text() + "\n")
			s.log.mu.Unlock()
			var line struct{ Message, Address string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "serving" {
				address <- line.Address
			}
		}
		close(address)
	}()
	select {
	case at, ok := <-address:
		if !ok {
			t.Fatalf("the server ended: %v\n%s", s.cmd.Wait(), s.log)
		}
		s.URL = "http://" + at
	case <-time.After(20 * time.Second):
		t.Fatalf("the server did not start:\n%s", s.log)
	}
	return s
}

// wait gives the exit code of a server that is ending.
func (s *server) wait(t *testing.T) int {
	t.Helper()
	ended := make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatalf("the server did not end:\n%s", s.log)
	}
	return s.cmd.ProcessState.ExitCode()
}

func post(t *testing.T, url, body string, header ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func signUp(t *testing.T, url, email string) {
	t.Helper()
	if code, body := post(t, url+"/v1/organizations",
		`{"name":"Acme","admin_email":"`+email+`","password":"correct horse battery"}`); code != http.StatusCreated {
		t.Fatalf("sign-up answers %d: %s", code, body)
	}
}

func TestServingEndsCleanlyAtTheFirstSignal(t *testing.T) {
	s := start(t, t.TempDir())
	signUp(t, s.URL, "a@example.com")
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := s.wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, s.log)
	}
}

func TestARequestUnderWayIsFinishedAfterTheSignal(t *testing.T) {
	s := start(t, t.TempDir())
	// Half a request holds the server's attention.
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"name":"Acme","admin_email":"slow@example.com","password":"correct horse battery"}`
	fmt.Fprintf(conn, "POST /v1/organizations HTTP/1.1\r\nHost: pulse\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		len(body), body[:10])
	// It is under way once the server has counted the ready check that came
	// after it on another connection.
	if response, err := http.Get(s.URL + "/health"); err != nil {
		t.Fatal(err)
	} else {
		response.Body.Close()
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "new connections are refused", func() bool {
		probe, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err == nil {
			probe.Close()
		}
		return err != nil
	})
	fmt.Fprint(conn, body[10:])
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("the request under way was cut off: %v", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Errorf("it was answered %d", response.StatusCode)
	}
	if code := s.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	s := start(t, t.TempDir(), "SHUTDOWN_TIMEOUT=10m")
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /v1/organizations HTTP/1.1\r\nHost: pulse\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	if response, err := http.Get(s.URL + "/health"); err == nil {
		response.Body.Close()
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first signal is heard", func() bool {
		probe, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err == nil {
			probe.Close()
		}
		return err != nil
	})
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := s.wait(t); code == 0 {
		t.Error("it waited for the request under way")
	}
}

func TestAKilledServerHasLostNothingItAcknowledged(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		s := start(t, dir)
		for j := range 5 {
			signUp(t, s.URL, fmt.Sprintf("p%d-%d@example.com", i, j))
		}
		if err := s.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		s.wait(t)
	}
	s := start(t, dir)
	for i := range 3 {
		for j := range 5 {
			if code, body := post(t, s.URL+"/v1/auth/login",
				fmt.Sprintf(`{"email":"p%d-%d@example.com","password":"correct horse battery"}`, i, j)); code != http.StatusOK {
				t.Errorf("p%d-%d is gone: %d %s", i, j, code, body)
			}
		}
	}
}

func TestASecondProcessOnTheSameDataIsToldSo(t *testing.T) {
	dir := t.TempDir()
	start(t, dir)
	var errs bytes.Buffer
	code := process{environ: settings(dir), stdout: io.Discard, stderr: &errs}.run(t.Context(), []string{"migrate"})
	if code != exitFailed || !strings.Contains(errs.String(), "database_in_use") {
		t.Errorf("exit code %d:\n%s", code, &errs)
	}
}

func TestAWrongConfigurationEndsWithCode2AndNamesEveryVariable(t *testing.T) {
	var errs bytes.Buffer
	code := process{environ: []string{"ENVIRONMENT=production", "PORT=many", "LOG_LEVEL=loud"}, stdout: io.Discard, stderr: &errs}.
		run(t.Context(), nil)
	if code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	for _, name := range []string{"PORT", "LOG_LEVEL", "JWT_SECRET", "API_KEY_PEPPER", "DATA_KEY", "LIVEKIT_HOST"} {
		if !strings.Contains(errs.String(), name) {
			t.Errorf("%s is not named:\n%s", name, &errs)
		}
	}
}

func TestAnUnknownCommandPrintsTheUsage(t *testing.T) {
	for _, args := range [][]string{{"fly"}, {"serve", "now"}} {
		var errs bytes.Buffer
		code := process{stderr: &errs, stdout: io.Discard}.run(t.Context(), args)
		if code != exitUsage || !strings.Contains(errs.String(), "usage:") {
			t.Errorf("%v: exit code %d: %s", args, code, &errs)
		}
	}
}

func TestMigrateLeavesADatabaseThatServes(t *testing.T) {
	dir := t.TempDir()
	var errs bytes.Buffer
	if code := (process{environ: settings(dir), stdout: io.Discard, stderr: &errs}).run(t.Context(), []string{"migrate"}); code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, &errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "pulse.db")); err != nil {
		t.Fatal(err)
	}
	signUp(t, start(t, dir).URL, "a@example.com")
}

func TestHealthcheckTellsWhetherTheServerAnswers(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	port := s.URL[strings.LastIndexByte(s.URL, ':')+1:]
	check := func(port string) int {
		return process{environ: settings(dir, "PORT="+port), stdout: io.Discard, stderr: io.Discard}.run(t.Context(), []string{"healthcheck"})
	}
	if code := check(port); code != exitOK {
		t.Errorf("a server that answers: exit code %d", code)
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.wait(t)
	if code := check(port); code != exitFailed {
		t.Errorf("no server: exit code %d", code)
	}
}

func TestReadinessTurnsOffBeforeRequestsAreRefused(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	serving := make(chan net.Addr, 1)
	ended := make(chan int, 1)
	p := process{environ: settings(t.TempDir()), stdout: io.Discard, stderr: io.Discard,
		ready: func(a net.Addr) { serving <- a }}
	go func() { ended <- p.run(ctx, []string{"serve"}) }()
	address := (<-serving).String()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A connection with half a request stays open while the server drains.
	fmt.Fprint(conn, "GET /health/ready HTTP/1.1\r\nHost: pulse\r\n")
	if response, err := http.Get("http://" + address + "/health"); err == nil {
		response.Body.Close()
	}
	stop()
	eventually(t, "new connections are refused", func() bool {
		probe, err := net.Dial("tcp", address)
		if err == nil {
			probe.Close()
		}
		return err != nil
	})
	fmt.Fprint(conn, "\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("the request under way was cut off: %v", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("while draining /health/ready answers %d", response.StatusCode)
	}
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// eventually polls until what holds, for at most ten seconds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: it did not come to that", what)
		}
	}
}
