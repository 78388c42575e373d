package routes_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pulse-control-plane/handlers"
)

// proxied lets 10.0.0.0/8 say on whose behalf it asks.
func proxied(perMinute int) func(*setup) {
	return func(o *setup) {
		o.ipPerMinute, o.proxies = perMinute, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	}
}

func forwarded(chain string) with { return header("X-Forwarded-For", chain) }

func TestAPortInTheChainNeitherShutsOutNorLetsThrough(t *testing.T) {
	s := newServer(t, proxied(1))
	proxy := from("10.1.1.1")
	s.do(http.MethodGet, "/v1/status", nil, proxy, forwarded("203.0.113.7:5555")).want(http.StatusOK)
	s.do(http.MethodGet, "/v1/status", nil, proxy, forwarded("203.0.113.8:5555")).want(http.StatusOK)
	s.do(http.MethodGet, "/v1/status", nil, proxy, forwarded("203.0.113.7:6666")).want(http.StatusTooManyRequests)
	s.do(http.MethodGet, "/v1/status", nil, proxy, forwarded("[2001:db8:5::1]:5555")).want(http.StatusOK)
	s.do(http.MethodGet, "/v1/status", nil, proxy, forwarded("2001:db8:5::1")).want(http.StatusTooManyRequests)
}

func TestNoHeaderButXForwardedForNamesAnAddress(t *testing.T) {
	s := newServer(t, proxied(1))
	for n, name := range []string{"X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP", "X-Forwarded"} {
		value := fmt.Sprintf("203.0.113.%d", n)
		if name == "Forwarded" {
			value = "for=" + value
		}
		want := http.StatusTooManyRequests
		if n == 0 {
			want = http.StatusOK // the proxy's own
		}
		s.do(http.MethodGet, "/v1/status", nil, from("10.1.1.1"), header(name, value)).want(want)
	}
}

func TestAddressesOfOneIPv6CustomerAreCountedTogether(t *testing.T) {
	s := newServer(t, func(o *setup) { o.ipPerMinute = 2 })
	ask := func(address string) *answer {
		return s.do(http.MethodGet, "/v1/status", nil, from("["+address+"]"))
	}
	ask("2001:db8:1:1::1").want(http.StatusOK)
	ask("2001:db8:1:1:ffff::2").want(http.StatusOK)
	ask("2001:db8:1:1::3").refused(http.StatusTooManyRequests, "rate_limited")
	// Another /64 of the same /48 has its own, until the /48 has had sixteen
	// times as much.
	allowed := 0
	for n := range 100 {
		if ask(fmt.Sprintf("2001:db8:1:%x::1", 0x100+n)).status == http.StatusOK {
			allowed++
		}
	}
	if allowed != 16*2-2 {
		t.Errorf("%d of 100 networks of one /48 were let through", allowed)
	}
	ask("2001:db8:2::1").want(http.StatusOK)
}

func TestTheAddressThatIsLoggedAuditedAndHeldToAKeysNetworksIsTheSame(t *testing.T) {
	s := newServer(t, proxied(1000))
	ada := s.tenant("ada")
	chain := both(from("10.1.1.1"), forwarded("198.51.100.1, [::ffff:203.0.113.7]:5555"))
	made := read[handlers.CreatedAPIKey](s.do(http.MethodPost, "/v1/projects/"+ada.project+"/keys",
		map[string]any{"name": "k", "allowed_ips": []string{"::ffff:203.0.113.7/128", "::ffff:192.0.2.0/120"}}, ada.asPerson, chain).want(http.StatusCreated))
	if got := made.Key.AllowedIPs; !slices.Equal(got, []string{"203.0.113.7/32", "192.0.2.0/24"}) {
		t.Errorf("allowed_ips %q", got)
	}
	key := asKey(made.PulseAPIKey)
	s.log.Reset()
	s.do(http.MethodPost, create, nil, key, chain).want(http.StatusCreated)
	if log := s.log.String(); !strings.Contains(log, `"ip":"203.0.113.7"`) {
		t.Errorf("logged: %s", log)
	}
	s.do(http.MethodPost, create, nil, key, from("192.0.2.44")).want(http.StatusCreated)
	s.do(http.MethodPost, create, nil, key, from("10.1.1.1"), forwarded("203.0.113.7, 203.0.113.8:1")).want(http.StatusForbidden)
	s.do(http.MethodPost, create, nil, key, from("203.0.113.8"), forwarded("203.0.113.7")).want(http.StatusForbidden)
	logs := s.do(http.MethodGet, "/v1/audit-logs?action=key.created", nil, ada.asPerson).want(http.StatusOK)
	if !strings.Contains(string(logs.body), `"203.0.113.7"`) {
		t.Errorf("audited: %s", logs.body)
	}
}
