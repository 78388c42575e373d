// Package safedial keeps requests to addresses that strangers name (webhooks,
// stream and storage targets) from reaching what only this machine or its
// network can: the guard against server-side request forgery.
//
// It owns which schemes, hosts and addresses may be reached, and an HTTP client
// that holds to that. It does not own when a target is checked, nor what is
// sent; workers of other programs that dial by themselves are not bound by it.
//
// Invariants:
//   - an address is judged when a socket is about to connect to it, after the
//     last look-up: a name that resolves to another address later gains nothing;
//   - a name one of whose addresses is refused is refused;
//   - addresses are judged by what they reach: IPv4 inside IPv6 (mapped,
//     compatible, NAT64) by the IPv4, and only globally reachable unicast passes
//     (IANA's special-purpose registries, RFC 6890);
//   - only one spelling of an IPv4 address is an address: decimal, octal, hex
//     and short forms are refused, not interpreted;
//   - link-local, metadata, multicast and unspecified addresses are refused under
//     every option;
//   - the client follows no redirect, takes no proxy from the environment,
//     verifies certificates, and bounds the time and the bytes of an answer.
package safedial
