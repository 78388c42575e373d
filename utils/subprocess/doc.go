// Package subprocess runs a program as a child process of a test.
//
// It owns starting the program, collecting what it writes to standard error,
// and ending it with the test. It does not own what the program is or says.
//
// Invariants: no child outlives its test; nothing waits without a bound; a wait
// that fails prints what the program wrote. Only tests call it.
package subprocess
