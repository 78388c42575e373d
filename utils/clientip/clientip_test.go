package clientip_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pulse-control-plane/utils/clientip"
)

func proxies(t *testing.T, networks ...string) *clientip.Proxies {
	t.Helper()
	var out []netip.Prefix
	for _, text := range networks {
		out = append(out, netip.MustParsePrefix(text))
	}
	return clientip.New(out)
}

func TestTheClientIsTheLastAddressThatNoTrustedProxyHas(t *testing.T) {
	p := proxies(t, "10.0.0.0/8", "2001:db8:ffff::/48", "::ffff:172.16.0.0/108")
	for _, tc := range []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"no proxy", "203.0.113.9:1", nil, "203.0.113.9"},
		{"a stranger who claims", "203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9"},
		{"one proxy", "10.0.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"a proxy without the header", "10.0.0.1:1", nil, "10.0.0.1"},
		{"an empty header", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"empty elements", "10.0.0.1:1", []string{"203.0.113.9, ,", ","}, "203.0.113.9"},
		{"two proxies", "10.0.0.1:1", []string{"203.0.113.9, 10.9.9.9"}, "203.0.113.9"},
		{"two lines", "10.0.0.1:1", []string{"203.0.113.9", "10.9.9.9"}, "203.0.113.9"},
		{"a claim before the proxy's", "10.0.0.1:1", []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9"},
		{"a claimed line before the proxy's", "10.0.0.1:1", []string{"198.51.100.1", "203.0.113.9"}, "203.0.113.9"},
		{"a claimed proxy", "10.0.0.1:1", []string{"10.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		{"proxies only", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"with a port (Azure)", "10.0.0.1:1", []string{"203.0.113.7:5555"}, "203.0.113.7"},
		{"with a port behind a proxy with a port", "10.0.0.1:1", []string{"203.0.113.7:5555, 10.0.0.2:443"}, "203.0.113.7"},
		{"IPv6", "10.0.0.1:1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv6 in brackets", "10.0.0.1:1", []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"IPv6 with a port", "10.0.0.1:1", []string{"[2001:db8::7]:5555"}, "2001:db8::7"},
		{"as RFC 7239 quotes it", "10.0.0.1:1", []string{`"[2001:db8::7]:4711"`}, "2001:db8::7"},
		{"as a node of RFC 7239", "10.0.0.1:1", []string{`for=198.51.100.1, For="[2001:db8::7]:_x"`}, "2001:db8::7"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"a trusted network written in IPv6", "172.17.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"a zone", "[fe80::1%eth0]:1", nil, "fe80::1"},
		{"an IPv6 proxy", "[2001:db8:ffff::1]:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"what is unknown", "10.0.0.1:1", []string{"203.0.113.9, unknown"}, "10.0.0.1"},
		{"an obfuscated node", "10.0.0.1:1", []string{"203.0.113.9, _hidden, 10.0.0.2"}, "10.0.0.2"},
		{"nonsense from a client", "10.0.0.1:1", []string{"<script>, 203.0.113.9"}, "203.0.113.9"},
		{"nonsense from a proxy", "10.0.0.1:1", []string{"203.0.113.9, 1.2.3"}, "10.0.0.1"},
		{"an endless chain", "10.0.0.1:1", []string{"203.0.113.9" + strings.Repeat(", 10.0.0.2", 1000)}, "10.0.0.2"},
		{"no peer", "@", []string{"203.0.113.9"}, "invalid IP"},
	} {
		h := http.Header{"X-Real-Ip": {"192.0.2.66"}, "Forwarded": {"for=192.0.2.66"}, "X-Client-Ip": {"192.0.2.66"}}
		h[clientip.Header] = tc.forwarded
		if got := p.Client(tc.remote, h).String(); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestOnlyValidAddressesAreRead(t *testing.T) {
	for _, text := range []string{
		"", ":", "[]", "[", "]", `"`, `""`, "for=", "for", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:123456", "1.2.3.4:80:80",
		"[1.2.3.4]", "[2001:db8::1", "2001:db8::1]", "[2001:db8::1]x", "[2001:db8::1]:", "[2001:db8::1]:x", "localhost", "localhost:80", "0x7f.1", "2130706433",
		"1.2.3.4, 5.6.7.8", "1.2.3.4/32", "1.2.3.4 ", "1.2.3.4:_<", "unknown", "_x", `"1.2.3.4`, "for=for=1.2.3.4",
	} {
		if a, ok := clientip.Parse(text); ok {
			t.Errorf("%q: %s", text, a)
		}
	}
}

func TestANetworkOfIPv4InsideIPv6IsOneOfIPv4(t *testing.T) {
	for text, want := range map[string]string{
		"::ffff:127.0.0.1/128": "127.0.0.1/32", "::ffff:10.1.2.3/104": "10.0.0.0/8", "::ffff:0:0/96": "0.0.0.0/0", "::ffff:127.0.0.1": "127.0.0.1/32",
		"10.1.2.3/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "2001:db8::1/64": "2001:db8::/64", "2001:db8::1": "2001:db8::1/128", "::/0": "::/0",
	} {
		if got, err := clientip.ParseNetwork(text); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "10.0.0.0/33", "10.0.0.1,", "fe80::1%eth0", "fe80::%eth0/64", "::ffff:0:0/95", "1.2.3.4:80"} {
		if got, err := clientip.ParseNetwork(text); err == nil {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestIPv6IsCountedBy64And48AndIPv4ByAddress(t *testing.T) {
	for text, want := range map[string][2]string{
		"203.0.113.9":          {"203.0.113.9/32", ""},
		"::ffff:203.0.113.9":   {"203.0.113.9/32", ""},
		"2001:db8:1:2:3:4:5:6": {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"fe80::1%eth0":         {"fe80::/64", "fe80::/48"},
	} {
		a := netip.MustParseAddr(text)
		wide, ok := clientip.Wide(a)
		if got := clientip.Bucket(a).String(); got != want[0] || ok != (want[1] != "") || ok && wide.String() != want[1] {
			t.Errorf("%s: %s and %s", text, got, wide)
		}
	}
	if _, ok := clientip.Wide(netip.Addr{}); ok || clientip.Bucket(netip.Addr{}).IsValid() {
		t.Error("an invalid address is counted")
	}
}

func FuzzAChainNeverPanicsAndNeverBelievesAStranger(f *testing.F) {
	for _, s := range []string{"203.0.113.7:5555", "[2001:db8::1]:80", `for="[2001:db8::1]"`, "unknown, 10.0.0.2", ",,", "10.0.0.1, ::ffff:10.0.0.2"} {
		f.Add("10.0.0.1:1", s)
		f.Add("203.0.113.9:1", s)
	}
	p := clientip.New([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	f.Fuzz(func(t *testing.T, remote, forwarded string) {
		got := p.Client(remote, http.Header{clientip.Header: {forwarded}})
		peer, ok := clientip.Parse(remote)
		if !ok && got.IsValid() || ok && !p.Trusts(peer) && got != peer {
			t.Fatalf("%s from %q, %q", got, remote, forwarded)
		}
		if got.Is4In6() || got.Zone() != "" || ok && !got.IsValid() {
			t.Fatalf("%s", got)
		}
		// What a client writes before a proxy's report changes nothing.
		honest := p.Client(remote, http.Header{clientip.Header: {"198.51.100.77"}})
		if claimed := p.Client(remote, http.Header{clientip.Header: {forwarded, "198.51.100.77"}}); claimed != honest {
			t.Fatalf("%q changed %s into %s", forwarded, honest, claimed)
		}
	})
}

func BenchmarkClient(b *testing.B) {
	p := clientip.New([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	h := http.Header{clientip.Header: {"203.0.113.9, 10.0.0.2"}}
	b.ReportAllocs()
	for b.Loop() {
		p.Client("10.0.0.1:1234", h)
	}
}

func TestAnAddressInTextIsCountedAsTheAddressIs(t *testing.T) {
	for text, want := range map[string][]clientip.Counted{
		"203.0.113.9":          {{Name: "203.0.113.9/32", Factor: 1}},
		"2001:db8:1:2:3:4:5:6": {{Name: "2001:db8:1:2::/64", Factor: 1}, {Name: "2001:db8:1::/48", Factor: 16}},
		"":                     {{Name: "", Factor: 1}},
		"@":                    {{Name: "@", Factor: 1}},
	} {
		if got := clientip.CountedUnder(text); !slices.Equal(got, want) || clientip.BucketOf(text) != want[0].Name {
			t.Errorf("%q: %v", text, got)
		}
	}
}
