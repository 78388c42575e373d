// Package times compares points in time.
package times

import "time"

// Latest returns the later of two times; the zero time is before all others.
func Latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
