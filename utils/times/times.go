// Package times compares points and spans of time.
package times

import "time"

// Latest returns the later of two times; the zero time is before all others.
func Latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Same reports whether two times are the same, or neither is there.
func Same(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

// Overlap returns the part of [from, to) that lies in [start, end): its start and
// its length in seconds; start and 0 if there is none.
func Overlap(from, to, start, end time.Time) (time.Time, float64) {
	if from.Before(start) {
		from = start
	}
	if to.After(end) {
		to = end
	}
	if !to.After(from) {
		return start, 0
	}
	return from, to.Sub(from).Seconds()
}
