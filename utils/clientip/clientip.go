package clientip

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
)

// Header is the one that is read.
const Header = "X-Forwarded-For"

// maxHops bounds how many proxies of a chain are looked at.
const maxHops = 32

// Proxies knows which addresses are trusted proxies. The zero value trusts
// none.
type Proxies struct{ trusted []netip.Prefix }

// New trusts proxies in these networks.
func New(trusted []netip.Prefix) *Proxies {
	p := &Proxies{}
	for _, network := range trusted {
		if plain, err := Network(network); err == nil {
			p.trusted = append(p.trusted, plain)
		}
	}
	return p
}

// Trusts reports whether an address is a trusted proxy's.
func (p *Proxies) Trusts(a netip.Addr) bool {
	for _, network := range p.trusted {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// Client gives the address of the client of a request: remote is the peer's
// ("192.0.2.1:1234", "[2001:db8::1]:1234"). The result is without zone, IPv4 if
// it can be, and invalid only if remote is no address.
func (p *Proxies) Client(remote string, header http.Header) netip.Addr {
	client, ok := Parse(remote)
	if !ok || !p.Trusts(client) {
		return client
	}
	lines := header[Header]
	hops := 0
	for n := len(lines) - 1; n >= 0; n-- {
		for rest := lines[n]; ; {
			comma := strings.LastIndexByte(rest, ',')
			if element := strings.Trim(rest[comma+1:], " \t"); element != "" {
				next, ok := Parse(element)
				if hops++; !ok || hops > maxHops {
					return client
				}
				client = next
				if !p.Trusts(client) {
					return client
				}
			}
			if comma < 0 {
				break
			}
			rest = rest[:comma]
		}
	}
	return client
}

// Parse reads an address as proxies write it: 192.0.2.1, 192.0.2.1:80,
// 2001:db8::1, [2001:db8::1], [2001:db8::1]:80, in quotes or not, and as a node
// of RFC 7239, section 6 ("for=" before it). false for anything else, also for
// "unknown" and obfuscated nodes.
func Parse(text string) (netip.Addr, bool) {
	if len(text) > 4 && strings.EqualFold(text[:4], "for=") {
		text = text[4:]
	}
	if len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' {
		text = text[1 : len(text)-1]
	}
	switch {
	case text == "":
		return netip.Addr{}, false
	case text[0] == '[':
		end := strings.IndexByte(text, ']')
		if end < 0 || end+1 < len(text) && !isPort(text[end+1:]) {
			return netip.Addr{}, false
		}
		a, ok := address(text[1:end])
		return a, ok && strings.IndexByte(text[:end], ':') > 0
	case strings.Count(text, ":") == 1:
		colon := strings.IndexByte(text, ':')
		if !isPort(text[colon:]) {
			return netip.Addr{}, false
		}
		text = text[:colon]
	}
	return address(text)
}

// isPort tells ":" and one to five digits; RFC 7239 also lets a port be
// obfuscated ("_" and then letters, digits, ".", "_" or "-").
func isPort(text string) bool {
	if len(text) < 2 || text[0] != ':' {
		return false
	}
	if text[1] == '_' {
		return strings.Trim(text[1:], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
	}
	return len(text) <= 6 && strings.Trim(text[1:], "0123456789") == ""
}

func address(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, false
	}
	return Plain(a), true
}

// Plain gives an address without zone, and as IPv4 if it is one.
func Plain(a netip.Addr) netip.Addr { return a.WithZone("").Unmap() }

// ErrNetwork is returned for what is no address or network.
var ErrNetwork = errors.New("must be an address or a network such as 203.0.113.0/24")

// ParseNetwork reads an address or a network and gives a network without bits
// beyond its length, IPv4 where it is one. ErrNetwork otherwise, also for
// addresses with a zone, which mean something on one machine only.
func ParseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		if a.Zone() != "" {
			return netip.Prefix{}, ErrNetwork
		}
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, ErrNetwork
	}
	return Network(network)
}

// mappedBits is how many bits stand before the IPv4 of ::ffff:0:0/96.
const mappedBits = 96

// Network gives a network of IPv4 addresses inside IPv6 as one of IPv4.
// ErrNetwork for one that holds others too.
func Network(n netip.Prefix) (netip.Prefix, error) {
	switch {
	case !n.IsValid() || n.Addr().Is4In6() && n.Bits() < mappedBits:
		return netip.Prefix{}, ErrNetwork
	case n.Addr().Is4In6():
		n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-mappedBits)
	}
	return n.Masked(), nil
}

// WideFactor is how many times the limit of a Bucket that of a Wide one is.
const WideFactor = 16

// Bucket is what is counted as one address: an IPv4 address, or the /64 of an
// IPv6 one. The zero value for an invalid address.
func Bucket(a netip.Addr) netip.Prefix { return counted(a, 64) }

// BucketOf is Bucket for an address in text, which stands for itself if it is
// none.
func BucketOf(text string) string {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return text
	}
	return Bucket(a).String()
}

// Counted is what an address is counted under, with how many times the limit of
// one address that may do.
type Counted struct {
	Name   string
	Factor int
}

// CountedUnder gives the Bucket of an address in text, and its Wide one if it
// has one. What is no address stands for itself.
func CountedUnder(text string) []Counted {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return []Counted{{text, 1}}
	}
	out := []Counted{{Bucket(a).String(), 1}}
	if wide, ok := Wide(a); ok {
		out = append(out, Counted{wide.String(), WideFactor})
	}
	return out
}

// Wide is the /48 of an IPv6 address, which may do WideFactor times as much;
// false for IPv4, which has none.
func Wide(a netip.Addr) (netip.Prefix, bool) {
	if a = Plain(a); !a.IsValid() || a.Is4() {
		return netip.Prefix{}, false
	}
	return counted(a, 48), true
}

func counted(a netip.Addr, bits int) netip.Prefix {
	a = Plain(a)
	if a.Is4() {
		bits = a.BitLen()
	}
	network, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
