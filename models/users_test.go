package models

import "testing"

func TestNoAddressCarriesAURLIntoAMailToAnotherPerson(t *testing.T) {
	for address, want := range map[string]string{
		"ada@example.com": "ada@example.com", "a.b+c_d-e@example.com": "a.b+c_d-e@example.com",
		"o'neil@example.com": "o'neil@example.com", "jörg@example.com": "jörg@example.com",
		"www.evil.example/prize@example.com": "a member", "www.evil.example?x=1@example.com": "a member",
		"ada+/www.evil.example/x@example.com": "a member", "www.evil.example#x@example.com": "a member",
		"\"http://evil.example\"@example.com": "a member", "@example.com": "a member", "ada": "a member",
	} {
		if got := AddressInText(address, "a member"); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}
