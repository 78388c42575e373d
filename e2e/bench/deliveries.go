package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	// deliveryRate is how many of LiveKit's events a second come in while deliveries are counted, and calmRate while their latency
	// is measured.
	deliveryRate = 1000
	calmRate     = 50
	// deliveryTimeout is how long after the last event was due every delivery must have come.
	deliveryTimeout = time.Minute
)

// receiver takes deliveries over TLS and notes when each person's first one came.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	came  map[string]time.Time
	twice int
}

func newReceiver() *receiver {
	r := &receiver{came: map[string]time.Time{}}
	r.Server = httptest.NewTLSServer(r)
	return r
}

// ServeHTTP takes a delivery.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	now := time.Now()
	body, err := io.ReadAll(q.Body)
	var event struct {
		Data struct {
			ParticipantIdentity string `json:"participant_identity"`
		} `json:"data"`
	}
	if err != nil || json.Unmarshal(body, &event) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.came[event.Data.ParticipantIdentity]; known {
		r.twice++
		return
	}
	r.came[event.Data.ParticipantIdentity] = now
}

// count is how many came, and when the last did.
func (r *receiver) count() (n int, last time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range r.came {
		if at.After(last) {
			last = at
		}
	}
	return len(r.came), last
}

// deliveries measures the way of LiveKit's events to a fast receiver, each round on a database of its own.
func deliveries(ctx context.Context, o options, dir, pulse string) ([]row, error) {
	var perSecond, median50 []float64
	for round := range o.events.rounds {
		many, half, err := deliver(ctx, o.events.duration, filepath.Join(dir, fmt.Sprintf("deliveries-%d", round)), pulse)
		if err != nil {
			return nil, fmt.Errorf("deliveries: %w", err)
		}
		say(fmt.Sprintf("round %d of %d: %-28s %8.0f/s  p50 at %d/s %6.2f ms", round+1, o.events.rounds, "deliveries", many, calmRate, half))
		perSecond, median50 = append(perSecond, many), append(median50, half)
	}
	many, half := median(perSecond), median(median50)
	return []row{
		{what: fmt.Sprintf("Deliveries to one endpoint over TLS while %d LiveKit events a second come in", deliveryRate),
			pulse: number(many) + "/s", value: many, unit: "/s", goal: atLeast(500)},
		{what: fmt.Sprintf("LiveKit event in to receiver, median at %d/s", calmRate), pulse: number(half) + " ms", value: half, unit: " ms", goal: atMost(50)},
	}, nil
}

// deliver runs one round: deliveries a second, and the median of the time from when an event was due to be sent until it
// was at the receiver, in milliseconds.
func deliver(ctx context.Context, duration time.Duration, dir, pulse string) (perSecond, half float64, err error) {
	to := newReceiver()
	defer to.Close()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, 0, err
	}
	roots := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: to.Certificate().Raw}), 0o600); err != nil {
		return 0, 0, err
	}
	s, err := startPulse(ctx, pulse, dir, filepath.Join(dir, "data"), "WEBHOOK_ALLOW_PRIVATE=true", "SSL_CERT_FILE="+roots)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	project, err := s.newPair(ctx)
	if err != nil {
		return 0, 0, err
	}
	if err := s.newEndpoint(ctx, project, `{"url":"`+to.URL+`"}`); err != nil {
		return 0, 0, err
	}
	first := int(duration.Seconds() * deliveryRate)
	began, _, err := joins(ctx, s, to, project.Project.ID, eventLoad{rate: deliveryRate, duration: duration, connections: 32}, 0, first)
	if err != nil {
		return 0, 0, err
	}
	_, last := to.count()
	perSecond = float64(first) / last.Sub(began).Seconds()
	calm := int(duration.Seconds() * calmRate)
	began, _, err = joins(ctx, s, to, project.Project.ID, eventLoad{rate: calmRate, duration: duration, connections: 4}, first, calm)
	if err != nil {
		return 0, 0, err
	}
	took := make([]time.Duration, 0, calm)
	for n := range calm {
		due := began.Add(time.Duration(n) * time.Second / calmRate)
		took = append(took, to.came[person(first+n)].Sub(due))
	}
	slices.Sort(took)
	return perSecond, float64(took[calm/2].Microseconds()) / 1000, nil
}

func person(n int) string { return fmt.Sprintf("somebody-%d", n) }

// joins sends so many people's joins and waits until each was delivered.
func joins(ctx context.Context, s *server, to *receiver, project string, l eventLoad, from, count int) (began time.Time, took []time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.duration+deliveryTimeout)
	defer cancel()
	hour := time.Now().UTC().Truncate(time.Hour).Add(-2 * time.Hour)
	requests := make([][]byte, count)
	for n := range requests {
		if requests[n], err = signedEvent(s.address, eventBody(project, hour, "participant_joined", from+n, from+n), l.duration+signedFor); err != nil {
			return began, nil, err
		}
	}
	if began, took, err = l.send(ctx, s.address, requests); err != nil {
		return began, nil, err
	}
	for {
		got, _ := to.count()
		if got >= from+count {
			return began, took, nil
		}
		if err := pause(ctx, workPoll); err != nil {
			return began, nil, fmt.Errorf("%d of %d deliveries came: %w", got, from+count, err)
		}
	}
}
