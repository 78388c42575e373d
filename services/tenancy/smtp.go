package tenancy

import (
	"context"
	"slices"
	"time"

	gomail "github.com/wneessen/go-mail"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/smtpurl"
)

// mailTimeout bounds the sending of one mail, from the dial to the server's
// last word; it leaves a request time to say that it failed.
const mailTimeout = 8 * time.Second

// SMTP sends mails through a server, one connection a mail: they are few, and
// a connection kept open is one more thing that has gone stale when it counts.
type SMTP struct {
	server  smtpurl.Server
	options []gomail.Option
}

// NewSMTP makes a sender; it connects when it is used.
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

// Send hands one mail to the server. unavailable when it did not take it.
func (s *SMTP) Send(ctx context.Context, m Mail) error {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	message := gomail.NewMsg()
	message.FromMailAddress(&s.server.From)
	if err := message.To(m.To); err != nil {
		return models.Invalid(models.FieldError{Location: "email", Message: "is not an address mail can be sent to"})
	}
	message.Subject(m.Subject)
	message.SetMessageID()
	message.SetDate()
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	// The library grants its timeout once for coming in and once for the mail,
	// and hears of ctx in the first alone.
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
