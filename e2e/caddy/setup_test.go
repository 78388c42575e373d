package caddy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
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

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"      // reads a Caddyfile
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"              // and the modules that it names
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy" //
	_ "github.com/caddyserver/caddy/v2/modules/caddypki"               //
	_ "github.com/caddyserver/caddy/v2/modules/caddytls"               //
	_ "github.com/caddyserver/caddy/v2/modules/caddytls/standardstek"  //
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"            //
)

const liveKitKey, liveKitSecret = "devkey", "secret-of-livekit-in-the-tests-0123456789"

// log is what Pulse writes.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// installation is Pulse behind Caddy.
type installation struct {
	// url leads to Caddy, direct to Pulse.
	url, direct string
	log         *log
	roots       *x509.CertPool
	caddy       string // its address
}

var shared installation

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "pulse-caddy-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		stop, err := start(dir)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			if shared.log != nil {
				fmt.Fprintln(os.Stderr, shared.log)
			}
			return 1
		}
		defer stop()
		return m.Run()
	}())
}

// start builds and starts Pulse and Caddy.
func start(dir string) (stop func(), err error) {
	binary := filepath.Join(dir, "pulse-control-plane")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, ".")
	build.Dir, build.Env = "../..", append(os.Environ(), "GOFLAGS=-trimpath", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	ports := make([]int, 3)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
		l.Close()
	}
	ctx, cancel := context.WithCancel(context.Background())
	shared = installation{log: new(log), direct: fmt.Sprintf("http://127.0.0.1:%d", ports[0]), caddy: fmt.Sprintf("127.0.0.1:%d", ports[1])}
	shared.url = fmt.Sprintf("https://localhost:%d", ports[1])
	pulse := exec.CommandContext(ctx, binary)
	pulse.Dir, pulse.Stdout, pulse.Stderr = dir, shared.log, shared.log
	pulse.Env = []string{"HOST=127.0.0.1", fmt.Sprintf("PORT=%d", ports[0]), "LOG_FORMAT=json", "BCRYPT_COST=4", "TRUSTED_PROXIES=127.0.0.1",
		"LIVEKIT_HOST=ws://127.0.0.1:1", "LIVEKIT_API_KEY=" + liveKitKey, "LIVEKIT_API_SECRET=" + liveKitSecret}
	if err := pulse.Start(); err != nil {
		cancel()
		return nil, err
	}
	stop = func() {
		_ = caddy.Stop() // the process ends anyway
		cancel()
		_ = pulse.Wait() // it was killed
	}
	if err := errors.Join(proxy(dir, ports), shared.ready()); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// proxy runs deploy/Caddyfile as it is. Options before it keep Caddy on loopback, on
// free ports and in a folder of the test; for localhost it makes certificates itself.
func proxy(dir string, ports []int) error {
	file, err := os.ReadFile("../../deploy/Caddyfile")
	if err != nil {
		return err
	}
	options := fmt.Sprintf("{\n\tadmin off\n\tpersist_config off\n\tskip_install_trust\n\tdefault_bind 127.0.0.1\n\thttps_port %d\n\thttp_port %d\n\tstorage file_system %s\n}\n",
		ports[1], ports[2], filepath.Join(dir, "caddy"))
	for name, value := range map[string]string{"PULSE_DOMAIN": "localhost", "LIVEKIT_DOMAIN": "livekit.localhost",
		"PULSE_UPSTREAM": strings.TrimPrefix(shared.direct, "http://"), "LIVEKIT_UPSTREAM": "127.0.0.1:1"} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(options+string(file)), nil)
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			err = errors.Join(err, errors.New(w.String()))
		}
	}
	if err != nil {
		return err
	}
	if err := caddy.Load(config, false); err != nil {
		return err
	}
	root, err := os.ReadFile(filepath.Join(dir, "caddy", "pki", "authorities", "local", "root.crt"))
	if err != nil {
		return err
	}
	shared.roots = x509.NewCertPool()
	if !shared.roots.AppendCertsFromPEM(root) {
		return errors.New("no certificate")
	}
	return nil
}

// ready waits until Pulse answers through Caddy.
func (i *installation) ready() error {
	deadline := time.Now().Add(time.Minute)
	for {
		res, err := i.client("127.0.0.1").Get(i.url + "/health/ready")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(res.Status)
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// client is one at an address of its own within loopback.
func (i *installation) client(address string) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 10 * time.Second}
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, strings.Replace(to, "localhost", "127.0.0.1", 1))
		},
		TLSClientConfig: &tls.Config{RootCAs: i.roots},
	}}
}
