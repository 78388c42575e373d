package idempotency

import (
	"context"
	"strconv"
	"time"

	"pulse-control-plane/models"
)

const (
	// hours is how many hours an answer that is kept may be from, with the one
	// that has begun.
	hours = int64(models.IdempotencyTTL/time.Hour) + 1
	// entryBytes is what a kept answer takes besides its body.
	entryBytes = 512
)

// full answers rate_limited idempotency_storage_full if a tenant's answers take
// as much as they may; of those under way at that moment each may still be kept.
func (s *Store) full(ctx context.Context, tenant string, now time.Time) error {
	ids := make([]string, hours)
	for n := range hours {
		ids[n] = hourID(tenant, now.Add(-time.Duration(n)*time.Hour))
	}
	stored, err := s.c.Storage.Of(ctx, ids)
	if err != nil {
		return err
	}
	var total int64
	var first time.Time
	for _, h := range stored {
		if total += h.Bytes; first.IsZero() || h.ExpiresAt.Before(first) {
			first = h.ExpiresAt
		}
	}
	if total < models.MaxIdempotencyBytes {
		return nil
	}
	refused := models.NewError(models.KindRateLimited, "idempotency_storage_full",
		"Too much is stored for requests with an Idempotency-Key; send fewer, or this one without it.")
	refused.RetryAfter = max(time.Second, first.Sub(now))
	return refused
}

// store counts an answer that is about to be kept.
func (s *Store) store(ctx context.Context, tenant string, size int) error {
	now := s.c.Now()
	return s.c.Storage.Add(ctx, models.IdempotencyHour{
		ID: hourID(tenant, now), Bytes: int64(size) + entryBytes,
		ExpiresAt: now.UTC().Truncate(time.Hour).Add(time.Hour + models.IdempotencyTTL),
	})
}

// hourID names an hour of a tenant.
func hourID(tenant string, at time.Time) string {
	return hash(tenant, strconv.FormatInt(at.Unix()/int64(time.Hour/time.Second), 10))
}
