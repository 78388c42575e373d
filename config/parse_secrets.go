package config

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
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

// maxSecrets is how many secrets one variable may list. Each of them may have to
// be tried.
const maxSecrets = 8

// secrets takes strong secrets separated by commas.
func (c *Config) secrets(into *[]secret.Value, text string) error {
	return list(into, text, c.strong)
}

// peppers takes strong secrets separated by commas; spaces around a single one are
// part of it.
func (c *Config) peppers(text string) error {
	if strings.Contains(text, ",") {
		return c.secrets(&c.APIKeyPeppers, text)
	}
	c.APIKeyPeppers = make([]secret.Value, 1)
	return c.strong(&c.APIKeyPeppers[0], text)
}

// dataKeys takes keys separated by commas.
func dataKeys(into *[]secret.Value, text string) error { return list(into, text, dataKey) }

func list(into *[]secret.Value, text string, parse func(*secret.Value, string) error) error {
	var out []secret.Value
	for item := range strings.SplitSeq(text, ",") {
		var one secret.Value
		item = strings.TrimSpace(item)
		if item == "" {
			return errors.New("must be secrets separated by single commas")
		}
		if err := parse(&one, item); err != nil {
			return err
		}
		if slices.ContainsFunc(out, one.Equal) {
			return errors.New("lists a secret twice")
		}
		out = append(out, one)
	}
	if len(out) > maxSecrets {
		return fmt.Errorf("lists more than %d secrets", maxSecrets)
	}
	*into = out
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
