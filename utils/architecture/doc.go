// Package architecture checks which packages of a Go module import which.
//
// It owns the check of rules that its caller states: the layers of a module,
// the order of the packages below one folder, and libraries that only some
// folders may import. It does not own the rules.
//
// Invariants: a folder that no rule names is a violation, so that a new one is
// decided upon; test files are not checked, because tests cross layers. Only
// tests call it; house_test.go has the rules of this repository.
package architecture
