package smtpurl

import (
	"strings"
	"testing"
)

func TestAPasswordIsNotSentInTheClearUnlessAsked(t *testing.T) {
	for text, want := range map[string]Encryption{
		"smtp://u:p@mail.example.com?from=a@example.com":              Required,
		"smtp://mail.example.com:25?from=a@example.com":               Optional,
		"smtp://u:p@mail.example.com:25?from=a@example.com&tls=off":   Off,
		"smtps://u:p@mail.example.com?from=Pulse%20%3Ca@example.com>": Implicit,
	} {
		s, err := Parse(text)
		if err != nil || s.Encryption != want {
			t.Errorf("%s: %s, %v", text, s.Encryption, err)
		}
	}
}

func TestInvalidURLsAreRefusedWithoutRepeatingThem(t *testing.T) {
	for _, text := range []string{
		"", "mail.example.com", "http://hunter2@mail?from=a@b.c", "smtp://u:hunter2@mail", "smtp://u:hunter2@mail?from=nobody",
		"smtp://u:hunter2@mail:99999?from=a@b.c", "smtp://u:hunter2@?from=a@b.c", "smtp://u:hunter2@mail/x?from=a@b.c",
		"smtp://u:hunter2@mail?from=a@b.c&tls=maybe", "smtps://u:hunter2@mail?from=a@b.c&tls=off", "smtp://u:hunter2@mail?form=a@b.c",
		"smtp://u:hunter2%zz@mail?from=a@b.c",
	} {
		_, err := Parse(text)
		if err == nil {
			t.Errorf("%q was accepted", text)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q is repeated in %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("smtp://u:p@mail.example.com:25?from=a@example.com&tls=off")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := Parse(text); err == nil && (s.Host == "" || s.Port < 1 || s.Port > 65535 || s.From.Address == "") {
			t.Fatalf("%q gives %+v", text, s)
		}
	})
}
