package webhooks

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/services/events"
	"pulse-control-plane/utils/safedial"
)

const (
	// attemptTimeout bounds an attempt in all.
	attemptTimeout = 15 * time.Second
	// answerRead and answerKept are how much of an answer is read and stored, in
	// bytes.
	answerRead = 64 << 10
	answerKept = 1 << 10
	userAgent  = "Pulse-Webhooks/1"
)

// Codes of why an attempt got no usable answer. Tenants see them: they name no
// address and repeat no error.
const (
	errorTimeout   = "timeout"
	errorRefused   = "connection_refused"
	errorClosed    = "connection_closed"
	errorTLS       = "tls_failed"
	errorLookup    = "name_not_resolved"
	errorAddress   = "address_not_allowed"
	errorURL       = "url_not_allowed"
	errorRedirect  = "redirect_not_followed"
	errorExpired   = "payload_expired"
	errorNoRequest = "request_failed"
)

// ClientOptions are those of the HTTP client that deliveries are sent with.
// Connections to a host are bounded by what is under way in all, so that tenants
// whose endpoints share a host do not wait for each other.
func ClientOptions(o safedial.Options) safedial.Options {
	o.Client.Timeout, o.Client.MaxResponse, o.Client.MaxConnsPerHost = attemptTimeout, answerRead, 2*poolSize
	return o
}

// result is how an attempt ended.
type result struct {
	attempt models.Attempt
	// ok means delivered, gone that the endpoint wants no more, final that
	// another attempt cannot succeed.
	ok, gone, final bool
	retryAfter      time.Duration
	// aborted is an attempt that this process broke off.
	aborted bool
}

// send makes one attempt.
func send(ctx context.Context, client *http.Client, now func() time.Time, e *models.Endpoint, keys [][]byte, event *models.Event) result {
	at := now()
	out := result{attempt: models.Attempt{At: at, URL: e.URL}}
	body, err := events.Encode(event)
	if err != nil {
		out.attempt.Error, out.final = errorNoRequest, true
		return out
	}
	bounded, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	began := time.Now()
	err = out.exchange(bounded, client, e.URL, body, http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {userAgent}, "Webhook-Id": {event.ID},
		"Webhook-Timestamp": {strconv.FormatInt(at.Unix(), 10)}, "Webhook-Signature": {sign(keys, event.ID, at, body)},
	}, now)
	out.attempt.Millis = time.Since(began).Milliseconds()
	if err != nil {
		out.attempt.Error, out.aborted = codeOf(err), ctx.Err() != nil
		return out
	}
	switch status := out.attempt.Status; {
	case status >= 200 && status < 300:
		out.ok = true
	case status >= 300 && status < 400:
		out.attempt.Error = errorRedirect
	case status == http.StatusGone:
		out.gone = true
	}
	return out
}

// exchange sends a request and reads the answer.
func (r *result) exchange(ctx context.Context, client *http.Client, url string, body []byte, h http.Header, now func() time.Time) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return safedial.ErrURL
	}
	request.Header = h
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	r.attempt.Status, r.retryAfter = answer.StatusCode, retryAfterOf(answer.Header, now())
	read, err := io.ReadAll(answer.Body)
	r.attempt.Answer = printable(read[:min(len(read), answerKept)])
	if errors.Is(err, safedial.ErrTooLarge) {
		return nil
	}
	return err
}

// printable makes text of what may be cut in the middle of a character or hold
// control characters.
func printable(raw []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(raw), ""))
}

// codeOf names a failure without its text.
func codeOf(err error) string {
	var timeout net.Error
	var record tls.RecordHeaderError
	var verification *tls.CertificateVerificationError
	var alert tls.AlertError
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	switch {
	case errors.Is(err, safedial.ErrRefused):
		return errorAddress
	case errors.Is(err, safedial.ErrURL):
		return errorURL
	case errors.Is(err, safedial.ErrLookup):
		return errorLookup
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errorTimeout
	case errors.As(err, &record), errors.As(err, &verification), errors.As(err, &alert), errors.As(err, &unknown), errors.As(err, &hostname):
		return errorTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return errorRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errorClosed
	}
	return errorNoRequest
}
