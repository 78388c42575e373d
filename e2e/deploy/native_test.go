package deploy_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// output is what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// runs starts a program until the test ends.
func runs(t *testing.T, program string, arguments ...string) *output {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	command, log := exec.CommandContext(ctx, program, arguments...), new(output)
	command.Stdout, command.Stderr, command.Dir = log, log, t.TempDir()
	if err := command.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = command.Wait() // it was killed
		if t.Failed() {
			t.Logf("%s:\n%s", program, log)
		}
	})
	return log
}

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline, tick := time.NewTimer(time.Minute), time.NewTicker(100*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// liveKit is the livekit-server of the end-to-end tests.
func liveKit(t *testing.T) string {
	t.Helper()
	build := exec.Command("go", "run", "./cmd/livekit-build")
	build.Dir, build.Stderr = "..", os.Stderr
	out, err := build.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestRedisAndLiveKitStartWithTheFilesOfCompose starts both as compose does, with the arguments of compose.yaml, the secrets
// of make-secrets.sh and deploy/livekit.yaml; only addresses and ports are this machine's.
func TestRedisAndLiveKitStartWithTheFilesOfCompose(t *testing.T) {
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("%v: install redis-server", err)
	}
	folder, _ := madeSecrets(t)
	project := installation(t)
	redisPort, port, tcp := freePort(t), freePort(t), freePort(t)
	log := runs(t, redis, append(project.Services["redis"].Command[1:], "--bind", "127.0.0.1", "--port", fmt.Sprint(redisPort))...)
	eventually(t, "redis is ready", func() error {
		if !strings.Contains(log.String(), "Ready to accept connections") {
			return fmt.Errorf("%s", log)
		}
		return nil
	})

	text, err := os.ReadFile("../../deploy/livekit.yaml")
	if err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("port: 7880", fmt.Sprintf("port: %d\nbind_addresses: [127.0.0.1]", port), "tcp_port: 7881", fmt.Sprintf("tcp_port: %d", tcp),
		"/run/secrets", folder, "redis:6379", fmt.Sprintf("127.0.0.1:%d", redisPort), "http://pulse:8081", "http://127.0.0.1:1").Replace(string(text))
	file := filepath.Join(t.TempDir(), "livekit.yaml")
	if err := os.WriteFile(file, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	arguments := []string{"--node-ip", "127.0.0.1"}
	for _, a := range project.Services["livekit"].Command {
		arguments = append(arguments, strings.Replace(a, "/etc/livekit.yaml", file, 1))
	}
	runs(t, liveKit(t), arguments...)
	eventually(t, "LiveKit answers", func() error {
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", res.Status)
		}
		return nil
	})
}

// TestEgressAndIngressUseTheRedisAndTheKeyOfLiveKit compares the files, because their programs cannot run here.
func TestEgressAndIngressUseTheRedisAndTheKeyOfLiveKit(t *testing.T) {
	type configuration struct {
		APIKey    string `yaml:"api_key"`
		APISecret string `yaml:"api_secret"`
		URL       string `yaml:"ws_url"`
		Redis     struct{ Address string }
		Webhook   struct {
			APIKey string   `yaml:"api_key"`
			URLs   []string `yaml:"urls"`
		}
		Port int
	}
	read := func(name string) (c configuration) {
		t.Helper()
		text, err := os.ReadFile("../../deploy/" + name)
		if err == nil {
			err = yaml.Unmarshal(text, &c)
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	server, project := read("livekit.yaml"), installation(t)
	for _, name := range []string{"egress", "ingress"} {
		c, service := read(name+".yaml"), project.Services[name]
		if c.APIKey != server.Webhook.APIKey || c.APISecret != "" || c.Redis != server.Redis || c.URL != fmt.Sprintf("ws://livekit:%d", server.Port) {
			t.Errorf("%s: %+v; LiveKit has %+v", name, c, server)
		}
		if !strings.Contains(strings.Join(service.Entrypoint, " "), "/run/secrets/livekit_api_secret") || len(service.Volumes) == 0 {
			t.Errorf("%s gets no secret or no file: %v, %v", name, service.Entrypoint, service.Volumes)
		}
	}
	if len(server.Webhook.URLs) != 1 || server.Webhook.URLs[0] != "http://pulse:8081/v1/webhooks/livekit" {
		t.Errorf("LiveKit's events go to %v", server.Webhook.URLs)
	}
}
