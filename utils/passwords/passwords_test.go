package passwords

import (
	"strings"
	"testing"
)

func TestTheThousandMostCommonPasswordsAreCommonInAnyCase(t *testing.T) {
	l, seen := New(), 0
	for word := range strings.Lines(common) {
		word = strings.TrimSpace(word)
		seen++
		if !l.Common(word) || !l.Common(strings.ToUpper(word)) {
			t.Errorf("%q was let through", word)
		}
	}
	if seen < 1000 {
		t.Errorf("the list has %d", seen)
	}
}

func TestACommonPasswordWithAUsualSuffixIsCommon(t *testing.T) {
	l := New()
	for _, password := range []string{
		"Password2024!", "password123", "Qwertyuiop", "0123456789", "1234567890", " password1234 ",
	} {
		if !l.Common(password) {
			t.Errorf("%q was let through", password)
		}
	}
}

func TestAnUnlistedPasswordIsNotCommon(t *testing.T) {
	l := New()
	for _, password := range []string{
		"correct horse battery staple", "vT9#kd0_qLw2", "monkey84019284710293", "Tr0ub4dor&3x", "ein langer Satz", "xxxxxxxxxx", "пароль-не-из-списка",
	} {
		if l.Common(password) {
			t.Errorf("%q was refused", password)
		}
	}
}

func FuzzWhiteSpaceHidesNoCommonPassword(f *testing.F) {
	f.Add("passwordpassword")
	f.Add("\xff\x00")
	l := New()
	f.Fuzz(func(t *testing.T, password string) {
		if l.Common(password) != l.Common(" "+password) {
			t.Fatal("white space around a password makes another of it")
		}
	})
}
