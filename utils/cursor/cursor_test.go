package cursor_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pulse-control-plane/utils/cursor"
)

func codec() *cursor.Codec { return cursor.New([]byte("a key of a test, 32 bytes long..")) }

func TestDecodeReturnsThePartsOfEncode(t *testing.T) {
	for _, parts := range [][]string{nil, {""}, {"prj_1"}, {"", "", ""}, {"2026-01-01T00:00:00Z", "evt_1"}, {"a\x00b", "é|{}"}, {strings.Repeat("x", 360)}} {
		text := codec().Encode("projects|org_1", parts...)
		if len(text) > cursor.MaxLength {
			t.Errorf("%q: %d characters", parts, len(text))
		}
		got, err := codec().Decode("projects|org_1", text)
		if err != nil || !slices.Equal(got, parts) {
			t.Errorf("%q came back as %q, %v", parts, got, err)
		}
	}
}

func TestACursorOfAnotherTenantOrListIsRefused(t *testing.T) {
	text := codec().Encode("projects|org_1", "prj_1")
	for _, scope := range []string{"projects|org_2", "keys|org_1", "", "projects|org_1\x05prj_1"} {
		if parts, err := codec().Decode(scope, text); !errors.Is(err, cursor.ErrInvalid) {
			t.Errorf("scope %q reads %q", scope, parts)
		}
	}
	if _, err := cursor.New([]byte("another key")).Decode("projects|org_1", text); !errors.Is(err, cursor.ErrInvalid) {
		t.Error("another key reads it")
	}
}

func TestScopeAndPartsCannotBeShiftedIntoEachOther(t *testing.T) {
	if codec().Encode("a", "b", "c") == codec().Encode("a", "b\x01c") || codec().Encode("ab", "c") == codec().Encode("a", "bc") {
		t.Fatal("two different cursors look the same")
	}
}

func TestAnAlteredCursorIsRefused(t *testing.T) {
	text := codec().Encode("s", "prj_01981e8a-7b2c-7def-8abc-0123456789ab")
	for i := range text {
		for _, c := range "Az0-_=!\n" {
			if altered := text[:i] + string(c) + text[i+1:]; altered != text {
				if parts, err := codec().Decode("s", altered); !errors.Is(err, cursor.ErrInvalid) {
					t.Fatalf("%q reads %q", altered, parts)
				}
			}
		}
		if _, err := codec().Decode("s", text[:i]); !errors.Is(err, cursor.ErrInvalid) {
			t.Fatalf("cut to %d characters it is read", i)
		}
	}
	for _, other := range []string{text + "\n", text + "=", text + "A", " " + text, strings.Repeat("A", 1<<20)} {
		if _, err := codec().Decode("s", other); !errors.Is(err, cursor.ErrInvalid) {
			t.Fatalf("%.80q is read", other)
		}
	}
}

func TestPartsBeyondTheMaximumAreAProgrammingError(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a cursor was made that can not be read")
		}
	}()
	codec().Encode("s", strings.Repeat("x", cursor.MaxContent))
}

func FuzzDecode(f *testing.F) {
	f.Add("s", codec().Encode("s", "a", "b"))
	f.Add("s", "")
	f.Add("", "AAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, scope, text string) {
		parts, err := codec().Decode(scope, text)
		if err == nil && codec().Encode(scope, parts...) != text {
			t.Fatalf("%q was read as %q, which is written otherwise", text, parts)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add("scope", "a", "b")
	f.Fuzz(func(t *testing.T, scope, a, b string) {
		if len(a)+len(b)+4 > cursor.MaxContent {
			return
		}
		text := codec().Encode(scope, a, b)
		parts, err := codec().Decode(scope, text)
		if err != nil || !slices.Equal(parts, []string{a, b}) || len(text) > cursor.MaxLength {
			t.Fatalf("%q %q came back as %q, %v", a, b, parts, err)
		}
	})
}

func TestCursorsOfAnOlderKeyStayValidWhileItIsListed(t *testing.T) {
	text := cursor.New([]byte("old")).Encode("s", "a")
	if parts, err := cursor.New([]byte("new"), []byte("old")).Decode("s", text); err != nil || !slices.Equal(parts, []string{"a"}) {
		t.Errorf("got %q, %v", parts, err)
	}
	if _, err := cursor.New([]byte("new")).Decode("s", text); !errors.Is(err, cursor.ErrInvalid) {
		t.Errorf("without the old key: %v", err)
	}
	if _, err := cursor.New([]byte("old")).Decode("s", cursor.New([]byte("new"), []byte("old")).Encode("s", "a")); !errors.Is(err, cursor.ErrInvalid) {
		t.Errorf("the second key made a cursor: %v", err)
	}
}
