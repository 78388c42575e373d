package safedial_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"pulse-control-plane/utils/safedial"
)

// names is a Resolver whose names have these addresses; several lists are given
// one after the other, the last one again and again.
type names map[string][][]string

type resolver struct {
	names names
	asked atomic.Int64
}

func (r *resolver) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	n := r.asked.Add(1)
	lists := r.names[strings.TrimSuffix(host, ".")]
	if len(lists) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var out []netip.Addr
	for _, text := range lists[min(int(n), len(lists))-1] {
		if a := netip.MustParseAddr(text); network == "ip" || a.Is4() == (network == "ip4") {
			out = append(out, a)
		}
	}
	return out, nil
}

func publicNames() *resolver {
	return &resolver{names: names{
		"hooks.example.com":       {{"93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"}},
		"under_score.example.com": {{"93.184.215.14"}},
		"xn--bcher-kva.example":   {{"93.184.215.14"}},
	}}
}

func TestPublicTargetsAreTaken(t *testing.T) {
	g := safedial.New(safedial.Options{Resolver: publicNames()})
	for _, raw := range []string{
		"https://hooks.example.com", "https://hooks.example.com/a?b=c#d", "https://hooks.example.com:8443/", "HTTPS://HOOKS.EXAMPLE.COM./",
		"https://under_score.example.com/", "https://bücher.example/", "https://8.8.8.8/", "https://[2606:4700:4700::1111]/", "https://[::ffff:8.8.8.8]/",
		"https://172.15.255.255/", "https://172.32.0.1/", "https://100.63.255.255/", "https://100.128.0.1/", "https://11.0.0.1/", "https://192.167.1.1/",
	} {
		if err := g.CheckURL(t.Context(), raw); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// inward are the spellings of what a stranger must not reach.
var inward = []string{
	// Loopback in every spelling.
	"127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "2130706433", "017700000001", "0177.0.0.1", "0177.0.0.01", "0x7f000001", "0x7F.0.0.1",
	"0x7f.1", "127.0.0.0x1", "127.0.0.1.", "00000177.0.0.1", "127.000.000.001", "4294967296", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
	"[::ffff:7f00:1]", "[::127.0.0.1]", "[::7f00:1]", "[::ffff:0:127.0.0.1]", "localhost", "LOCALHOST", "localhost.", "a.localhost", "０x7f.1",
	"１２７.０.０.１", "127。0。0。1", "①②⑦.⓪.⓪.①", "[::1%25lo]",
	"name.example.com", "both.example.com", "mapped.example.com",
	// This host.
	"0.0.0.0", "0", "0.1.2.3", "[::]", "[::ffff:0.0.0.0]",
	// Link-local and metadata.
	"169.254.169.254", "169.254.0.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.16689662", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]",
	"[fe80::1]", "[febf::1]", "[fd00:ec2::254]", "[fd20:ce::254]", "100.100.100.200", "192.0.0.192", "168.63.129.16", "metadata.example.com",
	// Private.
	"10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "[fc00::1]", "[fd12:3456::1]", "[fec0::1]", "[::ffff:10.0.0.1]",
	// Carriers' networks.
	"100.64.0.1", "100.127.255.255",
	// IPv4 carried in IPv6.
	"[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b::10.0.0.1]", "[64:ff9b::8.8.8.8]", "[64:ff9b:1::10.0.0.1]",
	"[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[2002:808:808::]", "[2001:0:7f00:1::]", "[2001::80ff:fffe]",
	// Neither unicast nor in use.
	"224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "[ff02::1]", "[100::1]", "[4000::1]", "[5f00::1]",
	"192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "[2001:db8::1]", "[3fff::1]", "[2001:20::1]",
}

func inwardNames() *resolver {
	return &resolver{names: names{
		"name.example.com":     {{"127.0.0.1"}},
		"both.example.com":     {{"93.184.215.14", "10.0.0.1"}},
		"mapped.example.com":   {{"::ffff:127.0.0.1"}},
		"metadata.example.com": {{"169.254.169.254"}},
		"localhost":            {{"127.0.0.1"}},
	}}
}

func TestNoSpellingOfAnInwardAddressIsTakenOrDialled(t *testing.T) {
	g := safedial.New(safedial.Options{Resolver: inwardNames(), AllowHTTP: true})
	for _, host := range inward {
		for _, scheme := range []string{"https://", "http://"} {
			if err := g.CheckURL(t.Context(), scheme+host+"/"); !errors.Is(err, safedial.ErrRefused) {
				t.Errorf("%s%s/: %v", scheme, host, err)
			}
		}
		bare := strings.ReplaceAll(strings.Trim(host, "[]"), "%25", "%")
		conn, err := g.DialContext(t.Context(), "tcp", net.JoinHostPort(bare, "9"))
		if conn != nil || !errors.Is(err, safedial.ErrRefused) {
			t.Errorf("dialling %s: %v", host, err)
		}
	}
}

func TestLinkLocalAndMetadataAreRefusedEvenWherePrivateIsAllowed(t *testing.T) {
	g := safedial.New(safedial.Options{Resolver: inwardNames(), AllowPrivate: true})
	for _, host := range []string{
		"169.254.169.254", "169.254.0.1", "2852039166", "[::ffff:169.254.169.254]", "[fe80::1]", "[fd00:ec2::254]", "[fd20:ce::254]", "100.100.100.200",
		"192.0.0.192", "168.63.129.16", "metadata.example.com", "[64:ff9b::a9fe:a9fe]", "[::169.254.169.254]", "[2002:a9fe:a9fe::1]",
		"0.0.0.0", "[::]", "224.0.0.1", "255.255.255.255", "0x7f.1", "2130706433", "[fe80::1%25eth0]",
	} {
		if err := g.CheckURL(t.Context(), "https://"+host); !errors.Is(err, safedial.ErrRefused) {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{
		"127.0.0.1", "[::1]", "localhost", "localhost.", "10.0.0.1", "192.168.1.1", "100.64.0.1", "[fd12::1]", "[64:ff9b::10.0.0.1]",
		"name.example.com", "both.example.com", "8.8.8.8",
	} {
		if err := g.CheckURL(t.Context(), "https://"+host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestURLsOtherThanPlainOnesOfAnAllowedSchemeAreRefused(t *testing.T) {
	g := safedial.New(safedial.Options{Resolver: publicNames()})
	for _, raw := range []string{
		"", "hooks.example.com", "//hooks.example.com", "http://hooks.example.com", "ftp://hooks.example.com", "file:///etc/passwd", "gopher://hooks.example.com",
		"https:hooks.example.com", "https://", "https:///a", "https://:443/", "https://hooks.example.com:0/", "https://hooks.example.com:65536/",
		"https://hooks.example.com:/", "https://hooks.example.com:http/", "https://user@hooks.example.com/", "https://hooks.example.com@127.0.0.1/",
		"https://127.0.0.1\\@hooks.example.com/", "https://hooks.example.com/\r\nX: y", " https://hooks.example.com", "https://hooks example.com",
		"https://hooks..example.com", "https://.example.com", "https://localhost..", "https://[::1", "https://[hooks.example.com]:x/", "https://%3127.0.0.1/",
		"https://hooks.example.com/" + strings.Repeat("a", 3000), "https://" + strings.Repeat("a.", 200) + "com/", "https://a\u0000b/", "https://a*b.com/",
	} {
		err := g.CheckURL(t.Context(), raw)
		if !errors.Is(err, safedial.ErrURL) {
			t.Errorf("%q: %v", raw, err)
		}
	}
	if err := g.CheckURL(t.Context(), "https://user:hunter2@hooks.example.com:x/"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error repeats a password: %v", err)
	}
}

func TestOtherSchemesAndUsersAreTakenWhereTheyAreNamed(t *testing.T) {
	g := safedial.New(safedial.Options{Resolver: publicNames(), Schemes: []string{"rtmp", "rtmps"}, AllowUser: true})
	if err := g.CheckURL(t.Context(), "rtmps://user:key@hooks.example.com/live/key"); err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]error{"https://hooks.example.com": safedial.ErrURL, "rtmp://10.0.0.1/live": safedial.ErrRefused} {
		if err := g.CheckURL(t.Context(), raw); !errors.Is(err, want) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestUnresolvableNamesAreDistinguishedFromRefusedOnes(t *testing.T) {
	g := safedial.New(safedial.Options{Resolver: &resolver{names: names{"empty.example.com": {{}}}}})
	for _, host := range []string{"missing.example.com", "empty.example.com"} {
		if err := g.CheckURL(t.Context(), "https://"+host); !errors.Is(err, safedial.ErrLookup) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestControlJudgesTheAddressOfTheSocketItself(t *testing.T) {
	g := safedial.New(safedial.Options{})
	for address, network := range map[string]string{
		"127.0.0.1:80": "tcp4", "[::1]:80": "tcp6", "[::ffff:10.0.0.1]:80": "tcp6", "[fe80::1%eth0]:80": "tcp6", "8.8.8.8:53": "udp4", "nonsense": "tcp4", "/run/x.sock": "unix",
	} {
		if err := g.Control(network, address, nil); !errors.Is(err, safedial.ErrRefused) {
			t.Errorf("%s %s: %v", network, address, err)
		}
	}
	if err := g.Control("tcp4", "8.8.8.8:443", nil); err != nil {
		t.Error(err)
	}
}

func FuzzNothingThatIsTakenLeadsInward(f *testing.F) {
	for _, host := range inward {
		f.Add("https://" + host + "/")
	}
	f.Add("https://8.8.8.8/")
	g := safedial.New(safedial.Options{Resolver: &resolver{}})
	f.Fuzz(func(t *testing.T, raw string) {
		if g.CheckURL(t.Context(), raw) != nil {
			return
		}
		// No name resolves here: what passed is an address.
		host := raw[strings.Index(raw, "//")+2:]
		host = host[:strings.IndexAny(host+"/", "/?#")]
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		a, err := netip.ParseAddr(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
		if err != nil {
			t.Skip() // spelled with characters that become digits
		}
		if a = a.Unmap(); !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() {
			t.Fatalf("%q was taken", raw)
		}
	})
}
