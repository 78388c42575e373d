//go:build race

package routes_test

// raceDetector reports whether the test is built with it: stacks then take more.
const raceDetector = true
