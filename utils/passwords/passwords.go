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

const (
	// maxDecoration is how many digits and signs around a word do not hide it:
	// guessing tools try all of the usual ones ("Password2024!").
	maxDecoration = 8
	// maxUnit is the longest text whose mere repetition is refused whatever it
	// is; a longer one has to be on the list.
	maxUnit = 4
)

// List tells common passwords. Build it once; it is safe for concurrent use.
type List struct{ words map[string]struct{} }

// New reads the list.
func New() *List {
	l := &List{words: make(map[string]struct{}, 1100)}
	for word := range strings.Lines(common) {
		l.words[strings.TrimRight(word, "\n")] = struct{}{}
	}
	return l
}

// Common tells whether a password is on the list in any case, or is what
// guessing tools make of one that is: with digits and signs around it, with
// digits for letters, twice in a row; or is one short text repeated, or
// characters that follow each other ("abcdefghij", "9876543210").
func (l *List) Common(password string) bool {
	folded := strings.ToLower(strings.TrimSpace(password))
	if l.known(folded) || run(folded) {
		return true
	}
	if word := strings.TrimFunc(folded, decorates); word != "" && len(folded)-len(word) <= maxDecoration && l.known(word) {
		return true
	}
	unit, repeated := repetition(folded)
	return repeated && (len(unit) <= maxUnit || l.known(unit))
}

// known looks a folded word up, as it is and with letters for the digits and
// signs that stand for them.
func (l *List) known(word string) bool {
	if _, ok := l.words[word]; ok {
		return true
	}
	_, ok := l.words[strings.Map(plain, word)]
	return ok
}

// plain undoes the usual substitutions.
func plain(r rune) rune {
	switch r {
	case '0':
		return 'o'
	case '1', '!':
		return 'i'
	case '3':
		return 'e'
	case '4', '@':
		return 'a'
	case '5', '$':
		return 's'
	case '7':
		return 't'
	}
	return r
}

func decorates(r rune) bool { return !unicode.IsLetter(r) }

// run tells whether each character is the one before it plus one, or minus
// one; 9 and 0 are neighbours, as on the keyboard.
func run(text string) bool {
	up, down := true, true
	var before rune
	for i, r := range text {
		if i > 0 {
			up = up && (r == before+1 || before == '9' && r == '0')
			down = down && (r == before-1 || before == '0' && r == '9')
		}
		before = r
	}
	return up || down
}

// repetition gives the shortest text that, repeated, is the whole.
func repetition(text string) (unit string, repeated bool) {
	// A text is a repetition exactly if it occurs within itself doubled,
	// elsewhere than at the ends.
	at := strings.Index((text + text)[min(1, len(text)):], text)
	if at < 0 || at+1 >= len(text) {
		return text, false
	}
	return text[:at+1], true
}
