package safedial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/idna"
)

// Why a target is refused; use errors.Is. Their texts name no address: they
// may be shown to those who named the target.
var (
	// ErrURL: not an absolute URL of an allowed scheme with a plain host.
	ErrURL = errors.New("the target is no URL that can be used")
	// ErrRefused: the host is, or resolves to, an address that is not public.
	ErrRefused = errors.New("the target's address is not allowed")
	// ErrLookup: the host's addresses could not be found out.
	ErrLookup = errors.New("the target's name could not be resolved")
)

// maxURL bounds a target, in bytes.
const maxURL = 2048

// maxName bounds a host name (RFC 1035, section 2.3.4).
const maxName = 253

// maxAddresses bounds how many addresses of a name are tried.
const maxAddresses = 16

// Resolver finds the addresses of a name, as net.Resolver does.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options say what may be reached. The zero value is for the open internet:
// https to public addresses.
type Options struct {
	// AllowPrivate opens loopback and private networks, for installations
	// whose targets stand beside them. Link-local and metadata addresses stay
	// refused.
	AllowPrivate bool
	// AllowHTTP also takes http.
	AllowHTTP bool
	// Schemes replaces https (and http) in CheckURL, for targets that others
	// dial, such as rtmp and rtmps. The HTTP client knows http and https only.
	Schemes []string
	// AllowUser takes user:password@ in a URL.
	AllowUser bool
	// Resolver is net.DefaultResolver if nil.
	Resolver Resolver
	// DialTimeout bounds look-up and connecting; zero: 5 s.
	DialTimeout time.Duration
	// Client has what only NewClient uses.
	Client ClientOptions
}

// Guard judges targets. It is safe for concurrent use.
type Guard struct {
	o       Options
	schemes []string
	dialer  net.Dialer
}

// New makes a guard.
func New(o Options) *Guard {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = 5 * time.Second
	}
	g := &Guard{o: o, schemes: o.Schemes}
	if g.schemes == nil {
		g.schemes = []string{"https"}
		if o.AllowHTTP {
			g.schemes = append(g.schemes, "http")
		}
	}
	g.dialer.Control = g.Control
	return g
}

// CheckURL reports whether a target may be stored: an absolute URL of an allowed
// scheme, all of whose host's addresses may be reached now. What it says holds
// for this moment; DialContext judges again, so that a target may be stored in
// spite of ErrLookup. ErrURL, ErrRefused or ErrLookup.
func (g *Guard) CheckURL(ctx context.Context, raw string) error {
	u, err := g.parse(raw)
	if err != nil {
		return err
	}
	_, err = g.resolve(ctx, "ip", u.Hostname())
	return err
}

// parse checks what of a URL can be seen without a look-up.
func (g *Guard) parse(raw string) (*url.URL, error) {
	if len(raw) > maxURL || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return nil, fmt.Errorf("%w: it must be at most %d bytes without spaces, control characters or \\", ErrURL, maxURL)
	}
	u, err := url.Parse(raw)
	if err != nil { // whose text would repeat what may hold a password
		return nil, ErrURL
	}
	return u, g.checkParts(u)
}

func (g *Guard) checkParts(u *url.URL) error {
	switch port, err := strconv.ParseUint(u.Port(), 10, 16); {
	case !slices.Contains(g.schemes, u.Scheme):
		return fmt.Errorf("%w: its scheme must be %s", ErrURL, strings.Join(g.schemes, " or "))
	case u.Opaque != "" || u.Hostname() == "":
		return fmt.Errorf("%w: it has no host", ErrURL)
	case u.User != nil && !g.o.AllowUser:
		return fmt.Errorf("%w: it must not hold a user or password", ErrURL)
	case u.Port() != "" && (err != nil || port == 0), u.Port() == "" && strings.HasSuffix(u.Host, ":"):
		return fmt.Errorf("%w: its port must be from 1 to 65535", ErrURL)
	}
	_, _, err := g.host(u.Hostname())
	return err
}

// host brings a host into the form that is looked up, or gives the address it
// is. ErrURL or ErrRefused.
func (g *Guard) host(text string) (name string, address netip.Addr, err error) {
	if strings.Contains(text, ":") || strings.Contains(text, "%") {
		address, err = netip.ParseAddr(text)
		if err != nil {
			return "", netip.Addr{}, ErrURL
		}
		return "", address, g.CheckAddr(address)
	}
	name, err = lookedUp(text)
	if err != nil {
		return "", netip.Addr{}, err
	}
	if endsInNumber(name) {
		// The system's resolver may take any of inet_aton's spellings.
		address, err = netip.ParseAddr(name)
		if err != nil {
			return "", netip.Addr{}, fmt.Errorf("%w: an IPv4 address must be four decimal numbers", ErrRefused)
		}
		return "", address, g.CheckAddr(address)
	}
	if local := name == "localhost" || strings.HasSuffix(name, ".localhost"); local && !g.o.AllowPrivate {
		return "", netip.Addr{}, ErrRefused // RFC 6761, section 6.3
	}
	return name, netip.Addr{}, nil
}

// lookedUp gives a host name as it is looked up, without the dot at its end.
func lookedUp(text string) (string, error) {
	wrong := fmt.Errorf("%w: its host is no name", ErrURL)
	if strings.ContainsFunc(text, func(r rune) bool { return r > 0x7f }) {
		// Full-width digits and the like become what net/http dials.
		ascii, err := idna.Lookup.ToASCII(text)
		if err != nil {
			return "", wrong
		}
		text = ascii
	}
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if len(name) > maxName {
		return "", wrong
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", wrong
		}
	}
	return name, nil
}

// endsInNumber tells a host that is to be an IPv4 address: its last label is a
// number, decimal or hex (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// CheckAddr reports whether an address may be connected to: nil or ErrRefused.
func (g *Guard) CheckAddr(a netip.Addr) error {
	if !reachable(a, g.o.AllowPrivate) {
		return ErrRefused
	}
	return nil
}

// resolve gives the addresses of a host, all of which may be reached.
func (g *Guard) resolve(ctx context.Context, network, host string) ([]netip.Addr, error) {
	name, address, err := g.host(host)
	if err != nil {
		return nil, err
	}
	if address.IsValid() {
		return []netip.Addr{address.Unmap()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, g.o.DialTimeout)
	defer cancel()
	if !g.o.AllowPrivate {
		name += "." // the system's search domains name hosts of its own network
	}
	found, err := g.o.Resolver.LookupNetIP(ctx, network, name)
	if err != nil || len(found) == 0 {
		return nil, ErrLookup
	}
	for _, a := range found {
		if err := g.CheckAddr(a); err != nil {
			return nil, err
		}
	}
	return found[:min(len(found), maxAddresses)], nil
}

// Control is a net.Dialer's: it judges the address a socket is about to
// connect to.
func (g *Guard) Control(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return ErrRefused
	}
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return ErrRefused
	}
	return g.CheckAddr(a.Addr())
}

// DialContext connects to host:port, as net.Dialer's does, if every address of
// the host may be reached. ErrURL, ErrRefused, ErrLookup or the error of
// connecting.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	kind, ok := map[string]string{"tcp": "ip", "tcp4": "ip4", "tcp6": "ip6"}[network]
	if !ok {
		return nil, ErrRefused
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, ErrURL
	}
	ctx, cancel := context.WithTimeout(ctx, g.o.DialTimeout)
	defer cancel()
	found, err := g.resolve(ctx, kind, host)
	if err != nil {
		return nil, err
	}
	var failed error
	for i, a := range found {
		conn, err := g.dialOne(ctx, network, net.JoinHostPort(a.Unmap().String(), port), len(found)-i)
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// dialOne leaves the addresses that are left to try their share of the time.
func (g *Guard) dialOne(ctx context.Context, network, address string, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	return g.dialer.DialContext(ctx, network, address)
}
