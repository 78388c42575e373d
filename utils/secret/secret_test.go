package secret_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"pulse-control-plane/utils/secret"
)

const plain = "correct horse battery staple"

func TestASecretPrintsAsRedactedEverywhere(t *testing.T) {
	value := secret.New(plain)
	type holder struct {
		Public secret.Value
		hidden secret.Value
		Many   []secret.Value
		ByName map[string]secret.Value
		At     *secret.Value
	}
	held := holder{value, value, []secret.Value{value}, map[string]secret.Value{"a": value}, &value}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.30s", "%T%v"} {
		for _, arg := range []any{value, &value, held, &held, []any{value}, held.hidden} {
			fmt.Fprintf(&out, verb+"\n", arg)
		}
	}
	fmt.Fprintln(&out, value, held, errors.New(value.String()))
	if err := json.NewEncoder(&out).Encode(held); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", value, "h", held)
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", value, "h", held)
	log := zerolog.New(&out)
	log.Info().Any("v", value).Interface("h", held).Stringer("s", value).Msgf("%v %+v", value, held)

	for _, leak := range []string{plain, plain[:7], hex.EncodeToString([]byte(plain)), strings.ToUpper(hex.EncodeToString([]byte(plain)))} {
		if strings.Contains(out.String(), leak) {
			t.Fatalf("%q leaks:\n%s", leak, out.String())
		}
	}
	if got := fmt.Sprintf("%v %s %d %#v", value, value, value, value); got != strings.Repeat("[redacted] ", 3)+"[redacted]" {
		t.Fatalf("got %q", got)
	}
	if got, _ := json.Marshal(value); string(got) != `"[redacted]"` {
		t.Fatalf("got %s", got)
	}
}

func TestOnlyRevealGivesTheText(t *testing.T) {
	if got := secret.New(plain).Reveal(); got != plain {
		t.Fatalf("got %q", got)
	}
	var decoded struct{ Password secret.Value }
	if err := json.Unmarshal([]byte(`{"Password":"`+plain+`"}`), &decoded); err != nil || decoded.Password.Reveal() != plain {
		t.Fatalf("got %q, %v", decoded.Password.Reveal(), err)
	}
}

func TestSecretsAreEqualByContent(t *testing.T) {
	a, same, other := secret.New(plain), secret.New(strings.Clone(plain)), secret.New(plain+".")
	if !a.Equal(same) || a.Equal(other) || a.Equal(secret.Value{}) || !secret.New("").Equal(secret.Value{}) {
		t.Fatal("Equal is wrong")
	}
	if a.IsZero() || !secret.New("").IsZero() {
		t.Fatal("IsZero is wrong")
	}
}

func box(t *testing.T, master string) *secret.Box {
	t.Helper()
	return boxes(t, master)
}

// boxes is a box under several master keys.
func boxes(t *testing.T, masters ...string) *secret.Box {
	t.Helper()
	values := make([]secret.Value, len(masters))
	for i, m := range masters {
		values[i] = secret.New(m)
	}
	ring, err := secret.NewRing(values...)
	if err != nil {
		t.Fatal(err)
	}
	made, err := ring.Box("test")
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestABoxOpensWhatItSealed(t *testing.T) {
	b := box(t, "master")
	for _, text := range []string{"", "a", plain, strings.Repeat("x", 1<<16)} {
		sealed, err := b.Seal([]byte(text), "project prj_1")
		if err != nil || !strings.HasPrefix(sealed, "v2."+secret.KeyID(secret.New("master"))+".") || len(text) > 1 && strings.Contains(sealed, text) {
			t.Fatalf("sealed %.20q…: %.60q %v", text, sealed, err)
		}
		again, _ := b.Seal([]byte(text), "project prj_1")
		if again == sealed {
			t.Fatal("the same value sealed twice looks the same")
		}
		opened, err := b.Open(sealed, "project prj_1")
		if err != nil || string(opened) != text {
			t.Fatalf("opened %.20q, %v", opened, err)
		}
	}
}

func TestABoxOpensNothingElse(t *testing.T) {
	b := box(t, "master")
	sealed, _ := b.Seal([]byte(plain), "project prj_1")
	for i := range sealed {
		for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_!\n") {
			altered := []byte(sealed)
			if altered[i] == c {
				continue
			}
			altered[i] = c
			if _, err := b.Open(string(altered), "project prj_1"); !errors.Is(err, secret.ErrUnopened) {
				t.Fatalf("opened with character %d altered to %q (%v)", i, c, err)
			}
		}
		if _, err := b.Open(sealed[:i], "project prj_1"); !errors.Is(err, secret.ErrUnopened) {
			t.Fatalf("opened when cut to %d characters", i)
		}
	}
	for _, longer := range []string{sealed + "\n", sealed + "=", sealed + "A", "v1." + sealed, " " + sealed} {
		if _, err := b.Open(longer, "project prj_1"); !errors.Is(err, secret.ErrUnopened) {
			t.Fatalf("opened %q", longer)
		}
	}
	if _, err := b.Open(sealed, "project prj_2"); !errors.Is(err, secret.ErrUnopened) {
		t.Fatal("opened for another purpose")
	}
	if _, err := box(t, "other").Open(sealed, "project prj_1"); !errors.Is(err, secret.ErrUnopened) {
		t.Fatal("opened under another key")
	}
}

func TestDerivedKeysAreThoseOfRFC5869AndDifferByPurpose(t *testing.T) {
	// Appendix A.3 there: SHA-256, no salt, no info; the first 32 bytes.
	got := hex.EncodeToString(secret.Derive(bytes.Repeat([]byte{0x0b}, 22), ""))
	if got != "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d" {
		t.Fatalf("got %s", got)
	}
	if bytes.Equal(secret.Derive([]byte("m"), "a"), secret.Derive([]byte("m"), "b")) {
		t.Fatal("two purposes share a key")
	}
}

func TestEveryKeyOfARingOpensAndTheFirstSeals(t *testing.T) {
	old, both, fresh := boxes(t, "old"), boxes(t, "fresh", "old"), boxes(t, "fresh")
	before, _ := old.Seal([]byte(plain), "project prj_1")
	after, _ := both.Seal([]byte(plain), "project prj_1")
	for name, row := range map[string]struct {
		box    *secret.Box
		sealed string
		opens  bool
	}{
		"the second key opens":          {both, before, true},
		"the first opens":               {both, after, true},
		"the first alone sealed":        {fresh, after, true},
		"another key does not open":     {fresh, before, false},
		"the second key sealed nothing": {old, after, false},
	} {
		if opened, err := row.box.Open(row.sealed, "project prj_1"); (err == nil) != row.opens || row.opens && string(opened) != plain {
			t.Errorf("%s: %q, %v", name, opened, err)
		}
		if _, err := row.box.Open(row.sealed, "project prj_2"); !errors.Is(err, secret.ErrUnopened) {
			t.Errorf("%s: opened for another purpose", name)
		}
	}
}

func TestARingNeedsKeysThatDiffer(t *testing.T) {
	for _, masters := range [][]secret.Value{nil, {secret.New("")}, {secret.New("a"), secret.New("")}, {secret.New("a"), secret.New("b"), secret.New("a")}} {
		if _, err := secret.NewRing(masters...); err == nil || strings.Contains(err.Error(), "\"a\"") {
			t.Errorf("%d keys: %v", len(masters), err)
		}
	}
}

func TestTheIDOfAKeyIsAFunctionOfTheKeyAndDoesNotContainIt(t *testing.T) {
	ring, _ := secret.NewRing(secret.New("one"), secret.New("two"))
	if id := secret.KeyID(secret.New("one")); id != ring.Current() || id == secret.KeyID(secret.New("two")) || len(id) != 12 || strings.Contains(id, "one") {
		t.Errorf("id %q", id)
	}
	if keys := ring.Derive("x"); len(keys) != 2 || !bytes.Equal(keys[1], secret.Derive([]byte("two"), "x")) {
		t.Error("the derived keys are others")
	}
}

func TestASealedValueNamesItsKeyOnceItHasAName(t *testing.T) {
	for sealed, want := range map[string]string{"v2.abc.AAAA": "abc", "v1.AAAA": ""} {
		if key, ok := secret.SealedWith(sealed); !ok || key != want {
			t.Errorf("%s: %q, %t", sealed, key, ok)
		}
	}
	for _, other := range []string{"", "v1", "v2.", "v2..AAAA", "v2.abc", "text"} {
		if _, ok := secret.SealedWith(other); ok {
			t.Errorf("%q is no sealed value", other)
		}
	}
}
