package weborigin

import (
	"net/url"
	"strconv"
	"strings"
)

// Serialize gives an http or https origin as browsers send it: scheme and host in
// lower case, without the scheme's own port or zeros before another. A text that is
// no such origin stays as it is.
func Serialize(origin string) string {
	u, err := url.Parse(strings.ToLower(origin))
	if err != nil || u.Host == "" {
		return origin
	}
	port, host := u.Port(), strings.TrimSuffix(u.Host, ":"+u.Port())
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		port = strconv.FormatUint(n, 10)
	}
	switch {
	case port == "", u.Scheme == "https" && port == "443", u.Scheme == "http" && port == "80":
		return u.Scheme + "://" + host
	}
	return u.Scheme + "://" + host + ":" + port
}
