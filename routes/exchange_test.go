package routes_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// exchangeBody is what an app sends to be let into a room.
const exchangeBody = `{"room_name":"standup","participant_identity":"alice"}`

// exchange is one request for a token that can be sent again and again, so
// that what is measured is the stack's and not the test's.
type exchange struct {
	s       *server
	request *http.Request
	body    *strings.Reader
	answer  unread
}

func newExchange(s *server, how with) *exchange {
	x := &exchange{s: s, body: strings.NewReader(exchangeBody), answer: unread{header: http.Header{}}}
	x.request = httptest.NewRequest(http.MethodPost, "/v1/tokens/create", nil)
	x.request.Header.Set("Content-Type", "application/json")
	x.request.ContentLength, x.request.Body = int64(len(exchangeBody)), io.NopCloser(x.body)
	how(x.request)
	return x
}

func (x *exchange) send() {
	x.body.Reset(exchangeBody)
	x.request.Body = io.NopCloser(x.body)
	clear(x.answer.header)
	x.s.handler.ServeHTTP(&x.answer, x.request)
	x.s.log.Reset()
	if x.answer.status != http.StatusCreated {
		x.s.t.Fatalf("got %d, want 201", x.answer.status)
	}
}

// unread is an answer of which only the status is kept.
type unread struct {
	header http.Header
	status int
}

func (w *unread) Header() http.Header         { return w.header }
func (w *unread) WriteHeader(status int)      { w.status = status }
func (w *unread) Write(p []byte) (int, error) { return len(p), nil }

// exchanges are the two grades of caller.
func exchanges(s *server) map[string]*exchange {
	t := s.tenant("acme")
	return map[string]*exchange{
		"key":            newExchange(s, asKey(t.key)),
		"key_and_secret": newExchange(s, asServer(t.key, t.secret)),
	}
}

// BenchmarkTokenExchange is the whole stack without the connection: every
// middleware, the log line, the metrics. `make bench` measures the same over
// real connections.
func BenchmarkTokenExchange(b *testing.B) {
	for name, x := range exchanges(newServer(b)) {
		b.Run(name, func(b *testing.B) {
			x.send()
			b.ReportAllocs()
			for b.Loop() {
				x.send()
			}
		})
	}
}

// BenchmarkLimitedKey sends requests for tokens with two keys by turns, so that
// whatever else the machine does slows both: one may do everything from
// anywhere, the other has scopes and allowed addresses. What it reports in
// percent, the median of the rounds, is how much more a request of the second
// costs; the goal is at most 5.
func BenchmarkLimitedKey(b *testing.B) {
	const perRound = 50
	s := newServer(b)
	own := s.tenant("acme")
	limited := s.newKey(own, map[string]any{"scopes": []string{"rooms:read", "usage:read", "tokens:create"},
		"allowed_ips": []string{"10.0.0.0/8", "2001:db8::/32", "192.0.2.0/24"}}) // the last is httptest's
	plain, held := newExchange(s, own.asOwn), newExchange(s, asPair(limited))
	round := func(x *exchange) time.Duration {
		start := time.Now()
		for range perRound {
			x.send()
		}
		return time.Since(start)
	}
	round(plain)
	round(held)
	var ratios []float64
	for first := true; b.Loop(); first = !first {
		var without, with time.Duration
		if first {
			without, with = round(plain), round(held)
		} else {
			with, without = round(held), round(plain)
		}
		ratios = append(ratios, float64(with)/float64(without))
	}
	slices.Sort(ratios)
	b.ReportMetric((ratios[len(ratios)/2]-1)*100, "%more")
}

func TestTheRightSecretIsNoGuessHoweverManyShowItAtOnce(t *testing.T) {
	// Dear enough that all have come before the first check ends.
	s := newServer(t, func(o *setup) { o.bcryptCost = 10 })
	own := s.tenant("acme").asOwn
	const callers = 64 // more than may guess in a minute
	answers := make([]unread, callers)
	var all sync.WaitGroup
	for i := range answers {
		r := httptest.NewRequest(http.MethodPost, "/v1/tokens/create", nil)
		own(r)
		answers[i].header = http.Header{}
		all.Go(func() { s.handler.ServeHTTP(&answers[i], r) })
	}
	all.Wait()
	for _, a := range answers {
		if a.status != http.StatusCreated {
			t.Fatalf("got %d, want 201", a.status)
		}
	}
}
