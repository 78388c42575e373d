package authorization

import (
	"encoding/base64"
	"strings"
)

// blank is what may stand between the parts of a field.
const blank = " \t"

// Split gives the scheme and the credential of a field's value; the credential is
// empty if there is one word only.
func Split(value string) (scheme, credential string) {
	value = strings.Trim(value, blank)
	end := strings.IndexAny(value, blank)
	if end < 0 {
		return value, ""
	}
	return value[:end], strings.TrimLeft(value[end:], blank)
}

// Bearer gives the credential of the scheme Bearer, in any case; "" for none and for
// another scheme (RFC 6750, section 2.1).
func Bearer(value string) string {
	scheme, credential := Split(value)
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return credential
}

// Basic reads the credential of the scheme Basic (RFC 7617); false if it can't be read.
func Basic(credential string) (user, password string, ok bool) {
	plain, err := base64.StdEncoding.DecodeString(credential)
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(plain), ":")
}
