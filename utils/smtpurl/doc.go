// Package smtpurl reads the URL of a mail server:
//
//	smtp://user:password@host:587?from=pulse@example.com   STARTTLS
//	smtps://user:password@host:465?from=…                  TLS from the start
//
// It does not connect. tls=required, optional or off sets the encryption of
// smtp://; the default is required with credentials and optional without, so
// that a password is never sent in the clear by mistake.
//
// Invariant: no error repeats a part of the URL, which may contain a password.
package smtpurl
