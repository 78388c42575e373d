package ids_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"pulse-control-plane/utils/ids"
)

func TestIdsOfOneProcessSortByCreation(t *testing.T) {
	made := make([]string, 10_000)
	for i := range made {
		made[i] = ids.New("prj_")
	}
	if !slices.IsSorted(made) || len(slices.Compact(slices.Clone(made))) != len(made) {
		t.Fatal("ids are not strictly ascending")
	}
}

func TestANewIDIsValidOnlyUnderItsPrefix(t *testing.T) {
	id := ids.New("org_")
	if !ids.Valid("org_", id) {
		t.Fatalf("%q is not valid", id)
	}
	for _, prefix := range []string{"prj_", "", "org", "ORG_", "org_0"} {
		if ids.Valid(prefix, id) {
			t.Errorf("%q is valid under prefix %q", id, prefix)
		}
	}
}

func TestADerivedIDFollowsFromItsTimeAndParts(t *testing.T) {
	at := time.UnixMilli(1_790_000_000_123)
	id := ids.Derived("evt_", at, "key", "EV_1")
	if made, ok := ids.Time(id); !ids.Valid("evt_", id) || !ok || !made.Equal(at) {
		t.Fatalf("%q of %v", id, made)
	}
	if again := ids.Derived("evt_", at.Add(time.Microsecond), "key", "EV_1"); again != id {
		t.Errorf("%q, then %q", id, again)
	}
	for _, other := range []string{
		ids.Derived("evt_", at.Add(time.Millisecond), "key", "EV_1"), ids.Derived("evt_", at, "key", "EV_2"),
		ids.Derived("evt_", at, "keyE", "V_1"), ids.Derived("evt_", at, "key", "EV_1", ""),
	} {
		if other == id {
			t.Errorf("%q stands for something else too", id)
		}
	}
	if id := ids.Derived("evt_", time.Time{}, "x"); !ids.Valid("evt_", id) {
		t.Errorf("%q without a time", id)
	}
}

func TestOnlyTheCanonicalTextOfAUUIDv7IsValid(t *testing.T) {
	const good = "prj_01981e8a-7b2c-7def-8abc-0123456789ab"
	if !ids.Valid("prj_", good) {
		t.Fatalf("%q is not valid", good)
	}
	for name, id := range map[string]string{
		"upper case":    "prj_" + strings.ToUpper(good[4:]),
		"version 4":     "prj_01981e8a-7b2c-4def-8abc-0123456789ab",
		"other variant": "prj_01981e8a-7b2c-7def-cabc-0123456789ab",
		"hyphen moved":  "prj_01981e8a7-b2c-7def-8abc-0123456789ab",
		"not hex":       "prj_01981e8a-7b2c-7def-8abc-0123456789ag",
		"too short":     good[:len(good)-1],
		"too long":      good + "0",
		"empty":         "",
		"prefix alone":  "prj_",
	} {
		if ids.Valid("prj_", id) {
			t.Errorf("%s: %q is valid", name, id)
		}
	}
}

func TestTheTimeOfAnIDIsItsCreation(t *testing.T) {
	before := time.Now().Truncate(time.Millisecond)
	at, ok := ids.Time(ids.New("evt_"))
	if !ok || at.Before(before) || at.After(time.Now()) || at.Location() != time.UTC {
		t.Fatalf("got %v, %v; made after %v", at, ok, before)
	}
	if at, _ := ids.Time("prj_01981e8a-7b2c-7def-8abc-0123456789ab"); at.UnixMilli() != 0x01981e8a7b2c {
		t.Fatalf("got %x", at.UnixMilli())
	}
	for _, id := range []string{"", "evt_", "evt_" + uuid.NewString()} {
		if _, ok := ids.Time(id); ok {
			t.Errorf("%q has a time", id)
		}
	}
}

func TestCheckingAnIDAllocatesNothing(t *testing.T) {
	id := ids.New("prj_")
	if n := testing.AllocsPerRun(100, func() { _ = ids.Valid("prj_", id) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzEveryValidIDIsCanonicalToTheUUIDLibrary(f *testing.F) {
	f.Add(ids.New("prj_"))
	f.Add("prj_01981E8A-7b2c-7def-8abc-0123456789ab")
	f.Fuzz(func(t *testing.T, id string) {
		if !ids.Valid("prj_", id) {
			return
		}
		parsed, err := uuid.Parse(id[4:])
		if err != nil || parsed.Version() != 7 || parsed.Variant() != uuid.RFC4122 || parsed.String() != id[4:] {
			t.Fatalf("%q is valid, the library says %v %v", id, parsed, err)
		}
	})
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		ids.New("prj_")
	}
}

func BenchmarkValid(b *testing.B) {
	id := ids.New("prj_")
	b.ReportAllocs()
	for b.Loop() {
		ids.Valid("prj_", id)
	}
}
