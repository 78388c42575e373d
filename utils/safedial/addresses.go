package safedial

import (
	"net/netip"
	"slices"
)

// never are networks that are refused under every option: this host and
// network, link-local, multicast, reserved, and tunnels that no host is
// reached by.
var never = networks(
	"0.0.0.0/8",      // "this host", which Linux connects to itself (RFC 791)
	"169.254.0.0/16", // link-local, and most clouds' metadata (RFC 3927)
	"224.0.0.0/4",    // multicast
	"240.0.0.0/4",    // reserved, and broadcast
	"192.88.99.0/24", // 6to4 relays (RFC 7526)
	"::/128",         // unspecified
	"fe80::/10",      // link-local
	"fec0::/10",      // site-local (RFC 3879)
	"ff00::/8",       // multicast
	"100::/64",       // discarded (RFC 6666)
	"2001::/32",      // Teredo (RFC 4380)
	"2002::/16",      // 6to4 (RFC 3056)
	"64:ff9b:1::/48", // NAT64 of a network's own (RFC 8215)
	"5f00::/16",      // segment routing (RFC 9602)
	// Metadata services outside link-local.
	"fd00:ec2::/32",          // AWS
	"fd20:ce::254/128",       // Google Cloud
	"fd00:42::42/128",        // Scaleway
	"fd00:c1::a9fe:a9fe/128", // Oracle
	"100.100.100.200/32",     // Alibaba
	"192.0.0.192/32",         // Oracle
	"168.63.129.16/32",       // Azure
)

// private are networks that are not reached from the internet; AllowPrivate
// opens them.
var private = networks(
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", // RFC 1918
	"127.0.0.0/8", "::1/128", // loopback
	"100.64.0.0/10", // shared by a carrier's customers (RFC 6598)
	"192.0.0.0/24",  // IETF protocol assignments
	"198.18.0.0/15", // benchmarks (RFC 2544)
	"fc00::/7",      // unique local (RFC 4193)
	"2001::/23",     // IETF protocol assignments
	// Documentation (RFC 5737, RFC 3849, RFC 9637).
	"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20",
)

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	compatible = netip.MustParsePrefix("::/96")           // RFC 4291, section 2.5.5.1
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // SIIT (RFC 2765)
	global     = netip.MustParsePrefix("2000::/3")        // all of IPv6 that is given out
)

func networks(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, text := range list {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

func within(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// reachable reports whether an address may be connected to.
func reachable(a netip.Addr, allowPrivate bool) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	if within(never, a) {
		return false
	}
	if within(private, a) {
		return allowPrivate
	}
	if a.Is4() {
		return true
	}
	if nat64.Contains(a) || compatible.Contains(a) || translated.Contains(a) {
		// They reach an IPv4 host through the network's own translator; no
		// target needs to be named that way.
		b := a.As16()
		return allowPrivate && reachable(netip.AddrFrom4([4]byte(b[12:])), allowPrivate)
	}
	return global.Contains(a)
}
