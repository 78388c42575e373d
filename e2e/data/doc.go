// Package data holds the end-to-end tests of what is done to a database as a whole: backup and restore drills beside the
// running server, and kill -9 of the server under load. LiveKit's events come from the tests themselves, signed as LiveKit
// signs them.
//
// PULSE_SOAK=1 kills the server 100 times instead of 4; SOAK_KILLS sets another number.
package data
