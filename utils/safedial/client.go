package safedial

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"time"
)

// ErrTooLarge is what reading an answer beyond MaxResponse ends with; what was
// read before is sound.
var ErrTooLarge = errors.New("the answer is too large")

// ClientOptions bound an exchange.
type ClientOptions struct {
	// Timeout bounds an exchange in all: look-up, connecting, sending and
	// reading the answer; zero: 15 s.
	Timeout time.Duration
	// MaxResponse bounds the body of an answer, in bytes; zero: 64 KiB.
	MaxResponse int64
	// RootCAs are who certificates are verified by; nil: the system's.
	RootCAs *x509.CertPool
	// MaxConnsPerHost bounds connections to one target; zero: 8.
	MaxConnsPerHost int
}

const maxHeaderBytes = 32 << 10

// NewClient makes an HTTP client that reaches only what the options allow,
// whatever a target's name resolves to when it connects. A redirect is given
// back as the answer it is.
func NewClient(o Options) *http.Client {
	g := New(o)
	c := o.Client
	if c.Timeout <= 0 {
		c.Timeout = 15 * time.Second
	}
	if c.MaxResponse <= 0 {
		c.MaxResponse = 64 << 10
	}
	if c.MaxConnsPerHost <= 0 {
		c.MaxConnsPerHost = 8
	}
	return &http.Client{
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &transport{guard: g, max: c.MaxResponse, base: &http.Transport{
			Proxy:                  nil,
			DialContext:            g.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
			TLSHandshakeTimeout:    g.o.DialTimeout,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // what is bounded is what came
			MaxIdleConns:           256,
			MaxIdleConnsPerHost:    c.MaxConnsPerHost,
			MaxConnsPerHost:        c.MaxConnsPerHost,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxHeaderBytes,
		}},
	}
}

// transport checks a URL before anything is done with it, and bounds answers.
type transport struct {
	guard *Guard
	max   int64
	base  *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.guard.checkParts(r.URL); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // as a RoundTripper must
		}
		return nil, err
	}
	answer, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	// Upgraded connections are no answers and would not be bounded.
	if answer.StatusCode == http.StatusSwitchingProtocols {
		_ = answer.Body.Close()
		return nil, errors.New("the target switched protocols")
	}
	answer.Body = &bounded{body: answer.Body, left: t.max}
	return answer, nil
}

// CloseIdleConnections lets http.Client's reach the transport.
func (t *transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

// bounded reads so many bytes of a body, and then ends with ErrTooLarge if
// there are more.
type bounded struct {
	body io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.left == 0 {
		var one [1]byte
		n, err := b.body.Read(one[:])
		if n > 0 {
			return 0, ErrTooLarge
		}
		return 0, err
	}
	n, err := b.body.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// Close implements io.Closer.
func (b *bounded) Close() error { return b.body.Close() }
