// Package smtpurl reads the URL of a mail server:
//
//	smtp://user:password@host:587?from=pulse@example.com   STARTTLS
//	smtps://user:password@host:465?from=…                  TLS from the start
//
// It does not connect. tls=required, optional or off says how smtp:// is to be
// encrypted; without it, credentials make it required and their absence
// optional, so that a password is never sent in the clear by oversight.
//
// Invariant: no error repeats a part of the URL, since it may hold a password.
package smtpurl
