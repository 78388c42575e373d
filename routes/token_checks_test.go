package routes_test

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pulse-control-plane/handlers"
)

func TestAValidTokenIsReadBackAsItWasMinted(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	out, _, _ := minted(t, s.do(http.MethodPost, create, map[string]any{"room_name": "daily_1", "participant_identity": "ada",
		"grants": map[string]any{"agent": true, "hidden": true, "canPublish": false}}, ada.asOwn))
	for _, caller := range []with{ada.asKey, ada.asOwn, bearer(ada.key), asBasic(ada.key, ada.secret)} {
		check := read[handlers.TokenCheck](s.do(http.MethodPost, validate, map[string]any{"token": out.ParticipantToken}, caller).want(http.StatusOK))
		if !check.Valid || check.Reason != "" || *check.RoomName != "daily_1" || *check.ParticipantIdentity != "ada" ||
			*check.TokenID != out.TokenID || !check.ExpiresAt.Equal(out.ExpiresAt) || check.IssuedAt.Unix() != s.clock.Now().Unix() {
			t.Errorf("got %+v", check)
		}
		yes, no := true, false
		if want := (handlers.Grants{RoomJoin: &yes, CanPublish: &no, CanSubscribe: &yes, CanPublishData: &yes, Hidden: &yes, Agent: &yes}); !reflect.DeepEqual(*check.Grants, want) {
			t.Errorf("grants %+v", *check.Grants)
		}
	}
}

func TestInvalidTokensAreReportedWithTheirReason(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	mint := func(caller with) string {
		return read[handlers.Token](s.do(http.MethodPost, create, map[string]any{"room_name": "r", "ttl_seconds": 60}, caller).want(http.StatusCreated)).ParticipantToken
	}
	now := s.clock.Now()
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		claims := jwt.MapClaims{"iss": clusterKey, "sub": "ada", "jti": "x", "nbf": now.Unix(), "exp": now.Add(time.Minute).Unix(),
			"video": map[string]any{"room": ada.project + "_r", "roomJoin": true}}
		change(claims)
		token, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	same := func(jwt.MapClaims) {}
	good := mint(ada.asKey)
	for name, tc := range map[string]struct {
		token, reason string
		known         bool
	}{
		"good":                                   {good, "", true},
		"signed elsewhere":                       {sign(jwt.SigningMethodHS256, []byte(clusterSecret), same), "", true},
		"no JWT":                                 {"hello", "malformed", false},
		"two dots":                               {"..", "malformed", false},
		"not base64":                             {"?.?.?", "malformed", false},
		"altered":                                {good[:len(good)-2] + "xx", "signature_invalid", false},
		"cut":                                    {good[:len(good)-4], "signature_invalid", false},
		"another secret":                         {sign(jwt.SigningMethodHS256, []byte("other"), same), "signature_invalid", false},
		"another algorithm":                      {sign(jwt.SigningMethodHS512, []byte(clusterSecret), same), "signature_invalid", false},
		"no algorithm":                           {sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same), "signature_invalid", false},
		"another issuer":                         {sign(jwt.SigningMethodHS256, []byte(clusterSecret), func(c jwt.MapClaims) { c["iss"] = "other" }), "signature_invalid", false},
		"no end":                                 {sign(jwt.SigningMethodHS256, []byte(clusterSecret), func(c jwt.MapClaims) { delete(c, "exp") }), "no_expiry", true},
		"expired":                                {sign(jwt.SigningMethodHS256, []byte(clusterSecret), func(c jwt.MapClaims) { c["exp"] = now.Unix() - 60 }), "expired", true},
		"expired, by less than LiveKit's leeway": {sign(jwt.SigningMethodHS256, []byte(clusterSecret), func(c jwt.MapClaims) { c["exp"] = now.Unix() - 59 }), "", true},
		"not yet":                                {sign(jwt.SigningMethodHS256, []byte(clusterSecret), func(c jwt.MapClaims) { c["nbf"] = now.Unix() + 61 }), "not_yet_valid", true},
		"not yet, by less than LiveKit's leeway": {sign(jwt.SigningMethodHS256, []byte(clusterSecret), func(c jwt.MapClaims) { c["nbf"] = now.Unix() + 60 }), "", true},
		"another project":                        {mint(eve.asKey), "wrong_project", false},
		"no project":                             {sign(jwt.SigningMethodHS256, []byte(clusterSecret), func(c jwt.MapClaims) { c["video"] = map[string]any{"room": "lobby"} }), "wrong_project", false},
		"no room":                                {sign(jwt.SigningMethodHS256, []byte(clusterSecret), func(c jwt.MapClaims) { delete(c, "video") }), "wrong_project", false},
		"an end far, far away":                   {sign(jwt.SigningMethodHS256, []byte(clusterSecret), func(c jwt.MapClaims) { c["exp"] = 1e18 }), "malformed", false},
	} {
		t.Run(name, func(t *testing.T) {
			check := read[handlers.TokenCheck](s.in(t).do(http.MethodPost, validate, map[string]any{"token": tc.token}, ada.asKey).want(http.StatusOK))
			if check.Valid != (tc.reason == "") || check.Reason != tc.reason || (check.RoomName != nil) != tc.known {
				t.Errorf("got %+v", check)
			}
		})
	}
	// As time goes by.
	s.clock.Advance(119 * time.Second)
	if check := read[handlers.TokenCheck](s.do(http.MethodPost, validate, map[string]any{"token": good}, ada.asKey)); !check.Valid {
		t.Errorf("within the leeway: %+v", check)
	}
	s.clock.Advance(2 * time.Second)
	if check := read[handlers.TokenCheck](s.do(http.MethodPost, validate, map[string]any{"token": good}, ada.asKey)); check.Reason != "expired" || *check.RoomName != "r" {
		t.Errorf("got %+v", check)
	}
}
