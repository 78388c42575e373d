// Package tuning sets the Go runtime's memory targets for a server whose live heap
// is small.
package tuning

import (
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/rs/zerolog"
)

// gcPercent lets the heap grow to five times what is live before it is
// collected: at 100, the runtime's default, collecting the few live MB of a
// small installation takes a tenth of the CPU time of a token exchange. Large
// heaps are bounded by the memory limit.
const gcPercent = 400

// Memory sets the runtime's targets, unless GOGC or GOMEMLIMIT did. The
// limit is 90 % of the container's memory, or else of the machine's.
func Memory(log zerolog.Logger) {
	if before := debug.SetGCPercent(gcPercent); before != 100 {
		debug.SetGCPercent(before)
	}
	limit, err := memlimit.Set(memlimit.WithProvider(memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)))
	log.Debug().Err(err).Int64("bytes", limit).Msg("memory limit")
}
