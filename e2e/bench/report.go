package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// row is a line of the table.
type row struct {
	what string
	// pulse and bare are figures with their units; bare is empty where nothing is compared.
	pulse, bare string
	// value is what the goal is about: a ratio, or the figure itself.
	value float64
	goal  goal
	unit  string
}

// goal is what a value should be: at least, or at most.
type goal struct {
	limit float64
	most  bool
}

func atLeast(limit float64) goal { return goal{limit, false} }
func atMost(limit float64) goal  { return goal{limit, true} }

func (g goal) met(value float64) bool {
	if g.most {
		return value <= g.limit
	}
	return value >= g.limit
}

// goalText is empty where there is no goal.
func (r row) goalText() string {
	if r.goal == (goal{}) {
		return ""
	}
	sign := "≥"
	if r.goal.most {
		sign = "≤"
	}
	return fmt.Sprintf("%s %s%s", sign, number(r.goal.limit), r.unit)
}

// number writes what is small with two decimals and what is large without.
func number(v float64) string {
	switch {
	case v >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 20:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// markdown is the whole of docs/BENCHMARKS.md.
func markdown(rows []row, o options, loadBefore, loadAfter string) string {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\nWritten by `make bench` (the program is in e2e/bench); do not edit.\n\n")
	fmt.Fprintf(&b, "Measured on %s, on %s. Generator, Pulse and the bare handler share the machine; its load average was %s before "+
		"the run and %s after it, so figures by themselves say little and ratios more.\n\n",
		machine(), time.Now().UTC().Format("2 January 2006"), loadBefore, loadAfter)
	b.WriteString("| | Pulse | bare net/http | measured | goal | |\n|---|---:|---:|---:|---:|---|\n")
	for _, r := range rows {
		verdict := "met"
		switch {
		case r.goal == (goal{}):
			verdict = ""
		case !r.goal.met(r.value):
			verdict = "**missed**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s%s | %s | %s |\n", r.what, r.pulse, r.bare, number(r.value), r.unit, r.goalText(), verdict)
	}
	fmt.Fprintf(&b, `
How: the release build of Pulse (ENVIRONMENT=production, embedded database, JSON log to a file, limits off) and a bare
net/http handler that reads the same JSON request, mints a JWT with livekit/protocol/auth and does nothing else (e2e/bench/bare) run as separate processes. wrk loads both in turn, POST /v1/tokens/create over %d kept-alive connections
from one thread for %s each, %d rounds after one to warm up. CPU time is what the kernel accounts to the process, divided by
the requests: other load on the machine changes it least. Figures are medians over the rounds; a ratio is the
median of the ratios within each round. A database of %d projects is filled through the embedded engine, with every
project's key. Each of 100,000 of the keys is exchanged once, which asks the database for it, and then keys are drawn from these at random.
The embedded engine's figures are BenchmarkPointRead and BenchmarkDurableInsert32Writers of package database/embedded, whole
documents, decoded; durable means that each insert waited for its fsync. LiveKit's events are POST /v1/webhooks/livekit as
LiveKit's server sends it, signed before the clock starts, to a Pulse with a new database in each of %d rounds: participants join
rooms of %d and leave after a second or two. For %s, %d or %d events a second are due whether or not earlier ones were answered,
over %d kept-alive connections; a latency counts from when an event was due. Events a second are all events divided by the
time from when the first was due until GET /v1/usage has every usage session in full. Start is the median time from exec to
the first response on /health. Growth, marked with an arrow, is the CPU time of one operation on two servers that run at once and are
loaded in turn, a small and a large one: exchanges with one key, %d events a second of one project that has the open usage sessions,
or whose installation has the endpoints.
`, o.load.connections, o.load.duration, o.load.rounds, o.projects,
		o.events.rounds, peopleARoom, o.events.duration, o.events.rate, o.events.most, o.events.connections, growthRate)
	return b.String()
}

// machine names the computer in words.
func machine() string {
	model := "an unnamed processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	memory := ""
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		fields := strings.Fields(string(text))
		if kib, err := strconv.ParseFloat(fields[1], 64); err == nil {
			memory = fmt.Sprintf(", %.0f GB of memory", kib*1024/1e9)
		}
	}
	return fmt.Sprintf("a machine with %d cores (%s)%s, %s/%s, %s", runtime.NumCPU(), model, memory, runtime.GOOS, runtime.GOARCH,
		strings.Replace(runtime.Version(), "go", "Go ", 1))
}

// loadAverage is the last minute's, as the kernel says it.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(text))[0]
}
