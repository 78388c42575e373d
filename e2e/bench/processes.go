package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 15 * time.Second
	pollInterval = time.Millisecond

	clusterKey    = "APIbench0000"
	clusterSecret = "bench-cluster-secret-8f2c61d07b3a49e5"
)

// credentials are those of the cluster, for both sides, and of the installation. They guard nothing: every process
// listens on loopback for the length of the run.
func credentials() []string {
	return []string{
		"LIVEKIT_HOST=wss://livekit.example.com", "LIVEKIT_API_KEY=" + clusterKey,
		"LIVEKIT_API_SECRET=" + clusterSecret, "JWT_SECRET=bench-jwt-signing-9d41c7e25f8b4a06b3",
		"API_KEY_PEPPER=bench-pepper-of-keys-5e0a92d84c7f41b6", "DATA_KEY=mN8vQ2xR5tY7wZ1aB3cD6eF9gH0jK4lP8oS2uV5xW7Y=",
	}
}

// buildBinary builds a package of the module at dir as `make build` does: stripped, without cgo and msgpack.
func buildBinary(ctx context.Context, dir, pkg, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "nomsgpack", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, text)
	}
	return nil
}

// server is a running side of the comparison.
type server struct {
	address string
	// startup is the time from its start to its first answer on /health.
	startup time.Duration
	cmd     *exec.Cmd
	done    chan error
}

// startBare starts the bare handler, which prints its address.
func startBare(ctx context.Context, binary, dir string) (*server, error) {
	return start(ctx, binary, filepath.Join(dir, "bare.log"), credentials(), func(log []byte) string {
		line, _, whole := bytes.Cut(log, []byte("\n"))
		if !whole {
			return ""
		}
		return string(line)
	})
}

// startPulse starts the product as in production, on a database in data, with its log going to a file, limits off and more settings.
func startPulse(ctx context.Context, binary, dir, data string, more ...string) (*server, error) {
	env := append(credentials(), "ENVIRONMENT=production", "HOST=127.0.0.1", "PORT=0", "DATA_DIR="+data,
		"RATE_LIMIT_IP_PER_MINUTE=0", "RATE_LIMIT_PROJECT_PER_MINUTE=0")
	env = append(env, more...)
	if profiles := os.Getenv("PPROF_ADDRESS"); profiles != "" {
		env = append(env, "PPROF_ADDRESS="+profiles)
	}
	s, err := start(ctx, binary, filepath.Join(dir, "pulse.log"), env, func(log []byte) string {
		for line := range bytes.Lines(log) {
			var said struct{ Message, Address string }
			if json.Unmarshal(line, &said) == nil && said.Message == "serving" {
				return said.Address
			}
		}
		return ""
	})
	return s, err
}

// start runs a binary with its output in a file until address finds in it where the server listens, and it answers
// there. Only the environment given reaches it.
func start(ctx context.Context, binary, log string, env []string, address func([]byte) string) (*server, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own
	s := &server{cmd: exec.Command(binary), done: make(chan error, 1)}
	s.cmd.Env, s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = env, filepath.Dir(log), out, out
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.done <- s.cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(log)
		if err != nil {
			return nil, errors.Join(err, s.stop())
		}
		if s.address = address(text); s.address != "" && s.answers(ctx) {
			s.startup = time.Since(began)
			return s, nil
		}
		select {
		case err := <-s.done:
			return nil, fmt.Errorf("%s ended: %w\n%s", binary, err, text)
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s does not answer: %w\n%s", binary, ctx.Err(), text[max(0, len(text)-2000):]), s.stop())
		case <-tick.C:
		}
	}
}

func (s *server) answers(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/health", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode < http.StatusInternalServerError // the bare handler knows no GET
}

// stop ends the server as a supervisor does.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return nil // it has ended
	}
	select {
	case <-s.done:
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(errors.New("the server did not end"), s.cmd.Process.Kill())
	}
}

// residentMB is the memory that the server holds, in MB (10⁶ bytes).
func (s *server) residentMB() (float64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib * 1024 / 1e6, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

// ticksPerSecond is USER_HZ, in which Linux accounts CPU time to processes (proc(5)); it is 100 on every architecture.
const ticksPerSecond = 100

// cpuSeconds is the CPU time that the server has used, of user and system, by the kernel's account. Load of others on the
// machine makes it wait, not work, so this is steadier than throughput.
func (s *server) cpuSeconds() (float64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(text, []byte(") ")) // after the name, which may hold anything
	words := strings.Fields(string(rest))
	if len(words) < 13 {
		return 0, errors.New("no CPU time in /proc")
	}
	user, err := strconv.ParseFloat(words[11], 64) // utime is field 14, stime 15
	system, other := strconv.ParseFloat(words[12], 64)
	return (user + system) / ticksPerSecond, errors.Join(err, other)
}

// pair is a project's key and secret, and which project's.
type pair struct {
	Project struct {
		ID string `json:"id"`
	} `json:"project"`
	Key    string `json:"pulse_api_key"`
	Secret string `json:"pulse_api_secret"`
}

// signUp makes an organization through the API and gives its owner's access token.
func (s *server) signUp(ctx context.Context) (string, error) {
	var account struct {
		Session struct {
			AccessToken string `json:"access_token"`
		} `json:"session"`
	}
	err := s.post(ctx, "/v1/organizations", "",
		`{"name":"Bench","admin_email":"bench@example.com","password":"correct horse battery"}`, &account)
	return account.Session.AccessToken, err
}

// newProject makes a project of the organization whose owner has the token.
func (s *server) newProject(ctx context.Context, token string) (made pair, err error) {
	err = s.post(ctx, "/v1/projects", token, `{"name":"Bench"}`, &made)
	return made, err
}

// newPair signs up and makes a project through the API.
func (s *server) newPair(ctx context.Context) (pair, error) {
	token, err := s.signUp(ctx)
	if err != nil {
		return pair{}, err
	}
	return s.newProject(ctx, token)
}

// newEndpoint makes a webhook endpoint of a project.
func (s *server) newEndpoint(ctx context.Context, of pair, body string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+"/v1/webhooks/endpoints", strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.SetBasicAuth(of.Key, of.Secret)
	return ask(request, http.StatusCreated, &struct{}{})
}

func (s *server) post(ctx context.Context, path, token, body string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return ask(request, http.StatusCreated, into)
}

// get asks as a project.
func (s *server) get(ctx context.Context, path string, as pair, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+path, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("X-Pulse-Key", as.Key)
	request.Header.Set("X-Pulse-Secret", as.Secret)
	return ask(request, http.StatusOK, into)
}

// ask reads the JSON of an answer, which must have that status.
func ask(request *http.Request, status int, into any) error {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != status {
		return fmt.Errorf("%s %s answers %s: %s", request.Method, request.URL.Path, response.Status, answer)
	}
	return json.Unmarshal(answer, into)
}
