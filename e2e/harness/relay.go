package harness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// webhookLimit bounds the body of a webhook; the product itself refuses more than 256 KiB.
const webhookLimit = 1 << 20

// relayTimeout bounds one request to the product.
const relayTimeout = 10 * time.Second

// Webhook is one request of LiveKit as it arrived.
type Webhook struct {
	Header http.Header // Authorization is the JWT that signs Body
	Body   []byte
}

// WebhookRelay is between LiveKit and the product, so that LiveKit can be given a URL before the product has one, and tests
// can record, lose and repeat webhooks.
type WebhookRelay struct {
	// URL is the one for LiveKit.
	URL string

	client *http.Client

	mu     sync.Mutex
	target string
	cut    bool
	times  int
	seen   []Webhook
	lost   []Webhook
}

// StartWebhookRelay listens on loopback until the test ends. Without a target ([WebhookRelay.ForwardTo]) every webhook gets
// 200 and is kept for [WebhookRelay.Seen].
func StartWebhookRelay(t testing.TB) *WebhookRelay {
	t.Helper()
	r := &WebhookRelay{times: 1, client: &http.Client{Timeout: relayTimeout}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// ForwardTo forwards every webhook from now on to url and returns its response to LiveKit.
func (r *WebhookRelay) ForwardTo(url string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = url
}

// Cut makes every webhook fail from now on, as if the network between LiveKit and the product were down, until it is
// called with false. LiveKit gives an event up after about 15 s.
func (r *WebhookRelay) Cut(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
}

// Repeat forwards every webhook that many times from now on, as LiveKit does when a response is lost.
func (r *WebhookRelay) Repeat(times int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times = times
}

// Seen are all webhooks that were not cut, in order of arrival.
func (r *WebhookRelay) Seen() []Webhook {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// Lost are all attempts that were cut, in order of arrival: one event several times.
func (r *WebhookRelay) Lost() []Webhook {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lost)
}

// ServeHTTP receives one webhook from LiveKit.
func (r *WebhookRelay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(io.LimitReader(req.Body, webhookLimit))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	hook := Webhook{Header: req.Header.Clone(), Body: body}
	r.mu.Lock()
	target, cut, times := r.target, r.cut, r.times
	if cut {
		r.lost = append(r.lost, hook)
	} else {
		r.seen = append(r.seen, hook)
	}
	r.mu.Unlock()
	if cut {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	status := http.StatusOK
	for range times {
		if target == "" {
			break
		}
		if status, err = r.forward(req.Context(), target, hook); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	w.WriteHeader(status)
}

func (r *WebhookRelay) forward(ctx context.Context, target string, hook Webhook) (int, error) {
	out, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(hook.Body))
	if err != nil {
		return 0, fmt.Errorf("make the request to the product: %w", err)
	}
	out.Header = hook.Header.Clone()
	res, err := r.client.Do(out)
	if err != nil {
		return 0, fmt.Errorf("forward a webhook to the product: %w", err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, webhookLimit)); err != nil {
		return 0, fmt.Errorf("read the product's response: %w", err)
	}
	return res.StatusCode, nil
}
