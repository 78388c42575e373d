package routes_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"pulse-control-plane/handlers"
)

// join tells that somebody joined with a token.
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

// TestWhoCameBackIsNotRemovedForWhoLeft has somebody join on a revoked token
// while LiveKit can't be told, and come back on a good one.
func TestWhoCameBackIsNotRemovedForWhoLeft(t *testing.T) {
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

func TestRevokingTakesTheSecret(t *testing.T) {
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

func TestWhoIsRevokedWhileLiveKitIsAwayIsRemovedWhenItIsBack(t *testing.T) {
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
