// Package harness runs the real programs of the end-to-end tests and gives the tests typed handles on them.
//
// It owns: building livekit-server once into a cache outside the tree ([BuildLiveKit]) and the pulse binary once a test
// run ([BuildPulse]); starting, killing and stopping both on loopback ([StartLiveKit], [StartPulse]); a LiveKit
// participant that records what it receives ([Join]); a typed client for the part of Pulse's API the tests use
// ([API]); a relay between LiveKit's webhooks and Pulse that can lose or repeat them ([StartWebhookRelay]).
//
// It does not own expectations; those are in the tests.
//
// Invariants: nothing listens or dials outside loopback; a child process is signalled only by the pid that
// this package started; every wait has a deadline; children get an environment made here, never the developer's.
package harness
