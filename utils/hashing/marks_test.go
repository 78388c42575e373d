package hashing

import (
	"testing"

	"golang.org/x/crypto/bcrypt"

	"pulse-control-plane/utils/secret"
)

func TestAMarkRecognizesOneSecretOfOneHashUnderAnyKnownPepper(t *testing.T) {
	s := secret.New("pulse_secret_a")
	old := hasher(t, "old")
	mark := old.Mark("key_1", "hash", s)
	both, err := NewHasher(secret.New("new"), bcrypt.MinCost, secret.New("old"))
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		h              *Hasher
		mark, id, hash string
		s              secret.Value
		want           bool
	}{
		"its own":         {old, mark, "key_1", "hash", s, true},
		"an older pepper": {both, mark, "key_1", "hash", s, true},
		"the current one": {both, both.Mark("key_1", "hash", s), "key_1", "hash", s, true},
		"another pepper":  {hasher(t, "new"), mark, "key_1", "hash", s, false},
		"another key":     {old, mark, "key_2", "hash", s, false},
		"another hash":    {old, mark, "key_1", "hash2", s, false},
		"another secret":  {old, mark, "key_1", "hash", secret.New("pulse_secret_b"), false},
		"no mark":         {old, "", "key_1", "hash", s, false},
		"a part of it":    {old, mark[:len(mark)-1], "key_1", "hash", s, false},
	} {
		if got := row.h.Marked(row.mark, row.id, row.hash, row.s); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
