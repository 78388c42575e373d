// Package clientip finds out which address a request comes from, through
// reverse proxies, and how addresses are counted.
//
// It owns the reading of X-Forwarded-For. It does not own which proxies are
// trusted. X-Real-IP, Forwarded and every other header are never read: a proxy
// that sets one of them lets the client choose the others.
//
// Invariants:
//   - a header is believed only from a trusted proxy, and only as far as trusted
//     proxies wrote it: the chain is read from its end to the first address that
//     is no trusted proxy;
//   - an element that is no address ends the chain: the client is then the
//     trusted proxy that reported it, never what stands before;
//   - IPv4 inside IPv6 (::ffff:0:0/96) is IPv4, in addresses and networks;
//   - IPv6 is counted by /64, which is what one customer has (RFC 6177), and by
//     /48 for those who have many of them.
package clientip
