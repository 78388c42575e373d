package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The growth table compares the CPU time of one operation on a small and on a large installation. The two servers run at the
// same time and are loaded in turn, so that what else the machine does meets both.
const (
	fewProjects                 = 10
	fewSessions, manySessions   = 10, 100_000
	fewEndpoints, manyEndpoints = 1, 1_000
	// endpointsAProject is the most that Pulse allows.
	endpointsAProject = 20
	// growthRate is how many of LiveKit's events a second come in while their CPU time is counted, and growthEvents how many.
	growthRate, growthEvents = 500, 2_000
	// fillRate is how many a second come in before.
	fillRate    = 4_000
	fillTimeout = 5 * time.Minute
)

// sides are two servers, the small one first.
type sides [2]*server

// growth measures what an operation costs more where there is much.
func growth(ctx context.Context, o options, dir, pulse, big string) (rows []row, err error) {
	for _, of := range []struct {
		what  string
		start func(context.Context, options, string, string, string) (sides, func(context.Context, *server) (float64, error), error)
	}{
		{fmt.Sprintf("CPU time of a token exchange, %d → %d projects", fewProjects, o.projects), growingProjects},
		{fmt.Sprintf("CPU time of a LiveKit event, %d → %d open usage sessions", fewSessions, manySessions), growingSessions},
		{fmt.Sprintf("CPU time of a LiveKit event, %d → %d webhook endpoints", fewEndpoints, manyEndpoints), growingEndpoints},
	} {
		own := filepath.Join(dir, fmt.Sprintf("growth-%d", len(rows)))
		both, cost, err := of.start(ctx, o, own, pulse, big)
		if err == nil {
			var r row
			if r, err = compared(ctx, o, of.what, both, cost); err == nil {
				rows = append(rows, r)
			}
		}
		for _, s := range both {
			if s != nil {
				err = errors.Join(err, s.stop())
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", of.what, err)
		}
	}
	return rows, nil
}

// compared takes the cost on both sides in each round, after one to warm up.
func compared(ctx context.Context, o options, what string, both sides, cost func(context.Context, *server) (float64, error)) (row, error) {
	var costs [2][]float64
	for round := range o.load.rounds + 1 {
		for i, s := range both {
			took, err := cost(ctx, s)
			if err != nil {
				return row{}, err
			}
			if round > 0 {
				costs[i] = append(costs[i], took)
			}
		}
		if round > 0 {
			say(fmt.Sprintf("round %d of %d: %-60s %6.2f µs → %6.2f µs", round, o.load.rounds, what, costs[0][round-1], costs[1][round-1]))
		}
	}
	return row{what: what, pulse: number(median(costs[0])) + " → " + number(median(costs[1])) + " µs",
		value: median(ratios(costs[1], costs[0])), unit: " ×", goal: atMost(1.2)}, nil
}

// startBoth starts two servers; the large one on a copy of a database file, if there is one.
func startBoth(ctx context.Context, dir, pulse, file string) (both sides, err error) {
	for i, name := range []string{"small", "large"} {
		own := filepath.Join(dir, name)
		data := filepath.Join(own, "data")
		if err := os.MkdirAll(data, 0o700); err != nil {
			return both, err
		}
		if i == 1 && file != "" {
			if err := copyFile(filepath.Join(data, "pulse.db"), file); err != nil {
				return both, err
			}
		}
		if both[i], err = startPulse(ctx, pulse, own, data, "WEBHOOK_ALLOW_PRIVATE=true"); err != nil {
			return both, err
		}
	}
	return both, nil
}

func growingProjects(ctx context.Context, o options, dir, pulse, big string) (sides, func(context.Context, *server) (float64, error), error) {
	both, err := startBoth(ctx, dir, pulse, filepath.Join(big, "pulse.db"))
	if err != nil {
		return both, nil, err
	}
	token, err := both[0].signUp(ctx)
	if err != nil {
		return both, nil, err
	}
	keys := map[*server]string{}
	for range fewProjects {
		made, err := both[0].newProject(ctx, token)
		if err != nil {
			return both, nil, err
		}
		keys[both[0]] = made.Key
	}
	if keys[both[1]], err = firstLine(filepath.Join(big, "keys")); err != nil {
		return both, nil, err
	}
	return both, func(ctx context.Context, s *server) (float64, error) {
		r, err := o.load.run(ctx, s, keysOf{one: pair{Key: keys[s]}})
		return r.cpu, err
	}, nil
}

func growingSessions(ctx context.Context, _ options, dir, pulse, _ string) (sides, func(context.Context, *server) (float64, error), error) {
	both, err := startBoth(ctx, dir, pulse, "")
	if err != nil {
		return both, nil, err
	}
	come := map[*server]*crowd{}
	for i, open := range []int{fewSessions, manySessions} {
		project, err := both[i].newPair(ctx)
		if err != nil {
			return both, nil, err
		}
		come[both[i]] = &crowd{project: project.Project.ID}
		say(fmt.Sprintf("opening %d usage sessions", open))
		if err := come[both[i]].join(ctx, both[i], open, fillRate); err != nil {
			return both, nil, err
		}
	}
	return both, func(ctx context.Context, s *server) (float64, error) { return come[s].cost(ctx, s) }, nil
}

func growingEndpoints(ctx context.Context, _ options, dir, pulse, _ string) (sides, func(context.Context, *server) (float64, error), error) {
	both, err := startBoth(ctx, dir, pulse, "")
	if err != nil {
		return both, nil, err
	}
	come := map[*server]*crowd{}
	for i, endpoints := range []int{fewEndpoints, manyEndpoints} {
		token, err := both[i].signUp(ctx)
		if err != nil {
			return both, nil, err
		}
		say(fmt.Sprintf("making %d endpoints", endpoints))
		var owner pair
		for n := range endpoints {
			// The first project's events are measured. The other endpoints belong to other projects.
			if n == 0 || n%endpointsAProject == 1 {
				if owner, err = both[i].newProject(ctx, token); err != nil {
					return both, nil, err
				}
			}
			if n == 0 {
				come[both[i]] = &crowd{project: owner.Project.ID}
			}
			if err := both[i].newEndpoint(ctx, owner, `{"url":"https://127.0.0.1:9/","events":["egress.*"]}`); err != nil {
				return both, nil, err
			}
		}
	}
	return both, func(ctx context.Context, s *server) (float64, error) { return come[s].cost(ctx, s) }, nil
}

// crowd is people who join a project's rooms, and do not leave.
type crowd struct {
	project string
	next    int
}

// join sends so many joins and waits until Pulse has worked on them.
func (c *crowd) join(ctx context.Context, s *server, count, rate int) error {
	ctx, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	hour := time.Now().UTC().Truncate(time.Hour).Add(-2 * time.Hour)
	requests := make([][]byte, count)
	for n := range requests {
		var err error
		if requests[n], err = signedEvent(s.address, eventBody(c.project, hour, "participant_joined", c.next, c.next), fillTimeout); err != nil {
			return err
		}
		c.next++
	}
	if _, _, err := (eventLoad{rate: rate, connections: 64}).send(ctx, s.address, requests); err != nil {
		return err
	}
	for {
		done, err := s.metric(ctx, `pulse_inbox_events_total{result="processed"}`)
		if err != nil || done >= float64(c.next) {
			return err
		}
		if err := pause(ctx, workPoll); err != nil {
			return fmt.Errorf("%.0f of %d events are processed: %w", done, c.next, err)
		}
	}
}

// cost is the CPU time of an event in microseconds.
func (c *crowd) cost(ctx context.Context, s *server) (float64, error) {
	before, err := s.cpuSeconds()
	if err != nil {
		return 0, err
	}
	if err := c.join(ctx, s, growthEvents, growthRate); err != nil {
		return 0, err
	}
	after, err := s.cpuSeconds()
	return (after - before) * 1e6 / growthEvents, err
}

// metric reads one sample of the server's metrics.
func (s *server) metric(ctx context.Context, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(io.LimitReader(response.Body, 16<<20)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

func firstLine(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	line, err := bufio.NewReader(file).ReadString('\n')
	return strings.TrimSpace(line), err
}
