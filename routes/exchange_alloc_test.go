//go:build !race

// The race detector makes sync.Pool drop at random, so allocations are counted
// without it.

package routes_test

import "testing"

// exchangeAllocations bounds a warm exchange: what it needed when this was
// last lowered, and two to spare, which is less than a map or a reflection on
// its way would cost. The test's own is among them.
const exchangeAllocations = 34

func TestAWarmTokenExchangeStaysWithinItsAllocations(t *testing.T) {
	for name, x := range exchanges(newServer(t)) {
		x.send()
		if got := testing.AllocsPerRun(1000, x.send); got > exchangeAllocations {
			t.Errorf("%s: %v allocations, want at most %d", name, got, exchangeAllocations)
		}
	}
}
