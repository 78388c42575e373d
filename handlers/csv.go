package handlers

import "strings"

// cell makes text safe in a spreadsheet, which reads a cell that begins with one
// of = + - @ as a formula (https://owasp.org/www-community/attacks/CSV_Injection).
// Spreadsheets of many locales split cells at semicolons, and some at tabs, so
// each part is made safe.
func cell(text string) string {
	if !strings.ContainsAny(text, "=+-@\t\r") {
		return text
	}
	var out strings.Builder
	begins := true
	for _, r := range text {
		if begins && strings.ContainsRune("=+-@\t\r", r) {
			out.WriteByte('\'')
		}
		out.WriteRune(r)
		// Spaces before a formula are skipped by some.
		begins = strings.ContainsRune(";,\t\r\n\"", r) || begins && r == ' '
	}
	return out.String()
}
