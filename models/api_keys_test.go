package models

import "testing"

func TestAnIPv4AddressInsideIPv6MeansTheIPv4Address(t *testing.T) {
	for text, want := range map[string]string{
		"::ffff:127.0.0.1": "127.0.0.1/32", "::ffff:127.0.0.1/128": "127.0.0.1/32", "::ffff:203.0.113.7/120": "203.0.113.0/24",
		"::ffff:0:0/96": "0.0.0.0/0", "203.0.113.7/24": "203.0.113.0/24", "2001:db8::1": "2001:db8::1/128", "::/0": "::/0",
	} {
		if got, err := ParseAllowedIP(text); err != nil || got.String() != want {
			t.Errorf("%s is %s, %v; want %s", text, got, err, want)
		}
	}
}
