package handlers

import "testing"

func TestCSVCellsHoldNoFormulaInAnyLocale(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "room": "room", "a-b": "a-b", "a=b": "a=b", "2026-01-31T12:00:00Z": "2026-01-31T12:00:00Z", "a;b": "a;b",
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "\r=x": "'\r'=x",
		"a;=1+1": "a;'=1+1", "a;;@x": "a;;'@x", "a; =x": "a; '=x", " =x": " '=x", "a,-1": "a,'-1", "a\n=x": "a\n'=x", "a\t=x": "a\t'=x",
		"\uff1d1": "'\uff1d1", "a;\uff20x": "a;'\uff20x", "\u00a0=x": "\u00a0'=x", "\u3000=x": "\u3000'=x", "会＝議": "会＝議",
		`a";=x`: `a";'=x`, `"=x`: `"'=x`,
	} {
		if got := cell(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
