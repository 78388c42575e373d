package passwords

import (
	_ "embed"
	"strings"
	"unicode"
)

// common is the 1,000 most common passwords of any length, and every one of at
// least ten characters, of the list that John the Ripper tries first
// (password.lst, Openwall, in the public domain), most common first, folded to
// lower case.
//
//go:embed common.txt
var common string

// maxSuffix is how many digits and signs after a listed word are ignored:
// guessing tools append the usual ones ("password123!").
const maxSuffix = 5

// List recognises common passwords. New builds it, once; it is safe for
// concurrent use.
type List struct{ words map[string]struct{} }

// New reads the embedded list.
func New() *List {
	l := &List{words: make(map[string]struct{}, 1100)}
	for word := range strings.Lines(common) {
		l.words[strings.TrimRight(word, "\n")] = struct{}{}
	}
	return l
}

// Common reports whether a password is on the list, in upper or lower case, or
// is a listed word with at most five digits and signs after it.
func (l *List) Common(password string) bool {
	folded := strings.ToLower(strings.TrimSpace(password))
	if _, ok := l.words[folded]; ok {
		return true
	}
	word := strings.TrimRightFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) })
	_, ok := l.words[word]
	return ok && len(folded)-len(word) <= maxSuffix
}
