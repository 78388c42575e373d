//go:build !race

// The race detector makes sync.Pool drop at random, so allocations are counted
// without it.

package hashing

import (
	"testing"

	"pulse-control-plane/utils/secret"
)

func TestAWarmCheckAllocatesNothing(t *testing.T) {
	v, _ := verified(t, 10)
	s := secret.New("pulse_secret_0000000000000000000000000000000000000000000000000")
	v.Remember("key_1", s, "hash")
	if n := testing.AllocsPerRun(1000, func() { v.Check("key_1", s, "hash") }); n >= 1 {
		t.Fatalf("%v allocations", n)
	}
}
