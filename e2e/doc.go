// Package e2e holds the end-to-end tests: the shipped pulse binary, a real livekit-server v1.13.5, and LiveKit's own Go
// SDK as the participants. It is a separate module, so that none of these dependencies enter the product's go.mod.
//
// Run `go test ./...` here, or `make test` at the root. Besides Go it needs the shells bash, zsh and dash
// and supervisord (tests that lack one are skipped and say so). The first run builds livekit-server into a cache outside the tree (about six minutes on two cores, with progress printed;
// see [harness.BuildLiveKit] for where), later runs take about two minutes. Everything stays on loopback.
//
// Folders:
//
//	livekit/            go.mod that pins the version of livekit-server as a tool
//	cmd/livekit-build/  fills the cache; `make test` calls it first, so that its progress is visible
//	harness/            starts the programs, joins rooms, calls the API, relays webhooks
//	ferret/             a MongoDB-compatible server in the test's process
//
// A test is named after its guarantee. Each starts its own LiveKit and its own Pulse (about half a second together), so
// that tests share no rooms.
//
// To record LiveKit's webhooks while the tests run: RECORD_WEBHOOKS=/some/folder go test -run
// TestLiveKitSends . writes one file per kind of event there, secrets redacted.
//
// For reading failures: LiveKit announces participants who publish nothing only every three seconds, and accepts a token
// until one minute after its expiry.
package e2e
