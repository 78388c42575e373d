package safedial_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pulse-control-plane/utils/safedial"
)

// target is a server on this machine that counts connections.
func target(t *testing.T, h http.HandlerFunc) (server *httptest.Server, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	server = httptest.NewUnstartedServer(h)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server, connections
}

func get(t *testing.T, c *http.Client, address string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(r)
	if err == nil {
		t.Cleanup(func() { _ = answer.Body.Close() })
	}
	return answer, err
}

func open(o safedial.ClientOptions) safedial.Options {
	return safedial.Options{AllowPrivate: true, AllowHTTP: true, Client: o}
}

func TestANameThatChangesBetweenLookUpsReachesNothing(t *testing.T) {
	server, connections := target(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	o := safedial.Options{AllowHTTP: true, Resolver: &resolver{names: names{"rebind.example.com": {{"93.184.215.14"}, {"127.0.0.1"}}}}}
	raw := "http://rebind.example.com:" + port
	if err := safedial.New(o).CheckURL(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, safedial.NewClient(o), raw); !errors.Is(err, safedial.ErrRefused) {
		t.Fatalf("got %v", err)
	}
	if connections.Load() != 0 {
		t.Fatal("it was connected to")
	}
}

func TestAClientConnectsOnlyToAllowedAddresses(t *testing.T) {
	server, connections := target(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	for _, raw := range []string{server.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1), strings.Replace(server.URL, "127.0.0.1", "2130706433", 1)} {
		if _, err := get(t, safedial.NewClient(safedial.Options{AllowHTTP: true}), raw); !errors.Is(err, safedial.ErrRefused) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	if _, err := get(t, safedial.NewClient(safedial.Options{AllowPrivate: true}), server.URL); !errors.Is(err, safedial.ErrURL) {
		t.Errorf("http was used: %v", err)
	}
	if connections.Load() != 0 {
		t.Fatal("it was connected to")
	}
	answer, err := get(t, safedial.NewClient(open(safedial.ClientOptions{})), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "hello" {
		t.Fatalf("%q, %v", body, err)
	}
}

func TestARedirectIsAnAnswerAndIsNotFollowed(t *testing.T) {
	var inside atomic.Int64
	server, _ := target(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/inside" {
			inside.Add(1)
			return
		}
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	client := safedial.NewClient(open(safedial.ClientOptions{}))
	for _, to := range []string{"/inside", server.URL + "/inside", "http://169.254.169.254/latest/meta-data", "http://[64:ff9b::7f00:1]/"} {
		answer, err := get(t, client, server.URL+"/?to="+url.QueryEscape(to))
		if err != nil || answer.StatusCode != http.StatusFound {
			t.Errorf("%s: %v, %v", to, answer, err)
		}
	}
	if inside.Load() != 0 {
		t.Fatal("a redirect was followed")
	}
}

func TestNoProxyIsTakenFromTheEnvironment(t *testing.T) {
	proxy, proxied := target(t, func(http.ResponseWriter, *http.Request) {})
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	server, connections := target(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	o := open(safedial.ClientOptions{})
	o.Resolver = &resolver{names: names{"target.example.com": {{"127.0.0.1"}}}}
	if _, err := get(t, safedial.NewClient(o), "http://target.example.com:"+port); err != nil {
		t.Fatal(err)
	}
	if proxied.Load() != 0 || connections.Load() != 1 {
		t.Fatalf("%d connections to the proxy, %d to the target", proxied.Load(), connections.Load())
	}
}

func TestCertificatesAreVerified(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = nil
	defer server.Close()
	if _, err := get(t, safedial.NewClient(open(safedial.ClientOptions{})), server.URL); err == nil {
		t.Fatal("an unknown certificate was taken")
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client := safedial.NewClient(open(safedial.ClientOptions{RootCAs: roots}))
	if _, err := get(t, client, server.URL); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, client, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)); err == nil {
		t.Fatal("a certificate for another name was taken")
	}
}

func TestAnAnswerIsReadToItsBoundAndNotBeyond(t *testing.T) {
	const most = 64 << 10
	for size, want := range map[int]error{0: nil, 1000: nil, most: nil, most + 1: safedial.ErrTooLarge, 10 * most: safedial.ErrTooLarge} {
		server, _ := target(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) })
		answer, err := get(t, safedial.NewClient(open(safedial.ClientOptions{})), server.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if !errors.Is(err, want) || len(body) != min(size, most) {
			t.Errorf("%d bytes: read %d, %v", size, len(body), err)
		}
	}
}

func TestATargetThatDoesNotFinishIsLeftAfterTheTimeout(t *testing.T) {
	for name, begin := range map[string]bool{"no answer": false, "half a body": true} {
		server, _ := target(t, func(w http.ResponseWriter, r *http.Request) {
			if begin {
				_, _ = io.WriteString(w, "x")
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
		})
		began := time.Now()
		answer, err := get(t, safedial.NewClient(open(safedial.ClientOptions{Timeout: 100 * time.Millisecond})), server.URL)
		if err == nil {
			_, err = io.ReadAll(answer.Body)
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(began) > 10*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(began))
		}
	}
}

func TestHeadersAreBoundedAndUpgradesRefused(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"headers": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Large", strings.Repeat("a", 64<<10)) },
		"upgrade": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "x")
			w.WriteHeader(http.StatusSwitchingProtocols)
		},
	} {
		server, _ := target(t, h)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "x")
		if answer, err := safedial.NewClient(open(safedial.ClientOptions{})).Do(r); err == nil {
			_ = answer.Body.Close()
			t.Errorf("%s: %s", name, answer.Status)
		}
	}
}

func TestAnAddressThatDoesNotAnswerLeavesTimeForTheNext(t *testing.T) {
	server, _ := target(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	o := open(safedial.ClientOptions{})
	// Nothing listens on the port of the first.
	o.Resolver = &resolver{names: names{"two.example.com": {{"127.0.0.2", "127.0.0.1"}}}}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	conn, err := safedial.New(o).DialContext(ctx, "tcp", "two.example.com:"+port)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
