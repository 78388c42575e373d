// Package composition wires the services: New builds every service over one engine
// and one Config, and Workers returns the long work that main runs.
//
// It owns no rules. A service is wired in builder.go, its worker is declared in
// workers.go. Called through package services only.
package composition
