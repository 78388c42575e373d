package intent

import (
	"bytes"
	"io"
	"testing"
	"time"

	"pulse-control-plane/utils/ids"
)

func read(t *testing.T, r io.Reader) string {
	t.Helper()
	var out [32]byte
	if _, err := io.ReadFull(r, out[:]); err != nil {
		t.Fatal(err)
	}
	return string(out[:])
}

func TestTheSameSeedMakesTheSameIDsAndSecretsAndAnotherMakesOthers(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	one := With(t.Context(), Intent{Seed: bytes.Repeat([]byte("a"), SeedSize), At: at})
	same := With(t.Context(), Intent{Seed: bytes.Repeat([]byte("a"), SeedSize), At: at, Resumed: true})
	other := With(t.Context(), Intent{Seed: bytes.Repeat([]byte("b"), SeedSize), At: at})
	if ID(one, "x_") != ID(same, "x_") || Mark(one) != Mark(same) || read(t, Random(one, "s")) != read(t, Random(same, "s")) {
		t.Error("the same seed made something else")
	}
	if ID(one, "x_") == ID(other, "x_") || ID(one, "x_") == "x_"+ID(one, "y_")[2:] || ID(one, "x_") == ID(one, "x_", "2") ||
		read(t, Random(one, "s")) == read(t, Random(other, "s")) || read(t, Random(one, "s")) == read(t, Random(one, "t")) || Mark(one) == Mark(other) {
		t.Error("something else made the same")
	}
	if made, ok := ids.Time(ID(one, "x_")); !ok || !made.Equal(at) || !ids.Valid("x_", ID(one, "x_")) {
		t.Errorf("%s is no id of %s", ID(one, "x_"), at)
	}
	if Resumed(one) || !Resumed(same) {
		t.Error("only the second attempt is resumed")
	}
}

func TestWithoutAnIntentEverythingIsRandom(t *testing.T) {
	ctx := t.Context()
	one, two := ID(ctx, "x_"), ID(ctx, "x_")
	first, second := read(t, Random(ctx, "s")), read(t, Random(ctx, "s"))
	if one == two || first == second || Mark(ctx) != "" || Resumed(ctx) {
		t.Error("something is not random")
	}
}
