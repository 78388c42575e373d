package tenancy

import (
	"context"
	"slices"
	"time"

	gomail "github.com/wneessen/go-mail"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/smtpurl"
)

// mailTimeout bounds sending one mail, including the dial. It leaves the request
// enough time to report a failure.
const mailTimeout = 8 * time.Second

// SMTP sends mails through a server, with one connection per mail: mails are rare,
// and an idle connection may be stale when it is needed.
type SMTP struct {
	server  smtpurl.Server
	options []gomail.Option
}

// NewSMTP returns a sender that connects for each mail.
func NewSMTP(server smtpurl.Server, more ...gomail.Option) *SMTP {
	options := []gomail.Option{gomail.WithPort(server.Port)}
	switch server.Encryption {
	case smtpurl.Implicit:
		options = append(options, gomail.WithSSL())
	case smtpurl.Required:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case smtpurl.Optional:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	case smtpurl.Off:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if server.Username != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(server.Username), gomail.WithPassword(server.Password.Reveal()))
	}
	return &SMTP{server: server, options: append(options, more...)}
}

// Send sends one mail. unavailable if the server did not accept it.
func (s *SMTP) Send(ctx context.Context, m Mail) error {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	message := gomail.NewMsg()
	message.FromMailAddress(&s.server.From)
	if err := message.To(m.To); err != nil {
		return models.Invalid(models.FieldError{Location: "email", Message: "is not a valid mail address"})
	}
	message.Subject(m.Subject)
	message.SetMessageID()
	message.SetDate()
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	// The library applies its timeout once to the connection and once to the mail,
	// and ctx to the first only.
	deadline, _ := ctx.Deadline()
	half := max(time.Millisecond, time.Until(deadline)/2)
	client, err := gomail.NewClient(s.server.Host, append(slices.Clone(s.options), gomail.WithTimeout(half))...)
	if err != nil {
		return models.Internal(err)
	}
	if err := client.DialAndSendWithContext(ctx, message); err != nil {
		return models.Unavailable(err)
	}
	return nil
}
