package webhooks

import (
	"net/http"
	"strconv"
	"time"

	"pulse-control-plane/models"
)

// maxRetryAfter bounds what an endpoint's Retry-After may ask for.
const maxRetryAfter = 24 * time.Hour

// disableAfter is for how long nothing may succeed before Pulse disables an
// endpoint.
const disableAfter = 5 * 24 * time.Hour

// retryWaits are the pauses between the attempts at a delivery; there is one more
// attempt than pauses.
func retryWaits() []time.Duration {
	return []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
	}
}

// after gives a delivery as it is after an attempt. random is in [0, 1).
func after(d *models.Delivery, r *result, now time.Time, random float64) models.Delivery {
	out := *d
	out.Attempts = append(append([]models.Attempt{}, d.Attempts...), r.attempt)
	if extra := len(out.Attempts) - models.MaxAttemptsKept; extra > 0 {
		out.Attempts = out.Attempts[extra:]
	}
	out.Tries, out.UpdatedAt = d.Tries+1, now
	waits := retryWaits()
	switch {
	case r.ok:
		out.State = models.DeliveryDelivered
	case r.final || out.Tries > int64(len(waits)):
		out.State = models.DeliveryFailed
	default:
		wait := waits[out.Tries-1]
		wait = wait*4/5 + time.Duration(random*float64(wait)*2/5) // ± 20 %
		out.DueAt = now.Add(max(wait, r.retryAfter))
	}
	return out
}

// retryAfterOf reads a Retry-After, in seconds or as a date; 0 without one.
func retryAfterOf(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	var wait time.Duration
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		wait = time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
