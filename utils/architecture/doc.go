// Package architecture checks which packages of a Go module import which, and how
// long files and packages are.
//
// It owns the check of rules that its caller states: the layers of a module,
// the order of the packages below one folder, libraries that only some folders may
// import, and sizes. It does not own the rules.
//
// Invariants: a folder that no rule names is a violation, so that a new one is
// decided upon; what test files import is not checked, because tests cross layers.
// Only tests call it; house_test.go has the rules of this repository.
package architecture
