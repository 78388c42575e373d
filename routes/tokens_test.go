package routes_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"

	"pulse-control-plane/handlers"
	"pulse-control-plane/utils/ids"
)

const create, validate, revoke = "/v1/tokens/create", "/v1/tokens/validate", "/v1/tokens/revoke"

// minted reads a token that LiveKit's own library accepts, and its claims as
// they stand in it.
func minted(t testing.TB, a *answer) (handlers.Token, *auth.ClaimGrants, map[string]any) {
	t.Helper()
	out := read[handlers.Token](a.want(http.StatusCreated))
	verifier, err := auth.ParseAPIToken(out.ParticipantToken)
	if err != nil {
		t.Fatal(err)
	}
	_, grants, err := verifier.Verify(clusterSecret)
	if err != nil || verifier.APIKey() != clusterKey {
		t.Fatalf("LiveKit refuses the token of %q: %v", verifier.APIKey(), err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(out.ParticipantToken, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return out, grants, claims
}

// tokenAttribute is the attribute pulse.token in a token, which LiveKit gives the
// participant who joins with it.
func tokenAttribute(jwt string) string {
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[1])
	var claims struct {
		Attributes map[string]string `json:"attributes"`
	}
	_ = json.Unmarshal(payload, &claims)
	return claims.Attributes["pulse.token"]
}

func TestATokenHasExactlyTheRequestedClaims(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	metadata := "{\"quote\":\"\\\"\",\"tag\":\"</script>\",\"uni\":\"ü\U0001F600\u2028\"}"
	out, grants, claims := minted(t, s.do(http.MethodPost, create, map[string]any{
		"room_name": "Daily (ü) _1", "participant_identity": `ada "the" \first`, "participant_name": "Ada <L>",
		"participant_metadata": metadata, "participant_attributes": map[string]string{"desk": "7", "ü\n": "\x00"},
		"ttl_seconds": 600, "grants": map[string]any{"roomAdmin": true, "canPublishSources": []string{"microphone", "camera"},
			"canPublishData": false, "hidden": true, "recorder": true, "canUpdateOwnMetadata": true, "canSubscribeMetrics": true,
			"canManageAgentSession": false},
		"room_config": map[string]any{"name": "escape", "empty_timeout": 60, "maxParticipants": 5, "unknown_of_the_future": 1},
	}, ada.asOwn))

	now := s.clock.Now()
	qualified := ada.project + "_Daily (ü) _1"
	want := map[string]any{
		"iss": clusterKey, "sub": `ada "the" \first`, "name": "Ada <L>", "jti": string(out.TokenID),
		"iat": float64(now.Unix()), "nbf": float64(now.Unix()), "exp": float64(now.Add(600 * time.Second).Unix()),
		"video": map[string]any{"room": qualified, "roomJoin": true, "roomAdmin": true, "canPublish": true, "canSubscribe": true,
			"canPublishData": false, "canPublishSources": []any{"microphone", "camera"}, "canUpdateOwnMetadata": true,
			"canSubscribeMetrics": true, "canManageAgentSession": false, "hidden": true, "recorder": true},
		"metadata":   metadata,
		"attributes": map[string]any{"pulse.project": ada.project, "pulse.token": tokenAttribute(out.ParticipantToken), "desk": "7", "ü\n": "\x00"},
		"roomConfig": map[string]any{"emptyTimeout": 60.0, "maxParticipants": 5.0},
	}
	if !strings.HasPrefix(tokenAttribute(out.ParticipantToken), string(out.TokenID)+".") {
		t.Errorf("the attribute %q does not name %s", tokenAttribute(out.ParticipantToken), out.TokenID)
	}
	if !reflect.DeepEqual(claims, want) {
		t.Errorf("the claims are\n%v\nwant\n%v", claims, want)
	}
	if grants.Identity != `ada "the" \first` || grants.Metadata != metadata || grants.Video.Room != qualified ||
		grants.Attributes["pulse.project"] != ada.project || grants.GetRoomConfiguration().GetEmptyTimeout() != 60 {
		t.Errorf("LiveKit reads %+v", grants)
	}
	if out.ServerURL != clusterURL || out.RoomName != "Daily (ü) _1" || out.ParticipantIdentity != `ada "the" \first` ||
		out.ParticipantName != "Ada <L>" || out.ExpiresAt.Unix() != now.Add(600*time.Second).Unix() || !ids.Valid("tok_", string(out.TokenID)) {
		t.Errorf("answered %+v", out)
	}
}

func TestATokenOfNothingJoinsAFreshRoomForAnHourOrAsLongAsTheKeyAloneMay(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	seen := map[string]bool{}
	for name, caller := range map[string]with{"key": ada.asKey, "Bearer key": bearer(ada.key), "key and secret": ada.asOwn,
		"Bearer key and secret": both(bearer(ada.key), header("X-Pulse-Secret", ada.secret)), "Basic": asBasic(ada.key, ada.secret)} {
		life := int64(3600)
		if strings.HasSuffix(name, "key") {
			life = 900
		}
		for _, body := range []any{nil, "{}", `{"room_name":"","participant_identity":"","grants":{},"participant_attributes":{},"room_config":{}}`} {
			out, _, claims := minted(t, s.do(http.MethodPost, create, body, caller))
			if !regexp.MustCompile(`^room-[a-z2-7]{12}$`).MatchString(out.RoomName) ||
				!regexp.MustCompile(`^participant-[a-z2-7]{12}$`).MatchString(out.ParticipantIdentity) ||
				out.ParticipantName != "" || out.ExpiresAt.Unix() != s.clock.Now().Unix()+life {
				t.Errorf("%s: got %+v", name, out)
			}
			if seen[out.RoomName] || seen[out.ParticipantIdentity] || seen[string(out.TokenID)] {
				t.Errorf("%s: generated twice: %+v", name, out)
			}
			seen[out.RoomName], seen[out.ParticipantIdentity], seen[string(out.TokenID)] = true, true, true
			want := map[string]any{"room": ada.project + "_" + out.RoomName, "roomJoin": true, "canPublish": true, "canSubscribe": true, "canPublishData": true}
			if !reflect.DeepEqual(claims["video"], want) {
				t.Errorf("%s: grants %v", name, claims["video"])
			}
			if claims["nbf"] != float64(s.clock.Now().Unix()) {
				t.Errorf("%s: nbf %v", name, claims["nbf"])
			}
		}
	}
}

func TestCamelCaseIsAnotherSpellingOfTheSameToken(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	_, _, snake := minted(t, s.do(http.MethodPost, create, `{"room_name":"r","participant_identity":"i","participant_name":"n",
		"participant_metadata":"m","participant_attributes":{"a":"b"},"room_config":{"empty_timeout":5},"ttl_seconds":99}`, ada.asKey))
	_, _, camel := minted(t, s.do(http.MethodPost, create, `{"roomName":"r","participantIdentity":"i","participantName":"n",
		"participantMetadata":"m","participantAttributes":{"a":"b"},"roomConfig":{"emptyTimeout":5},"ttlSeconds":99}`, ada.asKey))
	for _, claims := range []map[string]any{snake, camel} {
		delete(claims, "jti")
		delete(claims["attributes"].(map[string]any), "pulse.token")
	}
	if !reflect.DeepEqual(snake, camel) || snake["name"] != "n" || snake["metadata"] != "m" {
		t.Errorf("they differ:\n%v\n%v", snake, camel)
	}
	for _, name := range []string{"room_name roomName", "ttl_seconds ttlSeconds", "participant_identity participantIdentity"} {
		a, b, _ := strings.Cut(name, " ")
		value := `"x"`
		if a == "ttl_seconds" {
			value = "60"
		}
		s.do(http.MethodPost, create, `{"`+a+`":`+value+`,"`+b+`":`+value+`}`, ada.asKey).refused(http.StatusBadRequest, "invalid_request", "body."+b)
	}
}

// within are the grants a tenant may hold that are flags.
func within() []string {
	return []string{"roomJoin", "roomAdmin", "canPublish", "canSubscribe", "canPublishData", "canUpdateOwnMetadata",
		"canSubscribeMetrics", "canManageAgentSession", "hidden", "recorder", "agent"}
}

func TestClientGradeNeverGetsMoreThanThePolicy(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	// By default nothing beyond join, publish, subscribe and data.
	for _, grant := range within() {
		body := map[string]any{"grants": map[string]any{grant: true}}
		switch a := s.do(http.MethodPost, create, body, ada.asKey); grant {
		case "roomJoin", "canPublish", "canSubscribe", "canPublishData":
			a.want(http.StatusCreated)
		default:
			a.refused(http.StatusForbidden, "grant_not_allowed", "body.grants."+grant)
		}
		minted(t, s.do(http.MethodPost, create, body, ada.asOwn)) // its server may
		_, grants, _ := minted(t, s.do(http.MethodPost, create, map[string]any{"grants": map[string]any{grant: false}}, ada.asKey))
		if v := grants.Video; v.RoomAdmin || v.Hidden || v.Recorder || v.Agent || v.GetCanUpdateOwnMetadata() {
			t.Errorf("refusing %s got %+v", grant, v)
		}
	}
	// A narrow policy: listen to microphones only.
	s.patch(ada.project, map[string]any{"client_tokens": map[string]any{"max_ttl_seconds": 120, "grants": map[string]any{
		"roomJoin": true, "canPublish": true, "canPublishSources": []string{"microphone"}, "canSubscribe": true, "canPublishData": false}}})
	out, grants, _ := minted(t, s.do(http.MethodPost, create, nil, ada.asKey))
	if v := grants.Video; !v.GetCanPublish() || v.GetCanPublishData() || !slices.Equal(v.CanPublishSources, []string{"microphone"}) {
		t.Errorf("got %+v", v)
	}
	if out.ExpiresAt.Unix() != s.clock.Now().Unix()+120 {
		t.Errorf("lives until %s", out.ExpiresAt)
	}
	s.do(http.MethodPost, create, map[string]any{"ttl_seconds": 121}, ada.asKey).refused(http.StatusForbidden, "ttl_not_allowed")
	minted(t, s.do(http.MethodPost, create, map[string]any{"ttl_seconds": 120}, ada.asKey))
	for _, over := range []map[string]any{{"canPublishData": true}, {"canPublishSources": []string{"camera"}},
		{"canPublishSources": []string{}}, {"canPublishSources": []string{"microphone", "screen_share"}}} {
		name := slices.Collect(maps.Keys(over))[0]
		s.do(http.MethodPost, create, map[string]any{"grants": over}, ada.asKey).refused(http.StatusForbidden, "grant_not_allowed", "body.grants."+name)
	}
	_, grants, _ = minted(t, s.do(http.MethodPost, create, map[string]any{"grants": map[string]any{"canPublish": false}}, ada.asKey))
	if grants.Video.GetCanPublish() {
		t.Error("less was asked for and more was given")
	}
	// The project's server is not held to any of it.
	out, grants, _ = minted(t, s.do(http.MethodPost, create, map[string]any{"ttl_seconds": 86400, "grants": map[string]any{"roomAdmin": true}}, ada.asOwn))
	if !grants.Video.RoomAdmin || out.ExpiresAt.Unix() != s.clock.Now().Unix()+86400 {
		t.Errorf("the server got %+v until %s", grants.Video, out.ExpiresAt)
	}
}

func TestAClientPolicyMayBeSwitchedOffAndHeldToOrigins(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.patch(ada.project, map[string]any{"client_tokens": map[string]any{"allowed_origins": []string{"HTTPS://A.example:443", "http://localhost:3000"}}})
	for origin, status := range map[string]int{"https://a.example": 201, "http://localhost:3000": 201, "https://b.example": 403,
		"http://a.example": 403, "https://a.example.evil.example": 403, "null": 403} {
		a := s.do(http.MethodPost, create, nil, ada.asKey, header("Origin", origin)).want(status)
		if status == 403 {
			a.refused(status, "origin_not_allowed")
		}
		s.do(http.MethodPost, create, nil, ada.asOwn, header("Origin", origin)).want(http.StatusCreated)
	}
	s.do(http.MethodPost, create, nil, ada.asKey).want(http.StatusCreated) // no browser
	s.patch(ada.project, map[string]any{"client_tokens": map[string]any{"enabled": false}})
	s.do(http.MethodPost, create, nil, ada.asKey).refused(http.StatusForbidden, "client_tokens_disabled")
	s.do(http.MethodPost, create, nil, ada.asOwn).want(http.StatusCreated)
}

func TestServerWideGrantsAreNeverMinted(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for grant, value := range map[string]any{"roomCreate": true, "roomList": true, "roomRecord": true, "ingressAdmin": true,
		"room": "another", "destinationRoom": "another"} {
		for _, caller := range []with{ada.asKey, ada.asOwn} {
			s.do(http.MethodPost, create, map[string]any{"grants": map[string]any{grant: value}}, caller).
				refused(http.StatusForbidden, "grant_not_allowed", "body.grants."+grant)
		}
		s.do(http.MethodPatch, "/v1/projects/"+ada.project, map[string]any{"client_tokens": map[string]any{"grants": map[string]any{grant: value}}}, ada.asPerson).
			refused(http.StatusForbidden, "grant_not_allowed", "body.client_tokens.grants."+grant)
	}
	for _, unknown := range []string{"sipAdmin", "sip", "roomcreate", "RoomCreate", "inference"} {
		s.do(http.MethodPost, create, map[string]any{"grants": map[string]any{unknown: true}}, ada.asOwn).
			refused(http.StatusBadRequest, "invalid_request", "body.grants."+unknown)
	}
	all := map[string]any{}
	for _, grant := range within() {
		all[grant] = true
	}
	_, grants, claims := minted(t, s.do(http.MethodPost, create, map[string]any{"grants": all}, ada.asOwn))
	if v := grants.Video; v.RoomCreate || v.RoomList || v.RoomRecord || v.IngressAdmin || v.Agent || v.DestinationRoom != "" {
		t.Errorf("minted %+v", v)
	}
	if grants.SIP != nil || grants.Agent != nil || grants.Inference != nil || claims["kind"] != "agent" {
		t.Errorf("minted %v", claims)
	}
}

func TestRoomConfigAcceptsLiveKitsFieldsExceptThoseReachingBeyondTheRoom(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, egress := range []string{`{"egress":{}}`, `{"egress":{"room":{"roomName":"x"}}}`, `{"emptyTimeout":1,"egress":{"tracks":{}}}`} {
		for _, caller := range []with{ada.asKey, ada.asOwn} {
			s.do(http.MethodPost, create, `{"room_config":`+egress+`}`, caller).refused(http.StatusForbidden, "grant_not_allowed", "body.room_config.egress")
		}
	}
	for _, wrong := range []string{`{"emptyTimeout":"soon"}`, `{"agents":{}}`, `{"emptyTimeout":-1}`, `{"agents":[{"agentName":7}]}`} {
		s.do(http.MethodPost, create, `{"room_config":`+wrong+`}`, ada.asKey).refused(http.StatusBadRequest, "invalid_request", "body.room_config")
	}
	_, grants, _ := minted(t, s.do(http.MethodPost, create, `{"room_config":{"name":"other","agents":[{"agent_name":"notetaker","metadata":"m"}]}}`, ada.asOwn))
	if c := grants.GetRoomConfiguration(); c.GetName() != "" || c.GetAgents()[0].GetAgentName() != "notetaker" {
		t.Errorf("got %v", c)
	}
}

func TestAttributesOfPulseAreNotTheCallersToSet(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, name := range []string{"pulse.project", "pulse.", "pulse.x"} {
		s.do(http.MethodPost, create, map[string]any{"participant_attributes": map[string]string{name: "x"}}, ada.asOwn).
			refused(http.StatusBadRequest, "invalid_request", "body.participant_attributes."+name)
	}
}

func TestTheOperatorMintsNoTokens(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, path := range []string{create, validate} {
		s.do(http.MethodPost, path, map[string]any{"token": "x"}).refused(http.StatusUnauthorized, "unauthenticated")
		s.do(http.MethodPost, path+"?project_id="+ada.project, map[string]any{"token": "x"}, asOperator()).refused(http.StatusForbidden, "key_required")
	}
}
