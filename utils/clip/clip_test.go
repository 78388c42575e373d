package clip

import "testing"

func TestATextIsClippedBetweenCharacters(t *testing.T) {
	for text, want := range map[string]string{"": "", "abc": "abc", "abcd": "abcd", "abcde": "abcd", "aüüü": "aü", "a\xffb": "ab"} {
		if got := Bytes(text, 4); got != want {
			t.Errorf("%q is clipped to %q, want %q", text, got, want)
		}
	}
}
