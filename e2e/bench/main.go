package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// idleFor is how long a server is left alone before its memory is read.
const idleFor = 5 * time.Second

type options struct {
	load     load
	events   eventLoad
	projects int
	root     string
	out      string
	only     string
}

// parts are what a run measures, in this order.
var parts = []string{"exchange", "events", "deliveries", "readers", "growth", "standing", "engine"}

func main() {
	var o options
	flag.IntVar(&o.load.rounds, "rounds", 7, "rounds of each comparison")
	flag.DurationVar(&o.load.duration, "duration", 4*time.Second, "length of one run of wrk")
	flag.IntVar(&o.load.connections, "connections", 32, "connections of wrk")
	flag.IntVar(&o.events.rounds, "event-rounds", 3, "rounds of LiveKit's events")
	flag.IntVar(&o.events.rate, "event-rate", 3000, "LiveKit's events a second while their latency is measured")
	flag.IntVar(&o.events.most, "event-most", 6000, "LiveKit's events a second that are more than can be worked on")
	flag.DurationVar(&o.events.duration, "event-duration", 10*time.Second, "length of one round of LiveKit's events")
	flag.IntVar(&o.events.connections, "event-connections", 64, "connections LiveKit's events come over")
	flag.IntVar(&o.projects, "projects", 1_000_000, "projects in the large database")
	flag.StringVar(&o.root, "root", "../..", "folder of the product's module")
	flag.StringVar(&o.out, "out", "", "file to write the table to (default: a new one outside the repository, or docs/BENCHMARKS.md with BENCH_WRITE=1)")
	flag.StringVar(&o.only, "only", "", "comma-separated parts to measure, of "+strings.Join(parts, ", ")+" (default: all)")
	flag.Parse()
	o.out = outPath(o, os.Getenv("BENCH_WRITE"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func say(text string) { fmt.Println(text) }

func run(ctx context.Context, o options) error {
	if err := haveWrk(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pulse-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	before := loadAverage()
	pulse, bare := filepath.Join(dir, "pulse"), filepath.Join(dir, "bare")
	say("building")
	if err := errors.Join(buildBinary(ctx, o.root, ".", pulse), buildBinary(ctx, ".", "./bare", bare)); err != nil {
		return err
	}
	big := sync.OnceValues(func() (string, error) {
		folder, err := filled(ctx, o.projects, say)
		if err != nil {
			return "", fmt.Errorf("fill the large database: %w", err)
		}
		return folder, nil
	})
	var rows []row
	measure := map[string]func() ([]row, error){
		"exchange": func() ([]row, error) {
			folder, err := big()
			if err != nil {
				return nil, err
			}
			return exchanges(ctx, o, dir, pulse, bare, folder)
		},
		"events":     func() ([]row, error) { return events(ctx, o, dir, pulse) },
		"deliveries": func() ([]row, error) { return deliveries(ctx, o, dir, pulse) },
		"readers":    func() ([]row, error) { return readers(ctx, dir, pulse) },
		"growth": func() ([]row, error) {
			folder, err := big()
			if err != nil {
				return nil, err
			}
			return growth(ctx, o, dir, pulse, folder)
		},
		"standing": func() ([]row, error) { return standing(ctx, o, dir, pulse) },
		"engine": func() ([]row, error) {
			figures, err := engineFigures(ctx, o.root, dir, say)
			return engineRows(figures), err
		},
	}
	for _, part := range parts {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), part) {
			continue
		}
		measured, err := measure[part]()
		if err != nil {
			return err
		}
		rows = append(rows, measured...)
	}
	text := markdown(rows, o, before, loadAverage())
	say("\n" + text)
	written, err := writeTable(o.out, text)
	if err == nil {
		say("written to " + written)
	}
	return err
}

// outPath is where the table goes: to the given file, to docs/BENCHMARKS.md if BENCH_WRITE is 1, otherwise to a temporary
// file (an empty path).
func outPath(o options, benchWrite string) string {
	if o.out == "" && benchWrite == "1" {
		return filepath.Join(o.root, "docs", "BENCHMARKS.md")
	}
	return o.out
}

// writeTable writes the table to a file and returns the file's path. Without a path it makes a new file in the system's
// folder for temporary files: figures of one machine belong in the repository only on request.
func writeTable(path, text string) (string, error) {
	if path == "" {
		file, err := os.CreateTemp("", "pulse-benchmarks-*.md")
		if err != nil {
			return "", err
		}
		_, err = file.WriteString(text)
		return file.Name(), errors.Join(err, file.Close())
	}
	return path, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
}

// exchanges compares the token exchange.
func exchanges(ctx context.Context, o options, dir, pulse, bare, big string) (rows []row, err error) {
	var running []*server
	defer func() {
		for _, s := range running {
			err = errors.Join(err, s.stop())
		}
	}()
	begin := func(name string, start func(dir string) (*server, error)) (*server, error) {
		own := filepath.Join(dir, "run-"+name)
		if err := os.MkdirAll(filepath.Join(own, "data"), 0o700); err != nil {
			return nil, err
		}
		s, err := start(own)
		if err == nil {
			running = append(running, s)
		}
		return s, err
	}
	other, err := begin("bare", func(own string) (*server, error) { return startBare(ctx, bare, own) })
	if err != nil {
		return nil, err
	}
	small, err := begin("small", func(own string) (*server, error) {
		return startPulse(ctx, pulse, own, filepath.Join(own, "data"))
	})
	if err != nil {
		return nil, err
	}
	large, err := begin("large", func(own string) (*server, error) {
		data := filepath.Join(own, "data")
		if err := copyFile(filepath.Join(data, "pulse.db"), filepath.Join(big, "pulse.db")); err != nil {
			return nil, err
		}
		return startPulse(ctx, pulse, own, data)
	})
	if err != nil {
		return nil, err
	}
	own, err := small.newPair(ctx)
	if err != nil {
		return nil, err
	}
	keys := filepath.Join(big, "keys")
	bareSide := contender{"bare", other, keysOf{one: pair{Key: own.Key}}}
	first, err := o.load.introduce(ctx, keys, drawnKeys, contender{name: "pulse, unknown keys", server: large}, bareSide, say)
	if err != nil {
		return nil, err
	}
	results, err := o.load.alternate(ctx, []contender{
		bareSide,
		{"pulse, key", small, keysOf{one: pair{Key: own.Key}}},
		{"pulse, key and secret", small, keysOf{one: own}},
		{"pulse, large database", large, keysOf{file: keys}},
	}, say)
	if err != nil {
		return nil, err
	}
	perSecond := func(r result) float64 { return r.perSecond }
	p99 := func(r result) float64 { return r.p99 }
	cpu := func(r result) float64 { return r.cpu }
	compare := func(what string, of, with []result, figure func(result) float64, unit string, g goal) row {
		ours, theirs := each(of, figure), each(with, figure)
		return row{what: what, pulse: number(median(ours)) + unit, bare: number(median(theirs)) + unit,
			value: median(ratios(ours, theirs)), unit: " ×", goal: g}
	}
	return []row{
		compare("token exchange, key", results[1], results[0], perSecond, "/s", atLeast(1)),
		compare("token exchange, key, CPU time", results[1], results[0], cpu, " µs", atMost(1)),
		compare("token exchange, key and secret", results[2], results[0], perSecond, "/s", atLeast(0.95)),
		compare("token exchange, key and secret, CPU time", results[2], results[0], cpu, " µs", atMost(1/0.95)),
		compare("token exchange, key, 99th percentile", results[1], results[0], p99, " ms", atMost(1)),
		compare("token exchange, key and secret, 99th percentile", results[2], results[0], p99, " ms", atMost(1)),
		compare(fmt.Sprintf("token exchange, %d projects, known keys of 100,000", o.projects), results[3], results[0], perSecond, "/s", atLeast(0.8)),
		compare(fmt.Sprintf("token exchange, %d projects, known keys of 100,000, CPU time", o.projects), results[3], results[0], cpu, " µs", atMost(1.25)),
		compare(fmt.Sprintf("token exchange, %d projects, first of each key", o.projects), first[0], first[1], perSecond, "/s", goal{}),
		compare(fmt.Sprintf("token exchange, %d projects, first of each key, CPU time", o.projects), first[0], first[1], cpu, " µs", goal{}),
	}, nil
}

// standing measures what needs no load: start, memory, size.
func standing(ctx context.Context, o options, dir, pulse string) ([]row, error) {
	var starts, resident []float64
	for n := range o.load.rounds {
		own := filepath.Join(dir, fmt.Sprintf("start-%d", n))
		if err := os.MkdirAll(own, 0o700); err != nil {
			return nil, err
		}
		s, err := startPulse(ctx, pulse, own, filepath.Join(own, "data"))
		if err != nil {
			return nil, err
		}
		starts = append(starts, float64(s.startup.Microseconds())/1000)
		select {
		case <-time.After(idleFor):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), s.stop())
		}
		held, err := s.residentMB()
		if err := errors.Join(err, s.stop()); err != nil {
			return nil, err
		}
		resident = append(resident, held)
	}
	info, err := os.Stat(pulse)
	if err != nil {
		return nil, err
	}
	figure := func(what string, value float64, unit string, g goal) row {
		return row{what: what, pulse: number(value) + unit, value: value, unit: unit, goal: g}
	}
	return []row{
		figure("start to first /health", median(starts), " ms", atMost(300)),
		figure("resident memory, idle", median(resident), " MB", atMost(60)),
		figure("stripped binary", float64(info.Size())/1e6, " MB", atMost(35)),
	}, nil
}

// engineRows are the embedded engine's, which are goals at both sizes.
func engineRows(figures map[string]float64) []row {
	var rows []row
	for _, size := range []string{"10000", "1000000"} {
		reads, inserts := figures["PointRead/"+size+"_documents"], figures["DurableInsert32Writers/"+size+"_documents"]
		rows = append(rows,
			row{what: "embedded engine, point reads on one goroutine, " + size + " documents",
				pulse: number(reads) + "/s", value: reads, unit: "/s", goal: atLeast(20_000)},
			row{what: "embedded engine, durable inserts from 32 writers, " + size + " documents",
				pulse: number(inserts) + "/s", value: inserts, unit: "/s", goal: atLeast(5_000)})
	}
	return rows
}
