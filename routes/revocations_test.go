package routes_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"pulse-control-plane/handlers"
)

// join reports whether somebody joined with a token.
func (s *server) join(t tenant, room, identity, sid, token string) {
	s.t.Helper()
	now := s.clock.Now()
	s.webhook(map[string]any{"event": "participant_joined", "id": "EV_" + sid, "createdAt": now.Unix(),
		"room": map[string]any{"sid": "RM_" + room, "name": t.project + "_" + room, "creationTimeMs": now.UnixMilli()},
		"participant": map[string]any{"sid": sid, "identity": identity, "joinedAtMs": now.UnixMilli(),
			"attributes": map[string]any{"pulse.token": token}}}).want(http.StatusOK)
	s.work()
}

// revoke bans an identity from every room for an hour.
func (s *server) revoke(t tenant, identity string) handlers.Revocation {
	s.t.Helper()
	return read[handlers.Revocation](s.do(http.MethodPost, "/v1/tokens/revoke", map[string]any{"participant_identity": identity}, t.asOwn).want(http.StatusOK))
}

func (s *server) mint(t tenant, room, identity string) handlers.Token {
	s.t.Helper()
	return read[handlers.Token](s.do(http.MethodPost, "/v1/tokens/create",
		map[string]any{"room_name": room, "participant_identity": identity}, t.asKey).want(http.StatusCreated))
}

func TestARevokedParticipantIsRemovedRefusedAndRemovedAgain(t *testing.T) {
	s := newServer(t)
	mine, other := s.tenant("mine"), s.tenant("other")
	old := s.mint(mine, "daily", "ada")
	s.join(mine, "daily", "ada", "PA_1", tokenAttribute(old.ParticipantToken))
	if len(s.cluster.removed) != 0 {
		t.Fatalf("removed %v", s.cluster.removed)
	}
	s.clock.Advance(5 * time.Second) // tokens are dated by the real clock, which stands before this one
	s.do(http.MethodPost, "/v1/tokens/revoke", map[string]any{"participant_identity": "ada", "ban_seconds": 60}, mine.asOwn).want(http.StatusOK)
	s.work()
	room := mine.project + "_daily"
	if !slices.Equal(s.cluster.removed, []string{room + " ada"}) {
		t.Fatalf("removed %v", s.cluster.removed)
	}
	ask := map[string]any{"room_name": "daily", "participant_identity": "ada"}
	s.do(http.MethodPost, "/v1/tokens/create", ask, mine.asKey).refused(http.StatusForbidden, "participant_revoked")
	s.do(http.MethodPost, "/v1/tokens/create", ask, mine.asOwn).refused(http.StatusForbidden, "participant_revoked")
	s.do(http.MethodPost, "/v1/tokens/create", ask, other.asKey).want(http.StatusCreated)
	s.mint(mine, "daily", "grace")

	s.join(mine, "daily", "ada", "PA_2", tokenAttribute(old.ParticipantToken))
	s.clock.Advance(61 * time.Second) // the ban is over, the old token is not
	s.join(mine, "weekly", "ada", "PA_3", tokenAttribute(old.ParticipantToken))
	if want := []string{room + " ada", room + " ada", mine.project + "_weekly ada"}; !slices.Equal(s.cluster.removed, want) {
		t.Errorf("removed %v, not %v", s.cluster.removed, want)
	}
	s.mint(mine, "daily", "ada")
	s.join(mine, "daily", "grace", "PA_4", tokenAttribute(old.ParticipantToken))
	s.clock.Advance(24 * time.Hour)
	s.join(mine, "daily", "ada", "PA_5", tokenAttribute(old.ParticipantToken))
	if len(s.cluster.removed) != 3 {
		t.Errorf("removed too many: %v", s.cluster.removed)
	}
}

// later is the attribute of a token that is issued now, by the test's clock.
func (s *server) later(t tenant, room, identity string) string {
	s.t.Helper()
	return tokenAttribute(s.mint(t, room, identity).ParticipantToken)
}

// TestAnEvictionOfAnEndedSessionSparesTheParticipantWhoReturned has somebody join on a revoked token
// while LiveKit can't be told, and come back on a good one.
func TestAnEvictionOfAnEndedSessionSparesTheParticipantWhoReturned(t *testing.T) {
	for name, heard := range map[string]bool{"and it was heard that they left": true, "before it was heard that they left": false} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			mine := s.tenant("mine")
			old := s.mint(mine, "daily", "ada")
			s.clock.Advance(5 * time.Second) // tokens are dated by the real clock, which stands before this one
			s.do(http.MethodPost, "/v1/tokens/revoke", map[string]any{"participant_identity": "ada", "ban_seconds": 0}, mine.asOwn).want(http.StatusOK)
			s.cluster.away = true
			s.join(mine, "daily", "ada", "PA_1", tokenAttribute(old.ParticipantToken))
			if now := s.clock.Now(); heard {
				s.webhook(map[string]any{"event": "participant_left", "id": "EV_left", "createdAt": now.Unix(),
					"room":        map[string]any{"sid": "RM_daily", "name": mine.project + "_daily", "creationTimeMs": now.UnixMilli()},
					"participant": map[string]any{"sid": "PA_1", "identity": "ada", "joinedAtMs": now.UnixMilli()}}).want(http.StatusOK)
				s.work()
			}
			s.clock.Advance(time.Minute)
			if !heard { // otherwise it is the news of this that is on its way
				s.join(mine, "daily", "ada", "PA_2", s.later(mine, "daily", "ada"))
			}
			before := len(s.cluster.removed)
			s.cluster.away = false
			s.clock.Advance(time.Minute)
			s.work()
			if len(s.cluster.removed) != before {
				t.Errorf("removed %v", s.cluster.removed)
			}
		})
	}
}

func TestARevocationOfOneRoomLeavesTheOthersAlone(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	s.do(http.MethodPost, "/v1/tokens/revoke", map[string]any{"participant_identity": "ada", "room_name": "daily"}, mine.asOwn).want(http.StatusOK)
	s.mint(mine, "weekly", "ada")
	s.do(http.MethodPost, "/v1/tokens/create", map[string]any{"room_name": "daily", "participant_identity": "ada"}, mine.asKey).
		refused(http.StatusForbidden, "participant_revoked")
}

func TestRevokingRequiresTheSecret(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	ask := map[string]any{"participant_identity": "ada"}
	s.do(http.MethodPost, "/v1/tokens/revoke", ask, mine.asKey).refused(http.StatusForbidden, "secret_required")
	s.do(http.MethodPost, "/v1/tokens/revoke", map[string]any{}, mine.asOwn).refused(http.StatusBadRequest, "invalid_request", "body.participant_identity")
}

func TestARevocationHoldsEvenWhenLiveKitIsAway(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	s.cluster.away = true
	ask := map[string]any{"participant_identity": "ada", "room_name": "daily"}
	s.do(http.MethodPost, "/v1/tokens/revoke", ask, mine.asOwn).want(http.StatusOK)
	s.do(http.MethodPost, "/v1/tokens/create", ask, mine.asKey).refused(http.StatusForbidden, "participant_revoked")
}

func TestRevokedParticipantsAreEvictedOnceLiveKitIsBack(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	for _, room := range []string{"daily", "weekly"} {
		s.join(mine, room, "ada", "PA_"+room, "")
	}
	s.cluster.away = true
	s.do(http.MethodPost, "/v1/tokens/revoke", map[string]any{"participant_identity": "ada"}, mine.asOwn).want(http.StatusOK)
	s.work()
	s.cluster.away = false
	s.clock.Advance(time.Minute)
	s.work()
	slices.Sort(s.cluster.removed)
	if want := []string{mine.project + "_daily ada", mine.project + "_weekly ada"}; !slices.Equal(s.cluster.removed, want) {
		t.Errorf("removed %v", s.cluster.removed)
	}
}

func TestABanIsListedAndLifted(t *testing.T) {
	s := newServer(t)
	mine, other := s.tenant("mine"), s.tenant("other")
	old := s.mint(mine, "daily", "ada")
	s.clock.Advance(5 * time.Second) // tokens are dated by the real clock, which stands before this one
	first, second := s.revoke(mine, "ada"), s.revoke(mine, "bob")
	s.revoke(other, "eve")
	list := func(caller with, query string) handlers.List[handlers.Revocation] {
		t.Helper()
		return read[handlers.List[handlers.Revocation]](s.do(http.MethodGet, "/v1/tokens/revocations"+query, nil, caller).want(http.StatusOK))
	}
	if got := list(mine.asOwn, "").Items; len(got) != 2 || got[0] != second || got[1] != first {
		t.Fatalf("listed %+v", got)
	}
	page := list(mine.asPerson, "?limit=1&project_id="+mine.project)
	if len(page.Items) != 1 || !page.HasMore || page.Items[0] != second {
		t.Fatalf("the first page is %+v", page)
	}
	if got := list(mine.asPerson, "?limit=1&project_id="+mine.project+"&cursor="+*page.NextCursor).Items; len(got) != 1 || got[0] != first {
		t.Fatalf("the second page is %+v", got)
	}
	path := "/v1/tokens/revocations/" + string(first.ID)
	s.do(http.MethodDelete, path, nil, other.asOwn).refused(http.StatusNotFound, "not_found")
	s.do(http.MethodDelete, path, nil, mine.asKey).refused(http.StatusForbidden, "secret_required")
	ask := map[string]any{"room_name": "daily", "participant_identity": "ada"}
	s.do(http.MethodPost, create, ask, mine.asOwn).refused(http.StatusForbidden, "participant_revoked")
	s.do(http.MethodDelete, path, nil, mine.asOwn).want(http.StatusNoContent)
	s.do(http.MethodDelete, path, nil, mine.asOwn).refused(http.StatusNotFound, "not_found")
	if got := list(mine.asOwn, "").Items; len(got) != 1 || got[0] != second {
		t.Errorf("still listed: %+v", got)
	}
	s.mint(mine, "daily", "ada")
	// The token from before stays revoked.
	s.join(mine, "daily", "ada", "PA_1", string(old.TokenID))
	if want := mine.project + "_daily ada"; !slices.Equal(s.cluster.removed, []string{want}) {
		t.Errorf("evicted %v, want %s", s.cluster.removed, want)
	}
	again := s.revoke(mine, "ada")
	if got := list(mine.asOwn, "").Items; len(got) != 2 || got[0] != again || again.ID == first.ID {
		t.Errorf("revoked again, listed %+v", got)
	}
	s.clock.Advance(25 * time.Hour)
	if got := list(mine.asOwn, "").Items; len(got) != 0 {
		t.Errorf("over and listed: %+v", got)
	}
}

// LiveKit adds "#" and a text of the bearer's choice to the identity of a
// connection with the parameter publish.
func TestABanCoversEveryIdentityTheTokenAllows(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	old := s.mint(mine, "daily", "ada")
	s.join(mine, "daily", "ada#screen", "PA_1", string(old.TokenID))
	s.join(mine, "daily", "adam#x", "PA_0", "")
	s.clock.Advance(5 * time.Second)
	s.revoke(mine, "ada")
	s.work()
	s.join(mine, "daily", "ada#a#b", "PA_2", string(old.TokenID))
	s.join(mine, "daily", "adam", "PA_3", "")
	room := mine.project + "_daily "
	if want := []string{room + "ada#screen", room + "ada#a#b"}; !slices.Equal(s.cluster.removed, want) {
		t.Errorf("evicted %q, want %q", s.cluster.removed, want)
	}
	s.do(http.MethodPost, create, map[string]any{"room_name": "daily", "participant_identity": "ada#c"}, mine.asKey).refused(http.StatusForbidden, "participant_revoked")
	s.mint(mine, "daily", "adam#ada")
}

func TestMintingReadsTheDatabaseOnlyForRevokedIdentities(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	s.revoke(mine, "ada")
	s.mint(mine, "daily", "bob")
	before := s.engine.reads.Load()
	for n := range 20 {
		s.mint(mine, "daily", fmt.Sprint("guest", n))
	}
	if n := s.engine.reads.Load() - before; n != 0 {
		t.Errorf("%d reads for identities that were never revoked", n)
	}
	s.do(http.MethodPost, create, map[string]any{"participant_identity": "ada"}, mine.asKey).refused(http.StatusForbidden, "participant_revoked")
	if s.engine.reads.Load() == before {
		t.Error("the ban was not read")
	}
}

func TestAnotherReplicaKnowsOfABanByTheNextReading(t *testing.T) {
	s := newServer(t, func(o *setup) { o.replica = true })
	mine, second := s.tenant("mine"), s.another()
	second.mint(mine, "daily", "ada")
	ban := s.revoke(mine, "ada")
	if err := second.Revocations.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask := map[string]any{"participant_identity": "ada"}
	second.do(http.MethodPost, create, ask, mine.asOwn).refused(http.StatusForbidden, "participant_revoked")
	s.do(http.MethodDelete, "/v1/tokens/revocations/"+string(ban.ID), nil, mine.asOwn).want(http.StatusNoContent)
	second.do(http.MethodPost, create, ask, mine.asOwn).want(http.StatusCreated)
}
