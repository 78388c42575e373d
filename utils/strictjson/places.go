package strictjson

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// step is the way from an object or array to a place in it: a name, or an
// index where the name is empty and indexed is true.
type step struct {
	name    string
	index   int
	indexed bool
}

// join names a place: "body" and "name" give "body.name".
func (s step) join(at string) string {
	if s.indexed {
		return at + "[" + strconv.Itoa(s.index) + "]"
	}
	return at + "." + clip(s.name)
}

// clip keeps a name a caller made up short enough to be repeated to them.
func clip(name string) string {
	const most = 128
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// below says an RFC 6901 pointer from a place on the way locations are written.
// A pointer does not tell an index from a name of digits; the former is meant.
func below(at string, p jsontext.Pointer) string {
	for token := range p.Tokens() {
		if len(at) > 512 {
			break
		}
		index, err := strconv.Atoi(token)
		at = step{name: token, index: index, indexed: err == nil}.join(at)
	}
	return at
}

// syntaxMessage says in plain words what jsontext found wrong. Its own texts
// may quote the input and are not repeated.
func syntaxMessage(err error) string {
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		err = syntactic.Err
	}
	switch text := err.Error(); {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return "is given more than once"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "is not valid JSON: it ends too early"
	case strings.Contains(text, "invalid UTF-8"), strings.Contains(text, "invalid surrogate pair"):
		return "is not valid UTF-8"
	default:
		return "is not valid JSON"
	}
}
