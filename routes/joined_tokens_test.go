package routes_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
	"pulse-control-plane/services/metering"
)

func TestATokenForAnotherRoomDoesNotProveThatARevokedOneIsNew(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	s.clock.Advance(5 * time.Second)
	s.do(http.MethodPost, "/v1/tokens/revoke", map[string]any{"participant_identity": "ada", "room_name": "daily", "ban_seconds": 0}, mine.asOwn).want(http.StatusOK)
	s.clock.Advance(5 * time.Second)
	daily, weekly := s.later(mine, "daily", "ada"), s.later(mine, "weekly", "ada")
	s.join(mine, "daily", "ada", "PA_1", daily)
	s.join(mine, "weekly", "ada", "PA_2", weekly)
	if len(s.cluster.removed) != 0 {
		t.Fatalf("removed %v", s.cluster.removed)
	}
	// LiveKit lets those who may update their metadata connect with attributes of their own.
	s.join(mine, "daily", "ada", "PA_3", weekly)
	if want := []string{mine.project + "_daily ada"}; !slices.Equal(s.cluster.removed, want) {
		t.Errorf("removed %v, not %v", s.cluster.removed, want)
	}
}

func TestARevocationHoldsForAsLongAsItsParticipantComesBack(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	old := s.later(mine, "daily", "ada")
	s.clock.Advance(5 * time.Second)
	revocation := s.revoke(mine, "ada")
	other := s.another()
	start := s.clock.Now()
	joined := 0
	// LiveKit gives each who joins a token for ten minutes that says what theirs said.
	for at := 23*time.Hour + 55*time.Minute; at < 30*time.Hour; at += 9 * time.Minute {
		s.clock.Advance(start.Add(at).Sub(s.clock.Now()))
		if err := other.Revocations.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		joined++
		s.join(mine, "daily", "ada", "PA_"+at.String(), old)
		if len(s.cluster.removed) != joined {
			t.Fatalf("after %s removed %d of %d times", at, len(s.cluster.removed), joined)
		}
	}
	// A later token is good, on this replica and on the other.
	s.join(mine, "daily", "ada", "PA_new", s.later(mine, "daily", "ada"))
	if len(s.cluster.removed) != joined {
		t.Error("a token from after the revocation is refused")
	}
	listed := read[handlers.List[handlers.Revocation]](s.do(http.MethodGet, "/v1/tokens/revocations", nil, mine.asOwn).want(http.StatusOK))
	if len(listed.Items) != 1 || !listed.Items[0].RevokedAt.Equal(revocation.RevokedAt) || listed.Items[0].ID != revocation.ID {
		t.Errorf("listed as %+v, made as %+v", listed.Items, revocation)
	}
	// The replica that took no part has not forgotten it.
	if err := other.Revocations.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := models.UsageSession{ID: "PA_elsewhere", Subject: models.SubjectParticipant, ProjectID: models.ProjectID(mine.project),
		RoomName: "daily", Identity: "ada", JoinedAt: s.clock.Now(), Open: true}
	if err := other.Revocations.Consume(t.Context(), &metering.Batch{Changes: []metering.Change{{Session: back, Announced: true}}}); err != nil {
		t.Fatal(err)
	}
	if s.count("evictions", "_id", "PA_elsewhere") != 1 {
		t.Error("another replica has forgotten the revocation")
	}
	s.clock.Advance(2 * time.Hour)
	before := len(s.cluster.removed)
	s.join(mine, "daily", "ada", "PA_last", old)
	if len(s.cluster.removed) != before {
		t.Error("it never ends")
	}
}

func TestAnIdentityOfAnyLengthIsCountedMeteredAndEvicted(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	s.patch(mine.project, map[string]any{"limits": map[string]any{"concurrent_participants": 2}})
	// Where it connects with the parameter publish, the bearer of a token for ann is called that.
	suffixed := func(text string) string { return "ann#" + strings.Repeat("ü", 1500) + text }
	s.join(mine, "daily", suffixed("1"), "PA_1", "")
	s.join(mine, "daily", suffixed("2"), "PA_2", "")
	s.join(mine, "daily", suffixed("3"), "PA_3", "")
	if want := []string{mine.project + "_daily " + models.KeptIdentity(suffixed("3"))}; !slices.Equal(s.cluster.removed, want) {
		t.Fatalf("removed %d, not the third", len(s.cluster.removed))
	}
	if dead := s.count("livekit_events", "state", "dead"); dead != 0 {
		t.Errorf("%d events are dead", dead)
	}
	s.clock.Advance(time.Minute)
	usage := read[handlers.UsageReport](s.do(http.MethodGet, "/v1/usage", nil, mine.asOwn).want(http.StatusOK))
	if usage.Totals.ParticipantSeconds < 120 || usage.Totals.PeakParticipants < 2 {
		t.Errorf("metered %+v", usage.Totals)
	}
	s.revoke(mine, "ann")
	s.work()
	if len(s.cluster.removed) < 3 {
		t.Errorf("of a revoked identity removed %d", len(s.cluster.removed))
	}
}
