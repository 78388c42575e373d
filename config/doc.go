// Package config reads the environment into one typed value, once, at start.
//
// It owns every variable Pulse reads, with its name, default and rules: one
// table (variables.go), which .env.example documents. No other package reads
// the environment.
//
// A variable's text comes, in this order, from the environment and from the
// .env file, each as NAME or as NAME_FILE (the path of a file that holds it);
// an empty text is the same as an unset variable. Nothing read from .env is put into the
// process's environment.
//
// Invariants: a Config that Load returned without an error is complete and
// valid; all problems are reported together and by name, and never repeat a
// value; staging and production start only with secrets that are present,
// strong and not examples.
package config
