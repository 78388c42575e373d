package smtpurl

import (
	"errors"
	"net/mail"
	"net/url"
	"strconv"

	"pulse-control-plane/utils/secret"
)

// Encryption is how a connection is protected.
type Encryption string

// The kinds of protection. Implicit is smtps (RFC 8314, section 3.3), the
// others are smtp with STARTTLS (RFC 3207).
const (
	Implicit Encryption = "implicit"
	Required Encryption = "required"
	Optional Encryption = "optional"
	Off      Encryption = "off"
)

// Ports of RFC 8314: submission, and submission over TLS.
const (
	submissionPort = 587
	submissionsTLS = 465
)

// Server is a mail server and the sender of the mails.
type Server struct {
	Host       string
	Port       int
	Encryption Encryption
	// Username is empty for a server without authentication.
	Username string
	Password secret.Value
	From     mail.Address
}

// Parse reads a URL. Its errors name the fault and never repeat the URL.
func Parse(text string) (Server, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Server{}, errors.New("is not a URL")
	}
	s := Server{Host: u.Hostname()}
	query := u.Query()
	for name := range query {
		if name != "from" && name != "tls" {
			return Server{}, errors.New("accepts only the parameters from and tls")
		}
	}
	if s.Host == "" || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return Server{}, errors.New("must be smtp://host:port?from=address or smtps://…")
	}
	if u.User != nil {
		password, _ := u.User.Password()
		s.Username, s.Password = u.User.Username(), secret.New(password)
	}
	if err := s.protect(u.Scheme, Encryption(query.Get("tls"))); err != nil {
		return Server{}, err
	}
	if u.Port() != "" {
		if s.Port, err = strconv.Atoi(u.Port()); err != nil || s.Port < 1 || s.Port > 65535 {
			return Server{}, errors.New("has an invalid port")
		}
	}
	from, err := mail.ParseAddress(query.Get("from"))
	if err != nil {
		return Server{}, errors.New("needs ?from= with the sender's address")
	}
	s.From = *from
	return s, nil
}

func (s *Server) protect(scheme string, asked Encryption) error {
	switch scheme {
	case "smtps":
		s.Port, s.Encryption = submissionsTLS, Implicit
		if asked != "" {
			return errors.New("smtps:// is always encrypted and does not accept tls=")
		}
		return nil
	case "smtp":
		s.Port, s.Encryption = submissionPort, asked
	default:
		return errors.New("must begin with smtp:// or smtps://")
	}
	switch asked {
	case Required, Optional, Off:
	case "":
		s.Encryption = Optional
		if s.Username != "" {
			s.Encryption = Required
		}
	default:
		return errors.New("tls must be required, optional or off")
	}
	return nil
}
