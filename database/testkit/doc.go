// Package testkit has shared helpers of the services' tests: an embedded database
// whose writes can be made to fail, a clock, assertions. Product code
// does not import it.
package testkit
