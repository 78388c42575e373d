package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/auth"
)

const (
	// peopleARoom is how many participants a room has, and stay how long each is in it by LiveKit's times.
	peopleARoom = 20
	stay        = 10 * time.Minute
	// signedFor is how long LiveKit's signature of a webhook is good; here it counts from the end of the load, which is signed
	// as a whole before it is sent.
	signedFor = 5 * time.Minute
	// workTimeout is how long after the last event was due every event must have been processed.
	workTimeout = 2 * time.Minute
	// workPoll is the pause between two polls. Each poll computes totals: it is load, and a longer pause adds to the figure.
	workPoll = 250 * time.Millisecond
)

// eventLoad is how LiveKit's webhooks are sent: so many a second, whether or not the ones before were answered.
type eventLoad struct {
	rounds int
	rate   int
	// most is a rate that is more than can be worked on.
	most        int
	duration    time.Duration
	connections int
}

// people is how many participants join and leave, with two events each.
func (l eventLoad) people() int { return max(1, int(l.duration.Seconds()*float64(l.rate))/2) }

// intake is one round: events a second from when the first was due until all were worked on, the latency of their
// answers in milliseconds, and the server's CPU time for each event in microseconds.
type intake struct{ perSecond, p50, p99, cpu float64 }

// events measures the inbox of LiveKit's webhooks, each round on a database of its own.
func events(ctx context.Context, o options, dir, pulse string) ([]row, error) {
	if o.events.rounds < 1 || o.events.rate < 1 || o.events.most < 1 || o.events.connections < 1 {
		return nil, fmt.Errorf("LiveKit's events need a round, a rate and a connection: %+v", o.events)
	}
	calm, full, err := o.events.both(ctx, dir, pulse)
	if err != nil {
		return nil, fmt.Errorf("LiveKit's events: %w", err)
	}
	of := func(rounds []intake, figure func(intake) float64) float64 {
		values := make([]float64, len(rounds))
		for i, r := range rounds {
			values[i] = figure(r)
		}
		return median(values)
	}
	done := of(full, func(r intake) float64 { return r.perSecond })
	slowest := of(calm, func(r intake) float64 { return r.p99 })
	work := of(full, func(r intake) float64 { return r.cpu })
	return []row{
		{what: fmt.Sprintf("LiveKit's events over HTTP, taken in and worked on of %d/s", o.events.most), pulse: number(done) + "/s", value: done, unit: "/s", goal: atLeast(5000)},
		{what: fmt.Sprintf("LiveKit's events over HTTP, 99th percentile of an answer at %d/s", o.events.rate),
			pulse: number(slowest) + " ms", value: slowest, unit: " ms", goal: atMost(50)},
		{what: fmt.Sprintf("LiveKit's events over HTTP, CPU time of an event of %d/s", o.events.most), pulse: number(work) + " µs", value: work, unit: " µs"},
	}, nil
}

// both runs the rounds at the rate whose latency is measured and at the one that is too much.
func (l eventLoad) both(ctx context.Context, dir, pulse string) (calm, full []intake, err error) {
	one := func(l eventLoad, name string, round int) (intake, error) {
		own := filepath.Join(dir, fmt.Sprintf("events-%s-%d", name, round))
		if err := os.MkdirAll(own, 0o700); err != nil {
			return intake{}, err
		}
		s, err := startPulse(ctx, pulse, own, filepath.Join(own, "data"))
		if err != nil {
			return intake{}, err
		}
		r, err := l.run(ctx, s)
		if err := errors.Join(err, s.stop()); err != nil {
			return intake{}, err
		}
		say(fmt.Sprintf("round %d of %d: %-28s %8.0f/s  p50 %6.2f ms  p99 %6.2f ms  CPU %6.2f µs",
			round+1, l.rounds, fmt.Sprintf("LiveKit's events, %d/s", l.rate), r.perSecond, r.p50, r.p99, r.cpu))
		return r, nil
	}
	most := l
	most.rate = l.most
	for round := range l.rounds {
		slow, err := one(l, "calm", round)
		if err != nil {
			return nil, nil, err
		}
		fast, err := one(most, "full", round)
		if err != nil {
			return nil, nil, err
		}
		calm, full = append(calm, slow), append(full, fast)
	}
	return calm, full, nil
}

// run sends one load to a new server.
func (l eventLoad) run(ctx context.Context, s *server) (intake, error) {
	project, err := s.newPair(ctx)
	if err != nil {
		return intake{}, err
	}
	// Two hours ago, so that all of the times lie in whole hours that are over.
	hour := time.Now().UTC().Truncate(time.Hour).Add(-2 * time.Hour)
	requests, err := l.requests(s.address, project.Project.ID, hour)
	if err != nil {
		return intake{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.duration+workTimeout)
	defer cancel()
	before, err := s.cpuSeconds()
	if err != nil {
		return intake{}, err
	}
	began, took, err := l.send(ctx, s.address, requests)
	if err != nil {
		return intake{}, err
	}
	if err := s.workedOn(ctx, project, hour, l.people()); err != nil {
		return intake{}, err
	}
	worked := time.Since(began)
	after, err := s.cpuSeconds()
	if err != nil {
		return intake{}, err
	}
	slices.Sort(took)
	at := func(percent int) float64 { return float64(took[len(took)*percent/100].Microseconds()) / 1000 }
	return intake{float64(len(took)) / worked.Seconds(), at(50), at(99), (after - before) * 1e6 / float64(len(took))}, nil
}

// requests makes the whole load before the clock starts, each as it goes over the wire: what the generator does not do
// while it sends, it does not take from the server. The first second has people who come, then for each who comes one goes:
// everybody is there for a second or two of the load, so that most sessions are found again and ended. Were they to go as they
// come, Pulse would make and end them in one step.
func (l eventLoad) requests(address, project string, hour time.Time) ([][]byte, error) {
	people, present := l.people(), min(l.rate, l.people())
	out := make([][]byte, 0, 2*people)
	add := func(kind string, person int) error {
		request, err := signedEvent(address, eventBody(project, hour, kind, len(out), person), l.duration+signedFor)
		out = append(out, request)
		return err
	}
	for n := range people + present {
		if n < people {
			if err := add("participant_joined", n); err != nil {
				return nil, err
			}
		}
		if n >= present {
			if err := add("participant_left", n-present); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// eventBody is a webhook as LiveKit's server writes it. Its event is more than a second old, which Pulse takes to have
// happened in the middle of LiveKit's second: so each duration is known to the millisecond, whenever the event arrives.
func eventBody(project string, hour time.Time, kind string, event, person int) []byte {
	left := hour.Add(30 * time.Minute)
	joined, room := left.Add(time.Second/2-stay), person/peopleARoom
	return fmt.Appendf(nil, `{"event":%q,"id":"EV_%d","createdAt":"%d","room":{"sid":"RM_%d","name":"%s_room-%d",`+
		`"creationTime":"%d","creationTimeMs":"%d","turnPassword":"x","enabledCodecs":[{"mime":"audio/PCMU"},{"mime":"audio/PCMA"},`+
		`{"mime":"audio/opus"},{"mime":"video/VP8"},{"mime":"video/H264"},{"mime":"video/VP9"},{"mime":"video/AV1"}]},`+
		`"participant":{"sid":"PA_%d","identity":"somebody-%d","state":"ACTIVE","joinedAt":"%d","joinedAtMs":"%d","version":2,`+
		`"permission":{"canSubscribe":true,"canPublish":true,"canPublishData":true}}}`,
		kind, event, left.Unix(), room, project, room, joined.Unix(), joined.UnixMilli(), person, person, joined.Unix(), joined.UnixMilli())
}

// signedEvent is the request LiveKit's server makes of a body.
func signedEvent(address string, body []byte, validFor time.Duration) ([]byte, error) {
	sum := sha256.Sum256(body)
	token, err := auth.NewAccessToken(clusterKey, clusterSecret).SetValidFor(validFor).
		SetSha256(base64.StdEncoding.EncodeToString(sum[:])).ToJWT()
	if err != nil {
		return nil, fmt.Errorf("sign an event: %w", err)
	}
	return fmt.Appendf(nil, "POST /v1/webhooks/livekit HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\n"+
		"Content-Type: application/webhook+json\r\nContent-Length: %d\r\n\r\n%s", address, token, len(body), body), nil
}

// send sends each request when it is due, or as soon after that as one of the connections is free, and gives when the first
// was due and how long after it was due each was answered. An answer that is not 200 is an error: refusals would be fast.
func (l eventLoad) send(ctx context.Context, address string, requests [][]byte) (began time.Time, took []time.Duration, err error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	connections := make([]net.Conn, l.connections)
	for i := range connections {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return began, nil, err
		}
		defer connection.Close()
		defer context.AfterFunc(ctx, func() { connection.Close() })() // ends pending reads
		connections[i] = connection
	}
	took = make([]time.Duration, len(requests))
	var next atomic.Int64
	var senders sync.WaitGroup
	began = time.Now()
	for _, connection := range connections {
		senders.Go(func() {
			answers := bufio.NewReader(connection)
			for {
				n := int(next.Add(1)) - 1
				if n >= len(requests) {
					return
				}
				due := began.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
				err := pause(ctx, time.Until(due))
				if err == nil {
					err = exchange(connection, answers, requests[n])
				}
				if err != nil {
					fail(fmt.Errorf("event %d of %d: %w", n+1, len(requests), err))
					return
				}
				took[n] = time.Since(due)
			}
		})
	}
	senders.Wait()
	return began, took, context.Cause(ctx)
}

// exchange sends a request and reads the answer. It does so on the connection itself: net/http's client has two goroutines
// for each, and its reader makes a map of the headers, which would all run on the server's cores.
func exchange(connection net.Conn, answers *bufio.Reader, request []byte) error {
	if _, err := connection.Write(request); err != nil {
		return err
	}
	status, length := "", -1
	for {
		line, err := answers.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if status == "" {
			status = string(line)
		} else if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		}
	}
	if status != "HTTP/1.1 200 OK" || length < 0 || length > 1<<20 {
		return fmt.Errorf("answered %s with a body of %d bytes", status, length)
	}
	_, err := answers.Discard(length)
	return err
}

// workedOn waits until the project's usage has every usage session, and each ended: an unknown one is missing in its hour,
// and one without a known end still counts in the hour after it. The last event of each room is
// somebody's leaving, and a room's events are worked on in the order they came.
func (s *server) workedOn(ctx context.Context, project pair, hour time.Time, people int) error {
	path := "/v1/usage?start=" + hour.Format(time.RFC3339) + "&end=" + hour.Add(2*time.Hour).Format(time.RFC3339)
	want := float64(people) * stay.Seconds()
	for {
		var report struct {
			Items []struct {
				ParticipantSeconds float64 `json:"participant_seconds"`
			} `json:"items"`
		}
		if err := s.get(ctx, path, project, &report); err != nil {
			return err
		}
		if len(report.Items) != 2 {
			return fmt.Errorf("usage of two hours has %d rows", len(report.Items))
		}
		known, after := report.Items[0].ParticipantSeconds, report.Items[1].ParticipantSeconds
		if known == want && after == 0 {
			return nil
		}
		if err := pause(ctx, workPoll); err != nil {
			return fmt.Errorf("%g of %g participant seconds, and %g of people who should have left: %w", known, want, after, err)
		}
	}
}

// pause waits, no longer than ctx.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
