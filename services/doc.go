// Package services is the composition root: New builds every service over one
// engine and one Config, and Workers returns the long work that main runs. It
// owns no rules; those are in the packages below it, one a noun.
package services
