// Package e2e holds the end-to-end tests: the pulse binary as it is shipped, a real livekit-server v1.13.5, LiveKit's
// own Go SDK as the participants. It is a module of its own, so that none of that enters the product's go.mod.
//
// Run `go test ./...` here, or `make test` at the root. Nothing is skipped and nothing need be installed but Go: the
// first run builds livekit-server into a cache outside the tree (about six minutes on two cores, with progress printed;
// see [harness.BuildLiveKit] for where), later runs take under a minute and a half. Everything stays on loopback.
//
// Where things are:
//
//	livekit/            go.mod that names the version of livekit-server, as a tool; nothing else
//	cmd/livekit-build/  fills the cache; `make test` calls it first, so that its progress is seen
//	harness/            starts the programs, joins rooms, calls the API, relays webhooks
//	ferret/             a MongoDB-compatible server in the test's process
//
// The tests are named for what they guarantee. Each starts its own LiveKit and its own Pulse (together about half a
// second), so that one test's rooms are not another's.
//
// LiveKit's webhooks can be written down while the tests run: RECORD_WEBHOOKS=/some/folder go test -run
// TestLiveKitAnnounces . leaves one file for each kind of event there, secrets redacted.
//
// Worth knowing when reading failures: LiveKit tells participants about others who publish nothing only every three
// seconds, and accepts a token until one minute after it has expired.
package e2e
