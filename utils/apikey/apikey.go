package apikey

import (
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"pulse-control-plane/utils/secret"
)

// Prefixes of the two halves of a pair.
const (
	KeyPrefix    = "pulse_key_"
	SecretPrefix = "pulse_secret_"
)

const (
	// keyRandom and secretRandom are the numbers of random base62 characters for
	// at least 128 and 256 bits: 62²² > 2¹²⁸, 62⁴³ > 2²⁵⁶.
	keyRandom    = 22
	secretRandom = 43
	// checksumLength fits a CRC-32 in base62: 62⁶ > 2³².
	checksumLength = 6
	hintLength     = 4
	base62         = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// KeyLength and SecretLength are the exact lengths in bytes.
const (
	KeyLength    = len(KeyPrefix) + keyRandom + checksumLength
	SecretLength = len(SecretPrefix) + secretRandom + checksumLength
)

// Generate returns a publishable key and its secret. An error means that the
// system has no randomness.
func Generate() (key string, confidential secret.Value, err error) { return From(rand.Reader) }

// From is Generate with the random bytes of a reader, which alone decide the pair.
func From(random io.Reader) (key string, confidential secret.Value, err error) {
	key, err = generate(random, KeyPrefix, keyRandom)
	if err != nil {
		return "", secret.Value{}, err
	}
	text, err := generate(random, SecretPrefix, secretRandom)
	if err != nil {
		return "", secret.Value{}, err
	}
	return key, secret.New(text), nil
}

// IsKey reports whether s has the form of a publishable key, checksum included.
// It does not report whether the key exists.
func IsKey(s string) bool { return wellFormed(s, KeyPrefix, KeyLength) }

// IsSecret reports whether s has the form of a secret, checksum included.
func IsSecret(s string) bool { return wellFormed(s, SecretPrefix, SecretLength) }

// Hint returns the last four characters of a secret, by which people recognise
// it; "" for anything shorter than a secret.
func Hint(confidential secret.Value) string {
	text := confidential.Reveal()
	if len(text) < SecretLength {
		return ""
	}
	return text[len(text)-hintLength:]
}

// generate draws each character independently and uniformly: it rejects the
// last 8 of the 256 values of a byte, because 62 does not divide 256.
func generate(random io.Reader, prefix string, count int) (string, error) {
	const even = 256 - 256%len(base62)
	out := make([]byte, 0, len(prefix)+count+checksumLength)
	out = append(out, prefix...)
	var pool [64]byte
	for len(out) < len(prefix)+count {
		if _, err := io.ReadFull(random, pool[:]); err != nil {
			return "", fmt.Errorf("apikey: no randomness: %w", err)
		}
		for _, b := range pool {
			if int(b) < even && len(out) < len(prefix)+count {
				out = append(out, base62[int(b)%len(base62)])
			}
		}
	}
	sum := checksum(string(out))
	return string(append(out, sum[:]...)), nil
}

func wellFormed(s, prefix string, length int) bool {
	if len(s) != length || !strings.HasPrefix(s, prefix) {
		return false
	}
	body := len(s) - checksumLength
	for i := len(prefix); i < body; i++ {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	sum := checksum(s[:body])
	return s[body:] == string(sum[:])
}

// checksum is CRC-32 (IEEE 802.3) in base62, the most significant character
// first, padded with '0'. It reads the standard library's table itself, because
// crc32.Update would copy the string to the heap on every request.
func checksum(s string) (out [checksumLength]byte) {
	crc := ^uint32(0)
	for i := range len(s) {
		crc = crc32.IEEETable[byte(crc)^s[i]] ^ crc>>8
	}
	crc = ^crc
	for i := checksumLength - 1; i >= 0; i-- {
		out[i] = base62[crc%uint32(len(base62))]
		crc /= uint32(len(base62))
	}
	return out
}
