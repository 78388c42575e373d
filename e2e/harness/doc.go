// Package harness runs the real programs that the end-to-end tests need and gives the tests typed handles on them.
//
// It owns: building livekit-server once into a cache outside the tree ([BuildLiveKit]) and the pulse binary once a test
// run ([BuildPulse]); starting, killing and stopping both on loopback ([StartLiveKit], [StartPulse]); a LiveKit
// participant that remembers what it saw ([Join]); a typed client for the part of Pulse's API the tests use
// ([API]); a relay between LiveKit's webhooks and Pulse that can lose or repeat them ([StartWebhookRelay]).
//
// It does not own: any expectation. What must be true stands in the tests.
//
// Invariants: nothing listens or dials outside loopback; a child process is only ever signalled by the pid this
// package started; every wait has a deadline; the children get an environment made here, never the developer's own.
package harness
