// Package testkit is what the tests of the services share: an embedded database
// whose writes can be made to fail, a clock, and small helpers. Product code
// does not import it.
package testkit
