package routes_test

import (
	"net/http"
	"strings"
	"testing"

	"pulse-control-plane/handlers"
)

func TestNoAddressHoldsAControlBidiOrLineCharacter(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, bad := range []string{
		"a\r\nBcc:x@example.com", "a\u0000@example.com", "a\u202e@example.com", "\u2066a@example.com", "a\u2028@example.com", "a\u2029@example.com",
		"a\u0085@example.com", "a\u200b@example.com", "a\u200d@example.com", "a\ufeff@example.com", "a\u00a0b@example.com", "a\u3000b@example.com",
		"\"a b\"@example.com", "a\u007f@example.com", "a@exam\u202eple.com", "a\u00ad@example.com",
	} {
		s.do(http.MethodPost, "/v1/organizations", map[string]any{"name": "x", "admin_email": bad, "password": password}).
			refused(http.StatusBadRequest, "invalid_request", "body.admin_email")
		s.do(http.MethodPost, "/v1/organizations/"+ada.org+"/invitations", map[string]any{"email": bad, "role": "viewer"}, ada.asPerson).
			refused(http.StatusBadRequest, "invalid_request", "body.email")
	}
	for _, good := range []string{"a.b+c@example.com", "o'neil@example.com"} {
		s.do(http.MethodPost, "/v1/organizations/"+ada.org+"/invitations", map[string]any{"email": good, "role": "viewer"}, ada.asPerson).want(http.StatusCreated)
	}
}

func TestMailsRepeatNoAddressThatReadsAsALink(t *testing.T) {
	box := &postbox{}
	s := newServer(t, func(o *setup) { o.mailer = box })
	const link = "www.evil.example/prize@example.com"
	out := read[handlers.SignedUp](s.do(http.MethodPost, "/v1/organizations", map[string]any{"name": "Acme", "admin_email": link, "password": password}).want(http.StatusCreated))
	s.do(http.MethodPost, "/v1/organizations/"+string(out.Organization.ID)+"/invitations", map[string]any{"email": "victim+/www.evil.example@example.com", "role": "viewer"},
		bearer(out.Session.AccessToken)).want(http.StatusCreated)
	s.do(http.MethodPost, "/v1/auth/password/forgot", map[string]any{"email": link}).want(http.StatusAccepted)
	if err := s.PasswordResets.Send(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(box.mails) != 2 {
		t.Fatalf("%d mails", len(box.mails))
	}
	for _, m := range box.mails {
		if strings.Contains(m.Subject+m.Text, "evil") {
			t.Errorf("%s\n%s", m.Subject, m.Text)
		}
	}
}
