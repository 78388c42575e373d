package replicas_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// quietAfter is when shards are shared and the start counts no more as activity.
const quietAfter = 16 * time.Second

// idleFor is how long commands are counted.
const idleFor = 20 * time.Second

func TestAnIdleReplicaSendsAtMostFiveCommandsASecond(t *testing.T) {
	f := startFleet(t, 0, 0)
	time.Sleep(quietAfter)
	before := make([]map[string]int64, len(f.replicas))
	for i, r := range f.replicas {
		before[i] = r.line.Executed()
	}
	time.Sleep(idleFor)
	for i, r := range f.replicas {
		var total int64
		var lines []string
		for name, n := range r.line.Executed() {
			if n -= before[i][name]; n > 0 {
				total += n
				lines = append(lines, fmt.Sprintf("%6.2f/s %s", float64(n)/idleFor.Seconds(), name))
			}
		}
		slices.Sort(lines)
		slices.Reverse(lines)
		if perSecond := float64(total) / idleFor.Seconds(); perSecond > 5 {
			t.Errorf("replica %d sends %.1f commands a second:\n%s", i, perSecond, strings.Join(lines, "\n"))
		}
	}
}
