package main

import (
	"bufio"
	"bytes"
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

	"github.com/alicebob/miniredis/v2"
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
	s.terminate(t)
	if code := s.wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, s.log)
	}
}

// halfSent opens a connection and sends half of a sign-up, whose handler then
// waits for the rest.
func halfSent(t *testing.T, s *server, email string) (conn net.Conn, rest string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	body := `{"name":"Acme","admin_email":"` + email + `","password":"correct horse battery"}`
	fmt.Fprintf(conn, "POST /v1/organizations HTTP/1.1\r\nHost: pulse\r\nContent-Type: application/json\r\n"+
		"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(body))
	// The server asks for the body when its handler reads it: from here on the
	// request is under way.
	asked, err := bufio.NewReaderSize(conn, 16).ReadString('\n')
	if err != nil || !strings.Contains(asked, "100 Continue") {
		t.Fatalf("%q, %v", asked, err)
	}
	fmt.Fprint(conn, body[:10])
	return conn, body[10:]
}

func (s *server) terminate(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// notReady polls until readiness is off, on new connections.
func (s *server) notReady(t *testing.T) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	eventually(t, "readiness is off", func() bool {
		response, err := client.Get(s.URL + "/health/ready")
		if err != nil {
			t.Fatalf("it does not listen any more: %v", err)
		}
		response.Body.Close()
		return response.StatusCode == http.StatusServiceUnavailable
	})
}

func TestASignalTurnsReadinessOffAndRequestsUnderWayAreFinished(t *testing.T) {
	s := start(t, t.TempDir())
	conn, rest := halfSent(t, s, "slow@example.com")
	s.terminate(t)
	s.notReady(t)
	fmt.Fprint(conn, rest)
	// What is left of the interim answer comes first.
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.Contains(answer, []byte("HTTP/1.1 201 Created")) {
		t.Errorf("the request under way got %q, %v", answer, err)
	}
	if code := s.wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, s.log)
	}
}

func TestAConnectionThatAskedNothingHoldsUpNoShutdown(t *testing.T) {
	s := start(t, t.TempDir())
	for range 3 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	signUp(t, s.URL, "a@example.com") // answered after the others were accepted
	began := time.Now()
	s.terminate(t)
	if code := s.wait(t); code != 0 || time.Since(began) > 3*time.Second {
		t.Errorf("exit code %d after %v:\n%s", code, time.Since(began), s.log)
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	s := start(t, t.TempDir(), "SHUTDOWN_TIMEOUT=10m")
	halfSent(t, s, "slow@example.com")
	s.terminate(t)
	s.notReady(t)
	s.terminate(t)
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

func TestAnUnknownCommandIsNamedAndPrintsTheUsage(t *testing.T) {
	for _, args := range [][]string{{"fly"}, {"serve", "now"}} {
		var errs bytes.Buffer
		code := process{stderr: &errs, stdout: io.Discard}.run(t.Context(), args)
		if code != exitUsage || !strings.Contains(errs.String(), "usage:") || strings.HasPrefix(errs.String(), "usage:") {
			t.Errorf("%v: exit code %d: %s", args, code, &errs)
		}
	}
}

func TestWhoAsksForHelpGetsTheUsageAndNoError(t *testing.T) {
	for _, arg := range []string{"help", "-h", "-help", "--help"} {
		var out, errs bytes.Buffer
		code := process{stdout: &out, stderr: &errs}.run(t.Context(), []string{arg})
		if code != exitOK || !strings.HasPrefix(out.String(), "usage:") || errs.Len() > 0 {
			t.Errorf("%s: exit code %d: %s%s", arg, code, &out, &errs)
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

func TestRedisIsAmongTheComponentsWhenItIsSet(t *testing.T) {
	redis := miniredis.RunT(t)
	s := start(t, t.TempDir(), "REDIS_URL=redis://"+redis.Addr())
	response, err := http.Get(s.URL + "/health/ready")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"name":"redis","status":"operational"`)) {
		t.Errorf("%d %s %v", response.StatusCode, body, err)
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
