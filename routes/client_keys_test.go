package routes_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
)

// agents are a setup whose projects may dispatch what is named, and nothing if
// nothing is.
func agents(names ...string) func(*setup) {
	return func(o *setup) { o.agents = append([]string{}, names...) }
}

// roomConfig is a request for a token with a room configuration.
func roomConfig(fields string) string {
	return `{"room_name":"daily","participant_identity":"eve","room_config":{` + fields + `}}`
}

func dispatching(names ...string) string {
	parts := make([]string, 0, len(names))
	for _, name := range names {
		parts = append(parts, fmt.Sprintf(`{"agent_name":%q}`, name))
	}
	return roomConfig(`"agents":[` + strings.Join(parts, ",") + `]`)
}

func tagsOf(n int) string {
	parts := make([]string, 0, n)
	for name, value := range pairs(n) {
		parts = append(parts, fmt.Sprintf("%q:%q", name, value))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestNoCallerMakesARoomThatNeverEnds(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.patch(ada.project, map[string]any{"limits": map[string]any{"concurrent_participants": 50}})
	for who, caller := range map[string]with{"key": ada.asKey, "key and secret": ada.asOwn} {
		for _, fits := range []string{`"empty_timeout":86400,"departureTimeout":86400`, `"max_participants":50`, `"maxPlayoutDelay":40950`, `"emptyTimeout":0`,
			`"tags":{"a":"` + strings.Repeat("x", 4095) + `"}`, `"tags":` + tagsOf(32)} {
			s.do(http.MethodPost, create, roomConfig(fits), caller).want(http.StatusCreated)
		}
		for over, locations := range map[string][]string{
			`"empty_timeout":4294967295,"departure_timeout":4294967295`: {"body.room_config.departure_timeout", "body.room_config.empty_timeout"},
			`"emptyTimeout":86401`: {"body.room_config.empty_timeout"}, `"departureTimeout":86401`: {"body.room_config.departure_timeout"},
			`"max_participants":51`: {"body.room_config.max_participants"}, `"minPlayoutDelay":40951`: {"body.room_config.min_playout_delay"},
			`"maxPlayoutDelay":4294967295`:                     {"body.room_config.max_playout_delay"},
			`"tags":{"a":"` + strings.Repeat("x", 4096) + `"}`: {"body.room_config.tags"},
			`"tags":` + tagsOf(33):                             {"body.room_config.tags"},
		} {
			s.do(http.MethodPost, create, roomConfig(over), caller).refused(http.StatusBadRequest, "invalid_request", locations...)
		}
		s.do(http.MethodPost, create, roomConfig(`"egress":{"room":{"fileOutputs":[{"filepath":"x"}]}}`), caller).
			refused(http.StatusForbidden, "grant_not_allowed", "body.room_config.egress")
		for _, node := range []string{`"node_id":"ND_x"`, `"nodeId":"ND_x"`, `"name":"preset"`, `"room_preset":"preset"`} {
			_, grants, claims := minted(t, s.do(http.MethodPost, create, roomConfig(node), caller))
			if got := grants.GetRoomConfiguration(); got.GetName() != "" || strings.Contains(fmt.Sprint(claims["roomConfig"]), "ND_x") {
				t.Errorf("%s with %s chose %v", who, node, claims["roomConfig"])
			}
		}
	}
}

func TestATokenDispatchesOnlyTheAgentsItsProjectAndKeyMay(t *testing.T) {
	s := newServer(t, agents("scribe", "helper"))
	ada := s.tenant("ada")
	refused := func(caller with, names ...string) {
		t.Helper()
		s.do(http.MethodPost, create, dispatching(names...), caller).
			refused(http.StatusForbidden, "agent_not_allowed", fmt.Sprintf("body.room_config.agents[%d].agent_name", len(names)-1))
	}
	allowed := func(caller with, names ...string) {
		t.Helper()
		_, grants, _ := minted(t, s.do(http.MethodPost, create, dispatching(names...), caller))
		if got := grants.GetRoomConfiguration().GetAgents(); len(got) != len(names) || got[0].GetAgentName() != names[0] {
			t.Errorf("dispatched %v", got)
		}
	}
	// By default a key alone dispatches nothing, its server what the installation names.
	refused(ada.asKey, "scribe")
	allowed(ada.asOwn, "scribe", "helper")
	refused(ada.asOwn, "scribe", "spy")
	refused(ada.asOwn, "") // workers without a name
	refused(ada.asOwn, "Scribe")
	// The policy for the key alone allows no more than the project may.
	s.do(http.MethodPatch, "/v1/projects/"+ada.project, map[string]any{"client_tokens": map[string]any{"agents": []string{"scribe", "spy"}}}, ada.asPerson).want(http.StatusOK)
	allowed(ada.asKey, "scribe")
	refused(ada.asKey, "spy")
	refused(ada.asKey, "helper")
	// Only the operator widens what the project may.
	s.do(http.MethodPatch, "/v1/projects/"+ada.project, map[string]any{"agents": []string{"*"}}, ada.asPerson).refused(http.StatusForbidden, "not_allowed")
	s.patch(ada.project, map[string]any{"agents": []string{}})
	refused(ada.asOwn, "scribe")
	refused(ada.asKey, "scribe")
	s.patch(ada.project, map[string]any{"agents": []string{"*"}})
	allowed(ada.asOwn, "anything", "")
	allowed(ada.asKey, "spy")
	refused(ada.asKey, "anything")
	many := strings.Split(strings.Repeat("scribe,", 11), ",")[:11]
	s.do(http.MethodPost, create, dispatching(many...), ada.asKey).refused(http.StatusBadRequest, "invalid_request", "body.room_config.agents")
}

func TestRoomAdminIsMintedOnlyWhereEveryAgentMayBeDispatched(t *testing.T) {
	s := newServer(t, agents())
	ada := s.tenant("ada")
	admin := map[string]any{"grants": map[string]any{"roomAdmin": true}}
	policy := map[string]any{"client_tokens": map[string]any{"grants": map[string]any{"roomJoin": true, "roomAdmin": true}}}
	s.do(http.MethodPatch, "/v1/projects/"+ada.project, policy, ada.asPerson).want(http.StatusOK)
	byPerson := create + "?project_id=" + ada.project
	for _, names := range [][]string{nil, {}, {"scribe"}} {
		if names != nil {
			s.patch(ada.project, map[string]any{"agents": names})
		}
		s.do(http.MethodPost, create, admin, ada.asOwn).refused(http.StatusForbidden, "grant_not_allowed", "body.grants.roomAdmin")
		s.do(http.MethodPost, create, admin, ada.asKey).refused(http.StatusForbidden, "grant_not_allowed", "body.grants.roomAdmin")
		s.do(http.MethodPost, byPerson, admin, ada.asPerson).refused(http.StatusForbidden, "grant_not_allowed", "body.grants.roomAdmin")
		if _, grants, _ := minted(t, s.do(http.MethodPost, create, nil, ada.asKey)); grants.Video.RoomAdmin {
			t.Errorf("the policy gave roomAdmin to a project with the agents %q", names)
		}
	}
	s.patch(ada.project, map[string]any{"agents": []string{"*"}})
	for path, caller := range map[string]with{create: ada.asOwn, byPerson: ada.asPerson} {
		if _, grants, _ := minted(t, s.do(http.MethodPost, path, admin, caller)); !grants.Video.RoomAdmin {
			t.Error("roomAdmin is missing")
		}
	}
	if _, grants, _ := minted(t, s.do(http.MethodPost, create, nil, ada.asKey)); !grants.Video.RoomAdmin {
		t.Error("the policy's roomAdmin is missing")
	}
}

func TestAKeyAloneKeepsToTheRoomsIdentitiesAndLifeOfThePolicy(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.do(http.MethodPost, create, map[string]any{"ttl_seconds": 901}, ada.asKey).refused(http.StatusForbidden, "ttl_not_allowed")
	s.do(http.MethodPost, create, map[string]any{"ttl_seconds": 900}, ada.asKey).want(http.StatusCreated)
	s.do(http.MethodPost, create, map[string]any{"ttl_seconds": 86400}, ada.asOwn).want(http.StatusCreated)
	s.do(http.MethodPatch, "/v1/projects/"+ada.project, map[string]any{"client_tokens": map[string]any{
		"allowed_rooms": []string{"lobby", "support-*"}, "identities": "generated"}}, ada.asPerson).want(http.StatusOK)
	for room, status := range map[string]int{"lobby": 201, "support-": 201, "support-7": 201, "lobby2": 403, "Support-7": 403, "board": 403, "": 403} {
		a := s.do(http.MethodPost, create, map[string]any{"room_name": room}, ada.asKey).want(status)
		if status == 403 {
			a.refused(403, "room_not_allowed", "body.room_name")
		}
		s.do(http.MethodPost, create, map[string]any{"room_name": room}, ada.asOwn).want(http.StatusCreated)
	}
	ask := map[string]any{"room_name": "lobby", "participant_identity": "admin"}
	s.do(http.MethodPost, create, ask, ada.asKey).refused(http.StatusForbidden, "identity_not_allowed", "body.participant_identity")
	if got, _, _ := minted(t, s.do(http.MethodPost, create, ask, ada.asOwn)); got.ParticipantIdentity != "admin" {
		t.Errorf("its server got %q", got.ParticipantIdentity)
	}
	seen := map[string]bool{}
	for range 5 {
		got, _, _ := minted(t, s.do(http.MethodPost, create, map[string]any{"room_name": "lobby", "participant_identity": ""}, ada.asKey))
		if seen[got.ParticipantIdentity] || !strings.HasPrefix(got.ParticipantIdentity, "participant-") {
			t.Errorf("generated %q", got.ParticipantIdentity)
		}
		seen[got.ParticipantIdentity] = true
	}
}

// A flood of mints with the key alone leaves slots for the server's key, and
// none for longer than a minute.
func TestAKeyAloneCanNotReserveAllSlots(t *testing.T) {
	for name, limits := range map[string]map[string]any{"participants": {"concurrent_participants": 10}, "rooms": {"rooms": 10}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			mine := s.limited("mine", limits)
			ask := func(n int, caller with) *answer {
				return s.do(http.MethodPost, create, map[string]any{"room_name": fmt.Sprint("room", n), "participant_identity": fmt.Sprint("bot", n),
					"ttl_seconds": 900}, caller)
			}
			for n := range 100 {
				if a := ask(n, mine.asKey); n < 8 {
					a.want(http.StatusCreated)
				} else {
					a.refused(http.StatusPaymentRequired, "quota_exceeded")
				}
			}
			ask(0, mine.asKey).want(http.StatusCreated) // whose slot is reserved already
			ask(100, mine.asOwn).want(http.StatusCreated)
			ask(101, mine.asOwn).want(http.StatusCreated)
			ask(102, mine.asOwn).refused(http.StatusPaymentRequired, "quota_exceeded")
			s.clock.Advance(time.Minute)
			for n := range 10 {
				ask(200+n, mine.asOwn).want(http.StatusCreated)
			}
		})
	}
}

func TestSlotsOfJoinedParticipantsDoNotCountTowardTheClientShare(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 5})
	ask := func(identity string, caller with) *answer {
		return s.do(http.MethodPost, create, map[string]any{"room_name": "daily", "participant_identity": identity}, caller)
	}
	for n := range 5 { // one after the other, each joins: a key alone fills the project
		identity := fmt.Sprint("p", n)
		ask(identity, mine.asKey).want(http.StatusCreated)
		s.joins(mine, "daily", identity)
	}
	ask("late", mine.asKey).overQuota(models.QuotaConcurrentParticipants, 5, 5)
	if len(s.cluster.removed) != 0 {
		t.Errorf("evicted %v", s.cluster.removed)
	}
}

func TestAReservationTheServerVouchesForLeavesTheClientsShare(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 5})
	ask := func(identity string, caller with) *answer {
		return s.do(http.MethodPost, create, map[string]any{"room_name": "daily", "participant_identity": identity}, caller)
	}
	for n := range 4 {
		ask(fmt.Sprint("p", n), mine.asKey).want(http.StatusCreated)
	}
	ask("p4", mine.asKey).refused(http.StatusPaymentRequired, "quota_exceeded")
	ask("p0", mine.asOwn).want(http.StatusCreated)
	ask("p4", mine.asKey).want(http.StatusCreated)
}

func TestAParticipantWhoJoinsAfterTheReservationTakesAFreeSlotOrIsEvicted(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 2})
	s.ask(mine, "daily", "ann", map[string]any{"ttl_seconds": 3600}).want(http.StatusCreated)
	s.ask(mine, "daily", "bob", map[string]any{"ttl_seconds": 3600}).want(http.StatusCreated)
	s.clock.Advance(2 * time.Minute)
	s.ask(mine, "daily", "cyd").want(http.StatusCreated)
	s.joins(mine, "daily", "cyd")
	s.joins(mine, "daily", "ann")
	if len(s.cluster.removed) != 0 {
		t.Fatalf("evicted %v with a slot free", s.cluster.removed)
	}
	s.joins(mine, "daily", "bob")
	if want := mine.project + "_daily bob"; len(s.cluster.removed) != 1 || s.cluster.removed[0] != want {
		t.Errorf("evicted %v, want %s", s.cluster.removed, want)
	}
}

func TestAnyOriginMayRequestTokensAndAllowedOriginsDecides(t *testing.T) {
	for _, origins := range [][]string{nil, {"https://dashboard.example"}} {
		s := newServer(t, func(o *setup) { o.origins = origins })
		ada := s.tenant("ada")
		const page = "https://shop.tenant.example"
		preflight := s.raw(http.MethodOptions, create, header("Origin", page), header("Access-Control-Request-Method", "POST"),
			header("Access-Control-Request-Headers", "content-type,x-pulse-key"))
		h := preflight.Result().Header
		if preflight.Code != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("preflight: %d %v", preflight.Code, h)
		}
		a := s.do(http.MethodPost, create, nil, ada.asKey, header("Origin", page)).want(http.StatusCreated)
		if a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("answered %v", a.header)
		}
		s.patch(ada.project, map[string]any{"client_tokens": map[string]any{"allowed_origins": []string{"https://app.tenant.example"}}})
		a = s.do(http.MethodPost, create, nil, ada.asKey, header("Origin", page)).refused(http.StatusForbidden, "origin_not_allowed")
		if a.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Error("the page can not read why")
		}
		if got := s.do(http.MethodPost, validate, map[string]any{"token": "x"}, ada.asKey, header("Origin", page)).header; got.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("other routes answer every page: %v", got)
		}
	}
}

func TestACallerThatIsNoPageGetsNoFieldOfCORSWithItsToken(t *testing.T) {
	s := newServer(t)
	got := s.do(http.MethodPost, create, nil, s.tenant("ada").asKey).want(http.StatusCreated).header
	if got.Get("Vary") != "" || got.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("answered %v", got)
	}
}

func TestEveryMintedTokenValidates(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	attributes := map[string]string{}
	for n := range 58 {
		attributes[fmt.Sprint("name", n)] = strings.Repeat("v", 500)
	}
	check := func(body any) {
		t.Helper()
		out := read[handlers.Token](s.do(http.MethodPost, create, body, ada.asKey).want(http.StatusCreated))
		got := read[handlers.TokenCheck](s.do(http.MethodPost, validate, map[string]any{"token": out.ParticipantToken}, ada.asKey).want(http.StatusOK))
		if !got.Valid {
			t.Errorf("%d bytes: %+v", len(out.ParticipantToken), got)
		}
	}
	check(map[string]any{"participant_metadata": strings.Repeat("m", 32<<10), "participant_attributes": attributes})
	check(map[string]any{"participant_metadata": strings.Repeat("\\", 16<<10), "room_config": map[string]any{"metadata": strings.Repeat("\"", 8<<10)}})
	// As much as a body may have, of characters that JSON writers like to escape.
	for _, char := range []string{"\x7f", "<", "\u2028", "\\u0001"} {
		check(roomConfig(`"metadata":"` + strings.Repeat(char, 60<<10/len(char)) + `"`))
	}
}

func TestAPersonMintsValidatesAndRevokesInTheProjectTheyName(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	at := "?project_id=" + ada.project
	s.patch(ada.project, map[string]any{"limits": map[string]any{"concurrent_participants": 1}})
	out, grants, _ := minted(t, s.do(http.MethodPost, create+at, map[string]any{"room_name": "daily", "participant_identity": "ada", "ttl_seconds": 7200}, ada.asPerson))
	if grants.Video.Room != ada.project+"_daily" {
		t.Errorf("for %q", grants.Video.Room)
	}
	s.do(http.MethodPost, create+at, map[string]any{"participant_identity": "bob"}, ada.asPerson).overQuota(models.QuotaConcurrentParticipants, 1, 1)
	check := read[handlers.TokenCheck](s.do(http.MethodPost, validate+at, map[string]any{"token": out.ParticipantToken}, ada.asPerson).want(http.StatusOK))
	if !check.Valid {
		t.Errorf("%+v", check)
	}
	s.do(http.MethodPost, revoke+at, map[string]any{"participant_identity": "ada"}, ada.asPerson).want(http.StatusOK)
	s.do(http.MethodPost, create+at, map[string]any{"participant_identity": "ada"}, ada.asPerson).refused(http.StatusForbidden, "participant_revoked")
	for _, path := range []string{create, validate, revoke} {
		body := map[string]any{create: map[string]any{}, validate: map[string]any{"token": "x"}, revoke: map[string]any{"participant_identity": "x"}}[path]
		s.do(http.MethodPost, path, body, ada.asPerson).refused(http.StatusBadRequest, "invalid_request", "query.project_id")
		s.do(http.MethodPost, path+at, body, eve.asPerson).refused(http.StatusNotFound, "not_found")
		s.do(http.MethodPost, path+at, body, eve.asOwn).refused(http.StatusNotFound, "not_found")
	}
}
