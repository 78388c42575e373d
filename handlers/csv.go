package handlers

import (
	"strings"
	"unicode"
)

// formula begins a formula, also in the full width of East Asian locales.
const formula = "=+-@\t\r\uff1d\uff0b\uff0d\uff20"

// cell makes text safe in a spreadsheet, which reads a cell that begins with one
// of = + - @ as a formula (https://owasp.org/www-community/attacks/CSV_Injection).
// Spreadsheets of many locales split cells at semicolons, and some at tabs, so
// each part is made safe.
func cell(text string) string {
	if !strings.ContainsAny(text, formula) {
		return text
	}
	var out strings.Builder
	begins := true
	for _, r := range text {
		if begins && strings.ContainsRune(formula, r) {
			out.WriteByte('\'')
		}
		out.WriteRune(r)
		// Spaces before a formula are skipped by some.
		begins = strings.ContainsRune(";,\t\r\n\"", r) || begins && unicode.IsSpace(r)
	}
	return out.String()
}
