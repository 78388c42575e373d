package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulse-control-plane/utils/subprocess"
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
	*subprocess.Process
	URL string
}

func start(t *testing.T, dir string, more ...string) *server {
	t.Helper()
	return startUntil(t, "serving", dir, more...)
}

// startUntil starts a server and waits for a line of its log.
func startUntil(t *testing.T, message, dir string, more ...string) *server {
	t.Helper()
	command := exec.Command(os.Args[0], "serve")
	command.Dir, command.Env = t.TempDir(), append(settings(dir, more...), asServer+"=1")
	s := &server{Process: subprocess.Start(t, command)}
	s.Await(t, func(written []byte) bool {
		var line struct{ Message, Address string }
		s.URL = ""
		if json.Unmarshal(written, &line) == nil && line.Message == message {
			s.URL = "http://" + line.Address
		}
		return s.URL != ""
	})
	return s
}

// command runs a sub-command in this process and returns its exit code and what it wrote.
func command(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = process{environ: environ, stdout: &out, stderr: &errs}.run(t.Context(), args)
	return code, out.String(), errs.String()
}

func post(t *testing.T, url, body string, header ...string) (int, string) {
	t.Helper()
	return subprocess.Ask(t, http.MethodPost, url, strings.NewReader(body), header...)
}

func get(t *testing.T, url string, header ...string) (int, string) {
	t.Helper()
	return subprocess.Ask(t, http.MethodGet, url, http.NoBody, header...)
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
	s.Signal(t, syscall.SIGTERM)
	if code := s.Wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, s.Log())
	}
}

// halfSent sends half of a sign-up, whose handler then waits for the rest.
func halfSent(t *testing.T, s *server, email string) (conn net.Conn, rest string) {
	t.Helper()
	return subprocess.HalfSent(t, s.URL+"/v1/organizations", `{"name":"Acme","admin_email":"`+email+`","password":"correct horse battery"}`)
}

// notReady polls until readiness is off, on new connections.
func (s *server) notReady(t *testing.T) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	subprocess.Eventually(t, "readiness is off", func() bool {
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
	s.Signal(t, syscall.SIGTERM)
	s.notReady(t)
	fmt.Fprint(conn, rest)
	// What is left of the interim answer comes first.
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.Contains(answer, []byte("HTTP/1.1 201 Created")) {
		t.Errorf("the request under way got %q, %v", answer, err)
	}
	if code := s.Wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, s.Log())
	}
}

func TestIdleConnectionsDelayNoShutdown(t *testing.T) {
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
	s.Signal(t, syscall.SIGTERM)
	if code := s.Wait(t); code != 0 || time.Since(began) > 3*time.Second {
		t.Errorf("exit code %d after %v:\n%s", code, time.Since(began), s.Log())
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	s := start(t, t.TempDir(), "SHUTDOWN_TIMEOUT=10m")
	halfSent(t, s, "slow@example.com")
	s.Signal(t, syscall.SIGTERM)
	s.notReady(t)
	s.Signal(t, syscall.SIGTERM)
	if code := s.Wait(t); code == 0 {
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
		s.Signal(t, os.Kill)
		s.Wait(t)
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

func TestASecondProcessOnTheSameDataOrPortIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	if code, _, errs := command(t, settings(dir), "migrate"); code != exitFailed || !strings.Contains(errs, "database_in_use") {
		t.Errorf("exit code %d:\n%s", code, errs)
	}
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	if code, _, errs := command(t, settings(dir, "PORT="+port)); code != exitFailed || !strings.Contains(errs, "HOST and PORT") {
		t.Errorf("on the same port: exit code %d:\n%s", code, errs)
	}
}

func TestAnInvalidConfigurationEndsWithCode78AndNamesEveryVariable(t *testing.T) {
	for _, args := range [][]string{{}, {"serve"}, {"migrate"}, {"healthcheck"}} {
		code, _, errs := command(t, []string{"ENVIRONMENT=production", "PORT=many", "LOG_LEVEL=loud"}, args...)
		if code != 78 {
			t.Errorf("%v: exit code %d", args, code)
		}
		for _, name := range []string{"PORT", "LOG_LEVEL", "JWT_SECRET", "API_KEY_PEPPER", "DATA_KEY", "LIVEKIT_HOST"} {
			if !strings.Contains(errs, name) {
				t.Errorf("%v: %s is not named:\n%s", args, name, errs)
			}
		}
	}
}

func TestADatabaseTheOperatorMustCorrectEndsWithCode78AndTheReason(t *testing.T) {
	dir := t.TempDir()
	notADatabase := filepath.Join(dir, "pulse.db")
	if err := os.WriteFile(notADatabase, []byte(strings.Repeat("text ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for reason, setting := range map[string]string{
		"is not a database of Pulse": "DATA_DIR=" + dir,
		"maxPoolSize":                "MONGO_URI=mongodb://127.0.0.1:1/?maxPoolSize=many",
		"unacknowledged writes":      "MONGO_URI=mongodb://127.0.0.1:1/?w=0",
	} {
		for _, name := range []string{"serve", "migrate"} {
			code, _, errs := command(t, append(settings(t.TempDir()), setting), name)
			if code != exitConfig || !strings.Contains(errs, reason) || strings.Contains(errs, "our side") {
				t.Errorf("%s with %s: exit code %d, want %d and %q:\n%s", name, setting, code, exitConfig, reason, errs)
			}
		}
	}
}

// subCommands are all of them, with the arguments they need.
func subCommands() [][]string {
	return [][]string{{"serve"}, {"migrate"}, {"healthcheck"}, {"audit"}, {"audit", "verify"}, {"version"},
		{"backup"}, {"restore"}, {"compact"}, {"rekey"}}
}

func TestHelpOfEachCommandDescribesItAndEndsWithCode0(t *testing.T) {
	for _, flag := range []string{"-h", "--help", "-help"} {
		for _, sub := range append(subCommands(), []string{}) {
			code, out, errs := command(t, nil, append(sub, flag)...)
			if code != exitOK || !strings.Contains(out, "USAGE:\n   pulse-control-plane "+strings.Join(sub, " ")) || errs != "" {
				t.Errorf("%v %s: exit code %d: %s%s", sub, flag, code, out, errs)
			}
		}
	}
	if code, out, _ := command(t, nil, "help", "serve"); code != exitOK || !strings.Contains(out, "USAGE:") {
		t.Errorf("help serve: exit code %d: %s", code, out)
	}
}

func TestAWrongCommandLineEndsWithCode64AndIsQuoted(t *testing.T) {
	wrong := map[string][]string{
		`"fly"`: {"fly"}, `"now"`: {"serve", "now"}, `"x"`: {"version", "x"}, `"prove"`: {"audit", "prove", "a"}, "command is missing": {"audit"},
		"expected FILE\n": {"backup"}, "expected FILE": {"audit", "verify"}, "expected FILE and": {"audit", "verify", "a", "b", "c"},
	}
	for quoted, args := range wrong {
		if code, out, errs := command(t, nil, args...); code != 64 || !strings.Contains(errs, quoted) || !strings.Contains(errs, "--help") || out != "" {
			t.Errorf("%v: exit code %d: %s%s", args, code, out, errs)
		}
	}
	for _, sub := range append(subCommands(), []string{}) {
		if code, out, errs := command(t, nil, append(sub, "--port=1")...); code != 64 || !strings.Contains(errs, "port") || out != "" {
			t.Errorf("%v with a flag it does not have: exit code %d: %s%s", sub, code, out, errs)
		}
	}
}

func TestTheVersionIsTheSameInEveryForm(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}, {"-version"}, {"-v"}} {
		if code, out, errs := command(t, nil, args...); code != exitOK || out != buildVersion()+"\n" || errs != "" {
			t.Errorf("%v: exit code %d: %s%s", args, code, out, errs)
		}
	}
}

func TestTheDevelopmentLogHasStatusAndPathFirstAndNoColoursOrDebugOutput(t *testing.T) {
	command := exec.Command(os.Args[0], "serve")
	command.Dir = t.TempDir()
	command.Env = []string{"DATA_DIR=" + t.TempDir(), "PORT=0", "PATH=" + os.Getenv("PATH"), asServer + "=1"}
	s := subprocess.Start(t, command)
	address := regexp.MustCompile(`INF serving address=(\S+) `)
	s.Await(t, func(line []byte) bool { return address.Match(line) })
	get(t, "http://"+address.FindStringSubmatch(s.Log())[1]+"/nowhere")
	s.Await(t, func(line []byte) bool {
		return regexp.MustCompile(`^\d\d:\d\d:\d\d WRN 404 GET /nowhere request `).Match(line)
	})
	if strings.ContainsAny(s.Log(), "\x1b") || strings.Contains(s.Log(), "GIN") {
		t.Error(s.Log())
	}
}

func TestMigrateLeavesADatabaseThatServes(t *testing.T) {
	dir := t.TempDir()
	if code, _, errs := command(t, settings(dir), "migrate"); code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "pulse.db")); err != nil {
		t.Fatal(err)
	}
	signUp(t, start(t, dir).URL, "a@example.com")
}

func TestHealthcheckReportsWhetherTheServerAnswers(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	environ := settings(dir, "PORT="+s.URL[strings.LastIndexByte(s.URL, ':')+1:])
	if code, _, errs := command(t, environ, "healthcheck"); code != exitOK {
		t.Errorf("a server that answers: exit code %d: %s", code, errs)
	}
	s.Signal(t, os.Kill)
	s.Wait(t)
	if code, _, errs := command(t, environ, "healthcheck"); code != exitFailed {
		t.Errorf("no server: exit code %d: %s", code, errs)
	}
}

func TestRedisIsAmongTheComponentsWhenItIsSet(t *testing.T) {
	redis := miniredis.RunT(t)
	s := start(t, t.TempDir(), "REDIS_URL=redis://"+redis.Addr())
	if code, body := get(t, s.URL+"/health/ready"); code != http.StatusOK || !strings.Contains(body, `"name":"redis","status":"operational"`) {
		t.Errorf("%d %s", code, body)
	}
}

func TestAuditVerifyDistinguishesAnIntactExportFromAChangedOrTruncatedOne(t *testing.T) {
	s := start(t, t.TempDir())
	_, body := post(t, s.URL+"/v1/organizations", `{"name":"Acme","admin_email":"a@example.com","password":"correct horse battery"}`)
	_, token, _ := strings.Cut(body, `"access_token":"`)
	bearer := []string{"Authorization", "Bearer " + token[:strings.IndexByte(token, '"')]}
	for _, name := range []string{"one", "two", "three"} {
		if code, body := post(t, s.URL+"/v1/projects", `{"name":"`+name+`"}`, bearer...); code != http.StatusCreated {
			t.Fatalf("%d %s", code, body)
		}
	}
	_, verified := get(t, s.URL+"/v1/audit-logs/verify", bearer...)
	_, head, _ := strings.Cut(verified, `"head_hash":"`)
	head, _, _ = strings.Cut(head, `"`)
	_, intact := get(t, s.URL+"/v1/audit-logs/export?format=jsonl", bearer...)
	lines := strings.SplitAfter(strings.TrimSuffix(intact, "\n"), "\n") // four entries and the trailer
	if len(head) != 64 || len(lines) != 5 || !strings.Contains(intact, `"name":"two"`) {
		t.Fatal(verified, intact)
	}
	for name, c := range map[string]struct {
		export string
		head   []string
		code   int
		says   string
	}{
		"intact":              {intact, nil, exitOK, "4 entries, unchanged"},
		"intact, head known":  {intact, []string{head}, exitOK, head},
		"intact, not the end": {intact, []string{strings.Repeat("0", 64)}, exitFailed, "the last entry has the hash"},
		"changed":             {strings.Replace(intact, `"name":"two"`, `"name":"2"`, 1), nil, exitFailed, "verification failed: line 3: entry 3 was changed"},
		"removed":             {lines[0] + lines[2] + lines[3] + lines[4], nil, exitFailed, "missing"},
		"reordered":           {lines[0] + lines[2] + lines[1] + lines[3] + lines[4], nil, exitFailed, "out of order"},
		"truncated":           {lines[0] + lines[1] + lines[2], nil, exitFailed, "incomplete"},
		"truncated in a line": {intact[:len(intact)/2], nil, exitFailed, "line 3"},
		"empty":               {"", nil, exitFailed, "incomplete"},
	} {
		file := filepath.Join(t.TempDir(), "audit.jsonl")
		if err := os.WriteFile(file, []byte(c.export), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, errs := command(t, nil, append([]string{"audit", "verify", file}, c.head...)...)
		if code != c.code || !strings.Contains(out+errs, c.says) || (out == "") != (code != exitOK) || (errs == "") != (code == exitOK) {
			t.Errorf("%s: exit code %d, want %d; it says %s%s", name, code, c.code, out, errs)
		}
	}
	if code, _, errs := command(t, nil, "audit", "verify", filepath.Join(t.TempDir(), "none")); code != 66 || errs == "" {
		t.Errorf("no file: exit code %d: %s", code, errs)
	}
}

func TestWhileItsDatabaseIsMissingItListensAndSaysThatItIsNotReady(t *testing.T) {
	s := startUntil(t, "listening; opening the database", t.TempDir(), "MONGO_URI=mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200")
	for path, want := range map[string]int{"/health": 200, "/health/ready": 503, "/v1/config": 503, "/v1/status": 503, "/": 503, "/nothing": 503, "/metrics": 503} {
		if code, body := get(t, s.URL+path); code != want || want == 503 && path != "/health/ready" && !strings.Contains(body, `"code":"service_unavailable"`) {
			t.Errorf("%s answers %d %s", path, code, body)
		}
	}
	if _, body := get(t, s.URL+"/health/ready"); !strings.Contains(body, `"name":"database","status":"down"`) {
		t.Errorf("not ready because of %s", body)
	}
	response, err := http.Post(s.URL+"/v1/tokens/create", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 503 || response.Header.Get("Retry-After") == "" || response.Header.Get("X-Request-Id") == "" {
		t.Errorf("got %d %v", response.StatusCode, response.Header)
	}
	s.Signal(t, syscall.SIGTERM)
	if code := s.Wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, s.Log())
	}
}
