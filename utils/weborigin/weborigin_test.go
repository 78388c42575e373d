package weborigin

import "testing"

func TestAnOriginIsWrittenAsBrowsersSendIt(t *testing.T) {
	for given, want := range map[string]string{
		"https://app.example.com":      "https://app.example.com",
		"HTTPS://App.Example.COM":      "https://app.example.com",
		"https://app.example.com:443":  "https://app.example.com",
		"https://app.example.com:0443": "https://app.example.com",
		"https://app.example.com:":     "https://app.example.com",
		"http://app.example.com:80":    "http://app.example.com",
		"http://app.example.com:443":   "http://app.example.com:443",
		"https://app.example.com:80":   "https://app.example.com:80",
		"http://localhost:03000":       "http://localhost:3000",
		"https://[::1]:443":            "https://[::1]",
		"https://[2001:DB8::1]:8080":   "https://[2001:db8::1]:8080",
		"null":                         "null",
		"":                             "",
	} {
		if got := Serialize(given); got != want {
			t.Errorf("Serialize(%q) = %q, want %q", given, got, want)
		}
	}
}
