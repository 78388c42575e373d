package safedial

import "errors"

// Refusal gives the error of a check as the one who named the URL may read it. It does
// not repeat the URL, which may hold a secret. nil for a URL that is allowed, and for
// one whose name cannot be looked up now.
func Refusal(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrLookup):
		return nil
	case errors.Is(err, ErrRefused):
		return errors.New("must not lead to a private, local or reserved address")
	}
	return errors.New("must be a URL with an allowed scheme and a plain host")
}
