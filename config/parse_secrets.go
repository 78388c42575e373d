package config

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"pulse-control-plane/utils/secret"
)

// strong takes a secret; in staging and production only a strong one.
func (c *Config) strong(into *secret.Value, text string) error {
	if c.Environment.strict() && (len(text) < leastSecret || distinct(text) < leastDistinct) {
		return errWeak
	}
	*into = secret.New(text)
	return nil
}

// bearer takes a strong secret that a header can carry.
func (c *Config) bearer(into *secret.Value, text string) error {
	var plain string
	if err := token(&plain, text); err != nil {
		return err
	}
	return c.strong(into, plain)
}

func (c *Config) jwtSecrets(text string) error {
	var out []secret.Value
	for item := range strings.SplitSeq(text, ",") {
		var one secret.Value
		item = strings.TrimSpace(item)
		if item == "" {
			return errors.New("must be secrets separated by single commas")
		}
		if err := c.strong(&one, item); err != nil {
			return err
		}
		out = append(out, one)
	}
	c.JWTSecrets = out
	return nil
}

// dataKey takes 32 bytes in hex, or in base64 of either alphabet, padded or not.
func dataKey(into *secret.Value, text string) error {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != secret.KeySize {
		standard := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
		raw, err = base64.RawStdEncoding.DecodeString(standard)
	}
	if err != nil || len(raw) != secret.KeySize {
		return fmt.Errorf("must be %d bytes in base64 or hex", secret.KeySize)
	}
	if distinct(string(raw)) < leastDistinct {
		return errors.New("is too weak: its bytes are not random")
	}
	*into = secret.New(string(raw))
	return nil
}

// distinct counts the different bytes of a text.
func distinct(text string) int {
	seen := map[byte]bool{}
	for i := range len(text) {
		seen[text[i]] = true
	}
	return len(seen)
}
