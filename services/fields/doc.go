// Package fields owns the list of the fields of a request that are wrong: services
// whose input has many fields report all of them at once.
//
// It does not own what fields there are, nor their limits. Invariants: one message
// a field, the first; a message never repeats the value of a URL, which may contain a
// stream key or a password.
//
// Called by media and ingress.
package fields
