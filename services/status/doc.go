// Package status measures the components Pulse depends on, at most every two
// seconds each, and sums them up.
//
// It does not know what it probes. Called by handlers.
package status
