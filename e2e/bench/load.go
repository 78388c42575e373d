package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// load is how hard wrk asks.
type load struct {
	rounds      int
	duration    time.Duration
	connections int
}

// keysOf says with which keys wrk asks: one pair, or those in a file, one a line; of these at random, or in an order
// of their own, after those asked.
type keysOf struct {
	one     pair
	file    string
	inOrder bool
	asked   int
}

func (k keysOf) arguments() []string {
	switch {
	case k.file != "" && k.inOrder:
		return []string{k.file, fmt.Sprint(k.asked)}
	case k.file != "":
		return []string{k.file, "-"}
	case k.one.Secret == "":
		return []string{"-", k.one.Key, "-"}
	}
	return []string{"-", k.one.Key, k.one.Secret}
}

// result is one run of wrk: requests a second, latencies in milliseconds, and the server's CPU time for each request in
// microseconds.
type result struct{ perSecond, p50, p99, cpu, requests float64 }

// run loads a server once. An answer that is not 2xx is an error: refusals would be fast.
func (l load) run(ctx context.Context, s *server, k keysOf) (result, error) {
	args := append([]string{"--threads", "1", "--connections", fmt.Sprint(l.connections), "--duration", l.duration.String(),
		"--script", "exchange.lua", "http://" + s.address, "--"}, k.arguments()...)
	before, err := s.cpuSeconds()
	if err != nil {
		return result{}, err
	}
	out, err := exec.CommandContext(ctx, "wrk", args...).CombinedOutput()
	if err != nil {
		return result{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		var requests, microseconds, p50, p99, failed float64
		if _, err := fmt.Sscanf(line, "RESULT %g %g %g %g %g", &requests, &microseconds, &p50, &p99, &failed); err != nil {
			continue
		}
		if failed > 0 {
			return result{}, fmt.Errorf("%g of %g requests failed\n%s", failed, requests, out)
		}
		after, err := s.cpuSeconds()
		return result{requests / (microseconds / 1e6), p50 / 1000, p99 / 1000, (after - before) * 1e6 / requests, requests}, err
	}
	return result{}, fmt.Errorf("wrk said nothing of its result\n%s", out)
}

// introduce asks a server once for each of so many keys in a file, in turn with another server, and gives both sides'
// results. Each run asks for the keys that follow those of the run before; the last one begins again after the last key.
func (l load) introduce(ctx context.Context, file string, keys int, server, other contender, progress func(string)) (results [2][]result, err error) {
	server.keys = keysOf{file: file, inOrder: true}
	for server.keys.asked < keys {
		for i, c := range []contender{server, other} {
			r, err := l.run(ctx, c.server, c.keys)
			if err != nil {
				return results, fmt.Errorf("%s: %w", c.name, err)
			}
			results[i] = append(results[i], r)
			progress(fmt.Sprintf("introducing keys: %-28s %8.0f/s  p50 %6.2f ms  p99 %6.2f ms  CPU %6.2f µs", c.name, r.perSecond, r.p50, r.p99, r.cpu))
		}
		server.keys.asked += int(results[0][len(results[0])-1].requests)
	}
	return results, nil
}

// contender is one side of a comparison.
type contender struct {
	name   string
	server *server
	keys   keysOf
}

// alternate loads the contenders in turn, once to warm up and then in every round, and gives each one's results in the
// order of the rounds.
func (l load) alternate(ctx context.Context, all []contender, progress func(string)) ([][]result, error) {
	results := make([][]result, len(all))
	for round := range l.rounds + 1 {
		for i, c := range all {
			r, err := l.run(ctx, c.server, c.keys)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			if round > 0 {
				results[i] = append(results[i], r)
				progress(fmt.Sprintf("round %d of %d: %-28s %8.0f/s  p50 %6.2f ms  p99 %6.2f ms  CPU %6.2f µs",
					round, l.rounds, c.name, r.perSecond, r.p50, r.p99, r.cpu))
			}
		}
	}
	return results, nil
}

// each gives one figure of every round.
func each(results []result, figure func(result) float64) []float64 {
	out := make([]float64, len(results))
	for i, r := range results {
		out[i] = figure(r)
	}
	return out
}

// ratios divides round by round, so that what the machine did meanwhile cancels out.
func ratios(over, under []float64) []float64 {
	out := make([]float64, len(over))
	for i := range over {
		out[i] = over[i] / under[i]
	}
	return out
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// haveWrk tells whether the generator is there.
func haveWrk() error {
	if _, err := exec.LookPath("wrk"); err != nil {
		return errors.New("the load generator wrk is missing: apt-get install wrk, brew install wrk, or https://github.com/wg/wrk")
	}
	return nil
}
