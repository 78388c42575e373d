package intent

import (
	"context"
	"crypto/rand"
	"crypto/sha3"
	"encoding/binary"
	"encoding/hex"
	"io"
	"time"

	"pulse-control-plane/utils/ids"
)

// SeedSize is how many bytes a seed has.
const SeedSize = 32

// Intent is what a request will make.
type Intent struct {
	// Seed is SeedSize random bytes, and At when the first attempt began.
	Seed []byte
	At   time.Time
	// Resumed says that an earlier attempt with the seed may have made something.
	Resumed bool
}

type contextKey struct{}

// With returns a context whose ids and secrets are those of an intent.
func With(ctx context.Context, i Intent) context.Context {
	return context.WithValue(ctx, contextKey{}, i)
}

func of(ctx context.Context) (i Intent, ok bool) {
	i, ok = ctx.Value(contextKey{}).(Intent)
	return i, ok
}

// Resumed reports whether an earlier attempt of the request may have made something.
func Resumed(ctx context.Context) bool {
	i, _ := of(ctx)
	return i.Resumed
}

// Mark names the intent without telling its seed; "" without one.
func Mark(ctx context.Context) string {
	i, ok := of(ctx)
	if !ok {
		return ""
	}
	var mark [16]byte
	io.ReadFull(i.stream("mark"), mark[:]) //nolint:errcheck // a SHAKE never ends
	return hex.EncodeToString(mark[:])
}

// ID returns the id with a prefix that the request makes; parts tell apart several
// of one prefix.
func ID(ctx context.Context, prefix string, parts ...string) string {
	i, ok := of(ctx)
	if !ok {
		return ids.New(prefix)
	}
	return ids.Derived(prefix, i.At, append([]string{string(i.Seed), prefix}, parts...)...)
}

// Random returns the random bytes that the request makes a secret of; what tells
// the secrets of one request apart.
func Random(ctx context.Context, what string) io.Reader {
	i, ok := of(ctx)
	if !ok {
		return rand.Reader
	}
	return i.stream("secret", what)
}

// stream is SHAKE256 of the seed and parts, each with its length.
func (i Intent) stream(parts ...string) io.Reader {
	h := sha3.NewSHAKE256()
	for _, part := range append([]string{string(i.Seed)}, parts...) {
		h.Write(binary.AppendUvarint(nil, uint64(len(part)))) //nolint:errcheck // documented never to fail
		h.Write([]byte(part))                                 //nolint:errcheck // documented never to fail
	}
	return h
}
