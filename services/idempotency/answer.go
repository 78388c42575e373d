package idempotency

import (
	"bytes"
	"strings"
)

// withCookies begins what is kept of an answer with cookies: these, one a line, and
// the body follow. No body begins with it.
const withCookies = "\x01"

// pack gives what is kept of an answer besides its status and type: the body alone
// if there are no cookies.
func (a *Answer) pack() []byte {
	if len(a.Cookies) == 0 {
		return a.Body
	}
	return append([]byte(withCookies+strings.Join(a.Cookies, "\n")+withCookies), a.Body...)
}

// unpack reads what pack gave.
func (a *Answer) unpack(kept []byte) {
	a.Body = kept
	if rest, ok := bytes.CutPrefix(kept, []byte(withCookies)); ok {
		cookies, body, _ := bytes.Cut(rest, []byte(withCookies))
		a.Cookies, a.Body = strings.Split(string(cookies), "\n"), body
	}
}
