package routes_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestAMistypedKeyIsRefusedWithoutADatabaseLookUp(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	mistyped := []byte(ada.key)
	mistyped[15] ^= 1
	reads := s.engine.reads.Load()
	for _, key := range []string{string(mistyped), "pulse_key_", "x", "", ada.key + "0", strings.ToLower(ada.key)} {
		s.do(http.MethodPost, create, nil, asKey(key)).refused(http.StatusUnauthorized, "invalid_api_key")
		s.do(http.MethodPost, create, nil, asServer(key, ada.secret)).refused(http.StatusUnauthorized, "invalid_api_key")
	}
	wrong := []byte(ada.secret)
	wrong[20] ^= 1
	s.do(http.MethodPost, create, nil, asServer(ada.key, string(wrong))).refused(http.StatusUnauthorized, "invalid_api_key")
	if got := s.engine.reads.Load(); got != reads {
		t.Errorf("%d look-ups", got-reads)
	}
}

func TestAWarmKeyAsksTheDatabaseNothing(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.do(http.MethodPost, create, nil, ada.asOwn).want(http.StatusCreated)
	reads := s.engine.reads.Load()
	for range 5 {
		s.do(http.MethodPost, create, nil, ada.asOwn).want(http.StatusCreated)
		s.do(http.MethodPost, create, nil, ada.asKey).want(http.StatusCreated)
	}
	// A well-formed key nobody has is asked for once.
	other := newServer(t).tenant("elsewhere")
	for range 5 {
		s.do(http.MethodPost, create, nil, other.asKey).refused(http.StatusUnauthorized, "invalid_api_key")
	}
	if got := s.engine.reads.Load(); got != reads+1 {
		t.Errorf("%d look-ups", got-reads)
	}
}

func TestWrongSecretsFromItsAddressKeepANewSecretOutOfNoProcess(t *testing.T) {
	s := newServer(t)
	ada, bob := s.tenant("ada"), s.tenant("bob")
	fresh := s.another()
	wrong := func(r *http.Request) { ada.asOwn(r); r.Header.Set("X-Pulse-Secret", bob.secret) }
	for n := 0; fresh.do(http.MethodGet, "/v1/rooms", nil, wrong).status != http.StatusTooManyRequests; n++ {
		if n > 100 {
			t.Fatal("guesses are not limited")
		}
	}
	fresh.do(http.MethodPost, create, nil, ada.asOwn).want(http.StatusCreated)
	fresh.do(http.MethodPost, create, nil, wrong).refused(http.StatusTooManyRequests, "too_many_attempts")
}
