package composition_test

import (
	"crypto/rand"
	"crypto/rsa"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pulse-control-plane/services/auth"
)

func TestAForeignAccessTokenIsRefused(t *testing.T) {
	p := newPeople(t)
	login := p.found().Login
	var claims jwt.MapClaims
	if _, _, err := jwt.NewParser().ParseUnverified(login.AccessToken, &claims); err != nil {
		t.Fatal(err)
	}
	key := []byte("jwt secret of the tests")
	pair, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		changed := jwt.MapClaims{}
		for name, value := range claims {
			changed[name] = value
		}
		if change != nil {
			change(changed)
		}
		token, err := jwt.NewWithClaims(method, changed).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	set := func(name string, value any) func(jwt.MapClaims) {
		return func(c jwt.MapClaims) {
			if value == nil {
				delete(c, name)
				return
			}
			c[name] = value
		}
	}
	if _, err := p.sessions.Person(t.Context(), sign(jwt.SigningMethodHS256, key, nil)); err != nil {
		t.Fatalf("the control: %v", err)
	}
	for what, token := range map[string]string{
		"alg none":         sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"alg HS384":        sign(jwt.SigningMethodHS384, key, nil),
		"alg HS512":        sign(jwt.SigningMethodHS512, key, nil),
		"alg RS256":        sign(jwt.SigningMethodRS256, pair, nil),
		"another key":      sign(jwt.SigningMethodHS256, []byte("another"), nil),
		"wrong issuer":     sign(jwt.SigningMethodHS256, key, set("iss", "somebody")),
		"no issuer":        sign(jwt.SigningMethodHS256, key, set("iss", nil)),
		"wrong audience":   sign(jwt.SigningMethodHS256, key, set("aud", "livekit")),
		"no audience":      sign(jwt.SigningMethodHS256, key, set("aud", nil)),
		"no exp":           sign(jwt.SigningMethodHS256, key, set("exp", nil)),
		"expired":          sign(jwt.SigningMethodHS256, key, set("exp", p.clock.Now().Add(-6*time.Second).Unix())),
		"not yet":          sign(jwt.SigningMethodHS256, key, set("nbf", p.clock.Now().Add(time.Minute).Unix())),
		"no session":       sign(jwt.SigningMethodHS256, key, set("sid", nil)),
		"another tenant's": sign(jwt.SigningMethodHS256, key, set("org", "org_0197a8b0-0000-7000-8000-000000000000")),
		"no tenant":        sign(jwt.SigningMethodHS256, key, set("org", nil)),
		"a refresh token":  login.RefreshToken,
		"nothing":          "",
	} {
		if _, err := p.sessions.Person(t.Context(), token); err == nil {
			t.Errorf("%s: accepted", what)
		} else {
			wantCode(t, err, "invalid_token")
		}
	}
}

func TestAnAccessTokenWorksForFifteenMinutesAndTheLeewayOfClocks(t *testing.T) {
	p := newPeople(t)
	login := p.found().Login
	p.clock.Advance(auth.AccessTokenTTL + 4*time.Second)
	p.actor(login)
	p.clock.Advance(2 * time.Second)
	_, err := p.sessions.Person(t.Context(), login.AccessToken)
	wantCode(t, err, "invalid_token")
}

func TestTheFirstJWTSecretSignsAndAllVerify(t *testing.T) {
	p := newPeople(t)
	old := p.found().Login
	p.build(nil, "new", "jwt secret of the tests")
	p.actor(old)
	fresh, err := p.login(ownersEmail, ownersPassword, anIP)
	if err != nil {
		t.Fatal(err)
	}
	p.build(nil, "new")
	p.actor(fresh)
	_, err = p.sessions.Person(t.Context(), old.AccessToken)
	wantCode(t, err, "invalid_token")
}

func TestPeopleOfASuspendedOrganizationAreRefusedAtOnce(t *testing.T) {
	p := newPeople(t)
	org := p.found()
	p.actor(org.Login)
	if _, err := p.organizations.Suspend(t.Context(), operator(), org.Organization.ID); err != nil {
		t.Fatal(err)
	}
	_, err := p.sessions.Person(t.Context(), org.Login.AccessToken)
	wantCode(t, err, "organization_suspended")
	_, err = p.login(ownersEmail, ownersPassword, anIP)
	wantCode(t, err, "organization_suspended")
	_, err = p.login(ownersEmail, "another password", anIP)
	wantCode(t, err, "invalid_credentials")
	if _, err := p.organizations.Unsuspend(t.Context(), operator(), org.Organization.ID); err != nil {
		t.Fatal(err)
	}
	p.actor(org.Login)
}
