package clip

import "strings"

// Bytes gives the beginning of a text, at most so many bytes of it, as valid UTF-8: a
// character that would be cut is left out.
func Bytes(text string, most int) string {
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}
