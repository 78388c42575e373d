package composition_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	gomail "github.com/wneessen/go-mail"

	"pulse-control-plane/models"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/secret"
	"pulse-control-plane/utils/smtpurl"
)

const mailPassword = "the mail server's password"

// mailServer is a real SMTP server that keeps received mails.
type mailServer struct {
	mu       sync.Mutex
	received []string
	to       []string
	logins   int
}

func (s *mailServer) NewSession(*smtp.Conn) (smtp.Session, error) {
	return &mailSession{server: s}, nil
}

type mailSession struct {
	server *mailServer
	authed bool
}

func (s *mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		s.server.logins++
		if user != "pulse" || password != mailPassword {
			return errors.New("wrong password")
		}
		s.authed = true
		return nil
	}), nil
}

func (s *mailSession) Mail(string, *smtp.MailOptions) error {
	if !s.authed {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.to = append(s.server.to, to)
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.received = append(s.server.received, string(data))
	return err
}

func (s *mailSession) Reset()        {}
func (s *mailSession) Logout() error { return nil }

// startMailServer serves STARTTLS on loopback, or no TLS with plain. It returns the
// server, its address, and an option that trusts its certificate.
func startMailServer(t *testing.T, plain bool) (*mailServer, smtpurl.Server, gomail.Option) {
	t.Helper()
	backend := &mailServer{}
	certificate, pool := selfSigned(t)
	server := smtp.NewServer(backend)
	server.Domain = "127.0.0.1"
	server.AllowInsecureAuth = plain
	if !plain {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	listener := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	number := must[int](t)(strconv.Atoi(port))
	return backend, smtpurl.Server{
		Host: "127.0.0.1", Port: number, Encryption: smtpurl.Required, Username: "pulse", Password: secret.New(mailPassword),
		From: mail.Address{Name: "Pulse", Address: "pulse@example.com"},
	}, gomail.WithTLSConfig(&tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail of the tests"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	raw := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	parsed := must[*x509.Certificate](t)(x509.ParseCertificate(raw))
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, pool
}

func TestAMailedInvitationIsEncryptedAndCanBeAccepted(t *testing.T) {
	backend, where, trust := startMailServer(t, false)
	p := newPeople(t)
	login := p.found().Login
	p.build(tenancy.NewSMTP(where, trust), "jwt secret of the tests")
	if invited := p.invite(p.actor(login), "grace@example.com", models.RoleDeveloper); !invited.Token.IsZero() {
		t.Error("the inviter has the token too")
	}
	if len(backend.received) != 1 || len(backend.to) != 1 || backend.to[0] != "grace@example.com" {
		t.Fatalf("%d mails to %v", len(backend.received), backend.to)
	}
	message := must[*mail.Message](t)(mail.ReadMessage(strings.NewReader(backend.received[0])))
	if from := message.Header.Get("From"); !strings.Contains(from, "pulse@example.com") {
		t.Errorf("from %s", from)
	}
	if subject := message.Header.Get("Subject"); subject != "You are invited to Analytical Engines on Pulse" {
		t.Errorf("subject %s", subject)
	}
	body := string(must[[]byte](t)(io.ReadAll(message.Body)))
	// 43 characters of base64url, alone on a line.
	for line := range strings.Lines(body) {
		if token := strings.TrimSpace(line); len(token) == 43 && !strings.Contains(token, " ") {
			if in, err := p.accept(secret.New(token)); err != nil || in.User.Role != models.RoleDeveloper {
				t.Errorf("%s, %v", in.User.Role, err)
			}
			return
		}
	}
	t.Errorf("no token in:\n%s", body)
}

func TestARefusalByTheMailServerIsUnavailableWithoutSecretsInTheError(t *testing.T) {
	_, where, trust := startMailServer(t, false)
	where.Password = secret.New("hunter2-hunter2")
	err := tenancy.NewSMTP(where, trust).Send(t.Context(), tenancy.Mail{To: "grace@example.com", Subject: "s", Text: "the accept token"})
	if !models.IsKind(err, models.KindUnavailable) {
		t.Fatalf("got %v", err)
	}
	for _, confidential := range []string{"hunter2", "the accept token", "AGh1bnRlcjI"} {
		if strings.Contains(err.Error(), confidential) {
			t.Errorf("%q is in %v", confidential, err)
		}
	}
}

func TestTheMailPasswordIsNotSentWithoutEncryption(t *testing.T) {
	backend, where, _ := startMailServer(t, true)
	err := tenancy.NewSMTP(where).Send(t.Context(), tenancy.Mail{To: "grace@example.com", Subject: "s", Text: "t"})
	if !models.IsKind(err, models.KindUnavailable) || backend.logins != 0 || len(backend.received) != 0 {
		t.Errorf("%v, %d logins, %d mails", err, backend.logins, len(backend.received))
	}
}

func TestAnUnknownMailCertificateIsNotTrusted(t *testing.T) {
	backend, where, _ := startMailServer(t, false)
	err := tenancy.NewSMTP(where).Send(t.Context(), tenancy.Mail{To: "grace@example.com", Subject: "s", Text: "t"})
	if !models.IsKind(err, models.KindUnavailable) || backend.logins != 0 {
		t.Errorf("%v, %d logins", err, backend.logins)
	}
}

func TestASilentMailServerTimesOut(t *testing.T) {
	listener := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := tenancy.NewSMTP(smtpurl.Server{Host: "127.0.0.1", Port: port, Encryption: smtpurl.Off,
		From: mail.Address{Address: "pulse@example.com"}}).Send(ctx, tenancy.Mail{To: "grace@example.com", Subject: "s", Text: "t"})
	if !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestAnOrganizationsNameCannotAddMailHeaders(t *testing.T) {
	backend, where, trust := startMailServer(t, false)
	if err := tenancy.NewSMTP(where, trust).Send(t.Context(), tenancy.Mail{To: "grace@example.com", Text: "t",
		Subject: "x\r\nBcc: eve@example.com\r\n\r\nbody"}); err != nil {
		return // refused altogether
	}
	message := must[*mail.Message](t)(mail.ReadMessage(strings.NewReader(backend.received[0])))
	if message.Header.Get("Bcc") != "" || len(backend.to) != 1 {
		t.Errorf("%v to %v", message.Header, backend.to)
	}
}
