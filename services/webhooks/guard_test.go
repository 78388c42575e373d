package webhooks

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/safedial"
)

// turning is a resolver that gives a public address to the first look-ups and
// this machine to those after.
type turning struct {
	asked  atomic.Int64
	public int64
}

func (r *turning) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if r.asked.Add(1) <= r.public {
		return []netip.Addr{netip.MustParseAddr("93.184.215.14")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// one sends one event to an endpoint that was stored before anything was known of
// its URL, and gives the attempt.
func (r *rig) one(url string) models.Attempt {
	r.t.Helper()
	e, _ := r.endpoint("http://hooks.example.com/")
	if _, err := r.c.Endpoints.Update(r.t.Context(), owner().Tenant(), &e, EndpointChange{URL: &url}, r.clock.Now()); err != nil {
		r.t.Fatal(err)
	}
	r.event(int(r.engine.Writes.Load()), "room.started", "lobby")
	r.work()
	d := r.only(e)
	if d.State != models.DeliveryPending || len(d.Attempts) != 1 {
		r.t.Fatalf("%s: %+v", url, d)
	}
	if err := r.Endpoints.Delete(r.t.Context(), owner(), e.ID); err != nil {
		r.t.Fatal(err)
	}
	return d.Attempts[0]
}

// TestNoSpellingOfAPrivateAddressIsDialed has a server listen on every
// address of this machine; an attempt to it must be refused before it connects,
// and say nothing of what is there.
func TestNoSpellingOfAPrivateAddressIsDialed(t *testing.T) {
	server := newReceiver(t, nil)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	public := &turning{public: 1 << 40}
	r := rigOn(t, testkit.NewEngine(t), testkit.NewClock(), rigOptions{guard: safedial.Options{AllowHTTP: true, Resolver: public}})
	for _, host := range []string{
		"127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.0.0.1.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
		"[::127.0.0.1]", "localhost", "localhost.", "a.localhost", "0.0.0.0", "0", "[::]", "１２７.0.0.1",
		"169.254.169.254", "2852039166", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "100.127.255.255",
		"[fc00::1]", "[fd12::1]", "[fe80::1]", "[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[64:ff9b::169.254.169.254]",
	} {
		got := r.one("http://" + host + ":" + port + "/")
		if got.Error != errorAddress || got.Status != 0 || got.Answer != "" {
			t.Errorf("%s: %+v", host, got)
		}
	}
	// A name that resolves inward, and one that only does so once it was checked.
	public.public = 0
	if got := r.oneUnchecked("http://name.example.com:" + port + "/"); got.Error != errorAddress {
		t.Errorf("a name that resolves inward: %+v", got)
	}
	public.asked.Store(0)
	public.public = 1 // the check when it is made
	if got := r.oneUnchecked("http://rebind.example.com:" + port + "/"); got.Error != errorAddress {
		t.Errorf("a name that changes: %+v", got)
	}
	if len(server.got) != 0 {
		t.Errorf("%d requests reached this machine", len(server.got))
	}
}

// oneUnchecked is one for a URL whose endpoint is made while its name is public.
func (r *rig) oneUnchecked(url string) models.Attempt {
	r.t.Helper()
	now := r.clock.Now()
	e := models.Endpoint{ID: models.EndpointID("whe_" + url), OrgID: testOrg, ProjectID: testkit.Project, Owner: string(testkit.Project), URL: url,
		Events: []string{"*"}, Enabled: true, CreatedAt: now, UpdatedAt: now}
	var err error
	if _, e.Secret, err = r.secrets.fresh(r.t.Context(), e.ID); err != nil {
		r.t.Fatal(err)
	}
	_ = r.c.Guard.CheckURL(r.t.Context(), url)
	if err := r.c.Endpoints.Insert(r.t.Context(), &e); err != nil {
		r.t.Fatal(err)
	}
	r.event(int(r.engine.Writes.Load()), "room.started", "lobby")
	r.work()
	got := r.only(e).Attempts[0]
	if err := r.c.Endpoints.Remove(r.t.Context(), owner().Tenant(), &e, now); err != nil {
		r.t.Fatal(err)
	}
	return got
}

func TestRedirectsToPrivateAddressesAreNotFollowed(t *testing.T) {
	inner := newReceiver(t, nil)
	for _, code := range []int{301, 302, 303, 307, 308} {
		server := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Location", inner.URL)
			w.WriteHeader(code)
		})
		r := newRig(t)
		if got := r.one(server.URL); got.Error != errorRedirect || got.Status != code {
			t.Errorf("%d: %+v", code, got)
		}
	}
	if len(inner.got) > 0 {
		t.Errorf("%d requests followed a redirect", len(inner.got))
	}
}

func TestNoProxyOfTheEnvironmentIsUsed(t *testing.T) {
	proxy, server := newReceiver(t, nil), newReceiver(t, nil)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	r := newRig(t)
	r.endpoint(server.URL)
	r.event(1, "room.started", "lobby")
	r.work()
	if len(proxy.got) != 0 || len(server.got) != 1 {
		t.Errorf("%d requests at the proxy, %d at the server", len(proxy.got), len(server.got))
	}
}

func TestAnUnknownCertificateIsNotTrusted(t *testing.T) {
	r := newRig(t)
	if got := r.one(newTLSServer(t)); got.Error != errorTLS || got.Status != 0 {
		t.Errorf("%+v", got)
	}
}

func TestOnlyTheFirstKiBOfAnAnswerIsStored(t *testing.T) {
	server := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("X-Internal", "secret")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("no\x00\xff\x1b[31m" + strings.Repeat("a", 300<<10)))
	})
	r := newRig(t)
	got := r.one(server.URL)
	if len(got.Answer) > answerKept || !strings.HasPrefix(got.Answer, "no[31ma") || got.Status != http.StatusBadRequest || got.Error != "" {
		t.Errorf("%d bytes: %.40q, %d %s", len(got.Answer), got.Answer, got.Status, got.Error)
	}
}

// TestSlowAnswersEndAtTheDeadlineOfAnAttempt has a client with a tenth of the
// time, against servers that are slow in every part of an answer.
func TestSlowAnswersEndAtTheDeadlineOfAnAttempt(t *testing.T) {
	const timeout = 300 * time.Millisecond
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	trickle := func(w http.ResponseWriter, q *http.Request, _ int) {
		w.WriteHeader(http.StatusOK)
		for {
			_, _ = w.Write([]byte("."))
			_ = http.NewResponseController(w).Flush()
			select {
			case <-q.Context().Done():
				return
			case <-time.After(timeout / 20):
			}
		}
	}
	hang := func(_ http.ResponseWriter, q *http.Request, _ int) { <-q.Context().Done() }
	for name, url := range map[string]string{"a slow body": newReceiver(t, trickle).URL, "no header": newReceiver(t, hang).URL, "slow headers": slowHeaders(t, stop, timeout/20)} {
		o := ClientOptions(safedial.Options{AllowPrivate: true, AllowHTTP: true})
		if o.Client.Timeout != 15*time.Second || o.Client.MaxResponse != 64<<10 {
			t.Fatalf("%+v", o.Client)
		}
		o.Client.Timeout = timeout
		r := rigOn(t, testkit.NewEngine(t), testkit.NewClock(), rigOptions{client: safedial.NewClient(o)})
		began := time.Now()
		got := r.one(url)
		if took := time.Since(began); got.Error != errorTimeout || took > 10*timeout {
			t.Errorf("%s: %+v after %v", name, got, took)
		}
	}
}

func TestABrokenConnectionIsRecordedAsACodeWithoutText(t *testing.T) {
	for name, want := range map[string]struct {
		url  string
		code string
	}{
		"reset":          {rawServer(t, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }), errorClosed},
		"closed":         {rawServer(t, func(net.Conn) {}), errorClosed},
		"in the middle":  {rawServer(t, func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")) }), errorClosed},
		"no HTTP":        {rawServer(t, func(c net.Conn) { _, _ = c.Write([]byte("220 mail.internal ESMTP\r\n")) }), errorNoRequest},
		"nobody listens": {closedPort(t), errorRefused},
		"no such name":   {"http://nothing.invalid/", errorLookup},
		"huge headers":   {rawServer(t, func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 1<<20))) }), errorNoRequest},
		"switch protocols": {rawServer(t, func(c net.Conn) {
			_, _ = c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"))
		}), errorNoRequest},
	} {
		r := newRig(t)
		if got := r.one(want.url); got.Error != want.code || strings.Contains(got.Answer, "internal") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// rawServer answers a request's bytes as it is told, and closes.
func rawServer(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					buffer := make([]byte, r.ContentLength)
					_, _ = r.Body.Read(buffer)
				}
				answer(c)
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/"
}

// slowHeaders never ends its headers.
func slowHeaders(t *testing.T, stop chan struct{}, pause time.Duration) string {
	return rawServer(t, func(c net.Conn) {
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n"))
		for n := 0; ; n++ {
			if _, err := c.Write([]byte("X-" + strconv.Itoa(n) + ": y\r\n")); err != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(pause):
			}
		}
	})
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return "http://" + l.Addr().String() + "/"
}
