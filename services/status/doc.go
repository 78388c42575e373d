// Package status measures the dependencies of Pulse, each at most every two seconds,
// and summarizes them.
//
// It does not know what it probes. Called by handlers.
package status
