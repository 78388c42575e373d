package routes_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// device gives the cookie by which an answer lets a device be recognized.
func device(t *testing.T, a *answer) (value string, whole string) {
	t.Helper()
	for _, line := range a.header["Set-Cookie"] {
		if rest, ok := strings.CutPrefix(line, "pulse_device="); ok {
			value, _, _ = strings.Cut(rest, ";")
			return value, line
		}
	}
	t.Fatalf("no cookie: %v", a.header)
	return "", ""
}

func TestADeviceThatLoggedInBeforeIsNotLockedOutByGuessesAlsoAfterARestart(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	login := func(password string, how ...with) *answer {
		return s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": ada.email, "password": password}, how...)
	}
	cookie, whole := device(t, login(password, from("198.51.100.7")).want(http.StatusOK))
	for _, part := range []string{"HttpOnly", "SameSite=Strict", "Path=/v1/auth", "Max-Age="} {
		if !strings.Contains(whole, part) {
			t.Errorf("the cookie is %s", whole)
		}
	}
	s = s.another()
	for n := range 12 {
		login("a guess of theirs", from(fmt.Sprintf("203.0.113.%d", n)))
	}
	login(password, from("192.0.2.71")).refused(http.StatusTooManyRequests, "too_many_attempts")
	login(password, from("192.0.2.71"), header("Cookie", "pulse_device=made.up")).refused(http.StatusTooManyRequests, "too_many_attempts")
	again, _ := device(t, login(password, from("192.0.2.71"), header("Cookie", "pulse_device="+cookie)).want(http.StatusOK))
	if again != cookie {
		t.Error("a device that is known became another")
	}
	// The cookie of one account helps with no other.
	eve := s.tenant("eve")
	for n := range 12 {
		s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": eve.email, "password": "a guess of theirs"}, from(fmt.Sprintf("203.0.113.%d", 100+n)))
	}
	s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": eve.email, "password": password}, from("192.0.2.72"), header("Cookie", "pulse_device="+cookie)).
		refused(http.StatusTooManyRequests, "too_many_attempts")
}

func TestAPasswordThatWasSetAnewIsNotHeldUpByGuessesAtTheOldOne(t *testing.T) {
	box := &postbox{}
	s := newServer(t, func(o *setup) { o.mailer = box })
	s.signUp("ada")
	login := func(password, ip string) *answer {
		return s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": "ada@example.com", "password": password}, from(ip))
	}
	for n := 0; login("not the password", fmt.Sprint("192.0.2.", n)).status == http.StatusUnauthorized; n++ {
		if n > 20 {
			t.Fatal("nobody stops the guessing")
		}
	}
	s.do(http.MethodPost, "/v1/auth/password/forgot", map[string]any{"email": "ada@example.com"}).want(http.StatusAccepted)
	if err := s.PasswordResets.Send(t.Context()); err != nil || len(box.mails) != 1 {
		t.Fatal(err, box.mails)
	}
	s.do(http.MethodPost, "/v1/auth/password/reset", map[string]any{"token": regexp.MustCompile(`usr_\S+`).FindString(box.mails[0].Text),
		"password": "another one of theirs"}).want(http.StatusNoContent)
	login("another one of theirs", "198.51.100.7").want(http.StatusOK)
}
