package apikey

import (
	"bytes"
	"errors"
	"hash/crc32"
	"math"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"pulse-control-plane/utils/secret"
)

func pair(t testing.TB) (string, string) {
	t.Helper()
	key, confidential, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key, confidential.Reveal()
}

func TestAGeneratedPairHasTheDocumentedForm(t *testing.T) {
	key, confidential := pair(t)
	if !regexp.MustCompile(`^pulse_key_[0-9A-Za-z]{28}$`).MatchString(key) {
		t.Errorf("key %q", key)
	}
	if !regexp.MustCompile(`^pulse_secret_[0-9A-Za-z]{49}$`).MatchString(confidential) {
		t.Errorf("secret %q", confidential)
	}
	if !IsKey(key) || !IsSecret(confidential) || IsKey(confidential) || IsSecret(key) {
		t.Error("a pair is not recognised as what it is")
	}
	if math.Pow(62, keyRandom) < math.Pow(2, 128) || math.Pow(62, secretRandom) < math.Pow(2, 256) {
		t.Error("too few random bits")
	}
}

func TestThePublishedExamplePairIsRecognised(t *testing.T) {
	// Fixed, and computed with Python's zlib.crc32, so that the form of keys
	// already handed out can not change.
	if !IsKey("pulse_key_00000000000000000000002gncoz") || !IsSecret("pulse_secret_00000000000000000000000000000000000000000003dm22f") {
		t.Error("keys that were handed out are no longer recognised")
	}
}

func TestTheChecksumIsTheStandardCRC32(t *testing.T) {
	for _, s := range []string{"", "123456789", "pulse_key_abc", strings.Repeat("é", 99)} {
		sum := checksum(s)
		var got uint64
		for _, c := range sum {
			got = got*62 + uint64(strings.IndexByte(base62, c))
		}
		if got != uint64(crc32.ChecksumIEEE([]byte(s))) {
			t.Errorf("%q: %s", s, sum)
		}
	}
}

func TestEveryMistypedCharacterIsDetected(t *testing.T) {
	key, confidential := pair(t)
	for i := range key {
		for c := range 256 {
			if altered := key[:i] + string([]byte{byte(c)}) + key[i+1:]; altered != key && IsKey(altered) {
				t.Fatalf("%q taken for %q", altered, key)
			}
		}
	}
	for i := range confidential {
		for _, c := range base62 {
			if altered := confidential[:i] + string(c) + confidential[i+1:]; altered != confidential && IsSecret(altered) {
				t.Fatalf("%q taken for %q", altered, confidential)
			}
		}
	}
	for i := range len(key) - 1 {
		swapped := []byte(key)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		if string(swapped) != key && IsKey(string(swapped)) {
			t.Fatalf("%q taken for %q", swapped, key)
		}
	}
	for _, s := range []string{"", key + " ", " " + key, key[:len(key)-1], strings.ToUpper(key), KeyPrefix} {
		if IsKey(s) {
			t.Errorf("%q taken for a key", s)
		}
	}
}

func TestCharactersAreDrawnUniformly(t *testing.T) {
	// Of the 256 values of a byte, 248 stand for the 62 characters, four for
	// each; the last eight must be drawn again, or '0' to '7' would show more.
	random := bytes.Repeat([]byte{248, 249, 250, 251, 252, 253, 254, 255}, 8)
	for i := range 256 {
		random = append(random, byte(i))
	}
	text, err := generate(bytes.NewReader(random), "", 248)
	if err != nil {
		t.Fatal(err)
	}
	if text[:248] != strings.Repeat(base62, 4) {
		t.Errorf("drawn %s", text[:248])
	}
}

func TestPairsDoNotRepeat(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		key, confidential := pair(t)
		if seen[key] || seen[confidential] {
			t.Fatal("drawn twice")
		}
		seen[key], seen[confidential] = true, true
	}
}

func TestGenerationFailsWithoutRandomness(t *testing.T) {
	lost := errors.New("gone")
	if text, err := generate(iotest.ErrReader(lost), KeyPrefix, keyRandom); !errors.Is(err, lost) || text != "" {
		t.Fatalf("got %q, %v", text, err)
	}
}

func TestTheHintIsTheLastFourCharactersOfASecret(t *testing.T) {
	_, confidential := pair(t)
	if got := Hint(secret.New(confidential)); got != confidential[len(confidential)-4:] {
		t.Errorf("got %q", got)
	}
	if got := Hint(secret.New("short")); got != "" {
		t.Errorf("the hint %q gives a short text away", got)
	}
}

func TestRecognisingAKeyAllocatesNothing(t *testing.T) {
	key, confidential := pair(t)
	if n := testing.AllocsPerRun(100, func() { IsKey(key); IsSecret(confidential) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzIsKey(f *testing.F) {
	key, confidential := pair(f)
	for _, seed := range []string{key, confidential, "", KeyPrefix, key + "\x00", strings.Repeat("é", 19)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) { agreesWithForm(t, s, IsKey(s), KeyPrefix, KeyLength) })
}

func FuzzIsSecret(f *testing.F) {
	key, confidential := pair(f)
	for _, seed := range []string{key, confidential, "", SecretPrefix, confidential[1:]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) { agreesWithForm(t, s, IsSecret(s), SecretPrefix, SecretLength) })
}

// agreesWithForm checks a verdict against the form said another way, and that
// giving any text of the right length the right checksum is what makes it valid.
func agreesWithForm(t *testing.T, s string, verdict bool, prefix string, length int) {
	form := regexp.MustCompile(`\A` + prefix + `[0-9A-Za-z]+\z`)
	body := s[:max(0, len(s)-checksumLength)]
	sum := checksum(body)
	want := len(s) == length && form.MatchString(s) && s == body+string(sum[:])
	if verdict != want {
		t.Fatalf("%q: %v, want %v", s, verdict, want)
	}
}

func BenchmarkIsKey(b *testing.B) {
	key, _ := pair(b)
	b.ReportAllocs()
	for b.Loop() {
		IsKey(key)
	}
}
