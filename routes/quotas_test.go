package routes_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/handlers"
	"pulse-control-plane/middleware"
	"pulse-control-plane/models"
)

// limited is a tenant whose project the operator has given limits.
func (s *server) limited(name string, limits map[string]any) tenant {
	s.t.Helper()
	t := s.tenant(name)
	s.patch(t.project, map[string]any{"limits": limits})
	return t
}

// ask asks for a token and does not look at the answer.
func (s *server) ask(t tenant, room, identity string, more ...map[string]any) *answer {
	s.t.Helper()
	body := map[string]any{"room_name": room, "participant_identity": identity}
	for _, m := range more {
		for name, value := range m {
			body[name] = value
		}
	}
	return s.do(http.MethodPost, "/v1/tokens/create", body, t.asOwn)
}

// overQuota fails the test unless a quota is named as used up.
func (a *answer) overQuota(q models.Quota, limit int64, used float64) middleware.Problem {
	a.t.Helper()
	a.refused(http.StatusPaymentRequired, "quota_exceeded")
	p := a.problem()
	if p.ProblemQuota == nil || p.Quota != q || p.Limit != limit || p.Used != used || q.Monthly() != (p.Reset != nil) {
		a.t.Fatalf("%s: names another quota than %s, %d of %d: %s", a.what, q, int64(used), limit, a.body)
	}
	return p
}

// count counts the documents of a collection, with a value in a field if one
// is named.
func (s *server) count(collection, field, value string) int64 {
	s.t.Helper()
	filter := bson.D{}
	if field != "" {
		filter = bson.D{{Key: field, Value: value}}
	}
	n, err := s.engine.Count(s.t.Context(), collection, filter, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// quota reads what a project may use.
func (s *server) quota(t tenant) handlers.QuotaReport {
	s.t.Helper()
	return read[handlers.QuotaReport](s.do(http.MethodGet, "/v1/usage/quota", nil, t.asOwn).want(http.StatusOK))
}

func (s *server) joins(t tenant, room, identity string) {
	s.t.Helper()
	now := s.clock.Now()
	s.liveKit(t.project, room, now, event{id: fmt.Sprint("EV_in_", room, identity, now.UnixNano()), kind: "participant_joined", participant: identity, at: now, joined: now})
}

func (s *server) leaves(t tenant, room, identity string, joined time.Time) {
	s.t.Helper()
	now := s.clock.Now()
	s.liveKit(t.project, room, joined, event{id: fmt.Sprint("EV_out_", room, identity, now.UnixNano()), kind: "participant_left", participant: identity,
		reason: "CLIENT_INITIATED", at: now, joined: joined})
}

func TestTwoHundredConcurrentMintsAgainstALimitOfFiftyAdmitFifty(t *testing.T) {
	for name, replicas := range map[string]int{"one process": 1, "three replicas": 3} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, func(o *setup) { o.replica = replicas > 1 })
			mine := s.limited("mine", map[string]any{"concurrent_participants": 50})
			servers := []*server{s}
			for len(servers) < replicas {
				servers = append(servers, s.another())
			}
			var all sync.WaitGroup
			answers := make([]*answer, 200)
			for n := range answers {
				all.Go(func() {
					answers[n] = servers[n%replicas].ask(mine, fmt.Sprintf("room-%d", n%7), fmt.Sprintf("person-%d", n))
				})
			}
			all.Wait()
			let := 0
			for _, a := range answers {
				switch a.status {
				case http.StatusCreated:
					let++
				default:
					if p := a.overQuota(models.QuotaConcurrentParticipants, 50, 50); p.Reserved != 50 {
						t.Errorf("%d of them are reserved", p.Reserved)
					}
				}
			}
			if let != 50 {
				t.Errorf("%d were let in", let)
			}
			if q := s.quota(mine).Quotas.ConcurrentParticipants; q.Used != 50 || q.Reserved != 50 || *q.Limit != 50 || *q.Remaining != 0 {
				t.Errorf("the report says %+v", q)
			}
		})
	}
}

func TestAReservationLastsUntilTheJoinOrAMinuteOrTheTokensEnd(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 2})
	s.ask(mine, "daily", "ann", map[string]any{"ttl_seconds": 600}).want(http.StatusCreated)
	s.ask(mine, "daily", "bob", map[string]any{"ttl_seconds": 30}).want(http.StatusCreated)
	s.ask(mine, "daily", "cyd").overQuota(models.QuotaConcurrentParticipants, 2, 2)
	joined := s.clock.Now()
	s.joins(mine, "daily", "ann")
	s.ask(mine, "daily", "cyd").overQuota(models.QuotaConcurrentParticipants, 2, 2)
	s.clock.Advance(30 * time.Second) // bob's token ends; the news that he joined with it may be on its way
	s.ask(mine, "daily", "cyd").overQuota(models.QuotaConcurrentParticipants, 2, 2)
	s.clock.Advance(5 * time.Second)
	s.ask(mine, "daily", "cyd", map[string]any{"ttl_seconds": 600}).want(http.StatusCreated)
	s.clock.Advance(59 * time.Second)
	s.ask(mine, "daily", "fay").overQuota(models.QuotaConcurrentParticipants, 2, 2)
	s.clock.Advance(time.Second) // a minute after cyd's token was minted
	s.ask(mine, "daily", "fay").want(http.StatusCreated)
	s.ask(mine, "daily", "dan").overQuota(models.QuotaConcurrentParticipants, 2, 2)
	s.clock.Advance(time.Hour + 10*time.Second) // ann's token has ended; she is there all the same
	s.ask(mine, "daily", "dan").want(http.StatusCreated)
	s.ask(mine, "daily", "eve").overQuota(models.QuotaConcurrentParticipants, 2, 2)
	s.leaves(mine, "daily", "ann", joined)
	s.ask(mine, "daily", "eve").want(http.StatusCreated)
}

func TestASecondTokenForTheSameParticipantNeedsNoSecondSlot(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 1})
	for range 3 {
		s.ask(mine, "daily", "ann", map[string]any{"ttl_seconds": 60}).want(http.StatusCreated)
		s.clock.Advance(30 * time.Second)
	}
	s.ask(mine, "weekly", "ann").overQuota(models.QuotaConcurrentParticipants, 1, 1)
	s.ask(mine, "daily", "bob").overQuota(models.QuotaConcurrentParticipants, 1, 1)
	s.joins(mine, "daily", "ann")
	s.ask(mine, "daily", "ann").want(http.StatusCreated)
}

func TestReservationsOutliveTheProcess(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 3})
	joined := s.clock.Now()
	s.ask(mine, "daily", "ann").want(http.StatusCreated)
	s.ask(mine, "daily", "bob").want(http.StatusCreated)
	s.joins(mine, "daily", "ann")
	next := s.another() // as one does that was killed and started again
	next.ask(mine, "daily", "cyd").want(http.StatusCreated)
	next.ask(mine, "daily", "dan").overQuota(models.QuotaConcurrentParticipants, 3, 3)
	next.leaves(mine, "daily", "ann", joined)
	next.ask(mine, "daily", "dan").want(http.StatusCreated)
	next.ask(mine, "daily", "eve").overQuota(models.QuotaConcurrentParticipants, 3, 3)
}

func TestASlotIsReleasedInWhateverOrderEventsArrive(t *testing.T) {
	for name, order := range map[string][]int{"together": {0, 1, 2, 3}, "backwards": {3, 2, 1, 0}, "the end first": {2, 3, 0, 1}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			mine := s.limited("mine", map[string]any{"concurrent_participants": 1, "rooms": 1})
			s.ask(mine, "daily", "ann").want(http.StatusCreated)
			s.ask(mine, "weekly", "bob").refused(http.StatusPaymentRequired, "quota_exceeded")
			s.clock.Advance(time.Minute)
			joined := s.clock.Now()
			left := joined.Add(time.Second)
			events := []event{
				{id: "EV_1", kind: "room_started", at: joined},
				{id: "EV_2", kind: "participant_joined", participant: "ann", at: joined, joined: joined},
				{id: "EV_3", kind: "participant_left", participant: "ann", reason: "CLIENT_INITIATED", at: left, joined: joined},
				{id: "EV_4", kind: "room_finished", at: left},
			}
			for _, n := range order {
				s.announce(mine.project, "daily", joined, events[n])
				if name != "together" {
					s.work()
				}
			}
			s.work()
			s.ask(mine, "weekly", "bob").want(http.StatusCreated)
			if q := s.quota(mine).Quotas; q.ConcurrentParticipants.Used != 1 || q.Rooms.Used != 1 {
				t.Errorf("the report says %+v", q)
			}
		})
	}
}

func TestANewTokenKeepsItsSlotWhenTheEarlierSessionEnds(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 1})
	s.ask(mine, "daily", "ann").want(http.StatusCreated)
	joined := s.clock.Now()
	s.clock.Advance(time.Minute)
	s.ask(mine, "daily", "ann", map[string]any{"ttl_seconds": 600}).want(http.StatusCreated) // for when she comes back
	s.announce(mine.project, "daily", joined,
		event{id: "EV_1", kind: "participant_joined", participant: "ann", at: joined, joined: joined},
		event{id: "EV_2", kind: "participant_left", participant: "ann", reason: "CLIENT_INITIATED", at: joined, joined: joined})
	s.work()
	s.ask(mine, "daily", "bob").overQuota(models.QuotaConcurrentParticipants, 1, 1)
}

func TestATokenRefusedForItsRoomHoldsNoSlotForItsParticipant(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"rooms": 1, "concurrent_participants": 2})
	s.ask(mine, "daily", "ann").want(http.StatusCreated)
	for n := range 5 {
		s.ask(mine, "weekly", fmt.Sprint("p", n)).overQuota(models.QuotaRooms, 1, 1)
	}
	s.ask(mine, "daily", "bob").want(http.StatusCreated)
}

func TestAFinishedRoomReleasesTheSlotsOfItsParticipants(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 2})
	made := s.clock.Now()
	s.ask(mine, "daily", "ann").want(http.StatusCreated)
	s.ask(mine, "daily", "bob").want(http.StatusCreated)
	s.joins(mine, "daily", "ann")
	s.joins(mine, "daily", "bob")
	s.ask(mine, "weekly", "cyd").overQuota(models.QuotaConcurrentParticipants, 2, 2)
	s.liveKit(mine.project, "daily", made, event{id: "EV_end", kind: "room_finished", at: made.Add(time.Second)})
	s.ask(mine, "weekly", "cyd").want(http.StatusCreated)
	s.ask(mine, "weekly", "dan").want(http.StatusCreated)
}

func TestAReconnectingParticipantKeepsItsSlot(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 2})
	for _, name := range []string{"ann", "bob"} {
		s.ask(mine, "daily", name).want(http.StatusCreated)
		s.joins(mine, "daily", name)
	}
	// Nobody else could have it: there are fewer slots than people by now.
	s.patch(mine.project, map[string]any{"limits": map[string]any{"concurrent_participants": 1}})
	now := fmt.Sprint(s.clock.Now().UnixMilli())
	// LiveKit ends the first session because of the second, and says so in either order.
	for n, sids := range [][2]string{{"PA_ann", "PA_2"}, {"PA_2", "PA_3"}} {
		bodies := []map[string]any{{"event": "participant_joined"}, {"event": "participant_left"}}
		for i, sid := range []string{sids[1], sids[0]} {
			bodies[i]["id"], bodies[i]["createdAt"] = fmt.Sprint("EV_", i, sid), now[:10]
			bodies[i]["room"] = map[string]any{"sid": "RM_daily", "name": mine.project + "_daily", "creationTimeMs": now}
			bodies[i]["participant"] = map[string]any{"sid": sid, "identity": "ann", "joinedAtMs": now, "disconnectReason": "DUPLICATE_IDENTITY"}
		}
		if n == 1 {
			slices.Reverse(bodies)
		}
		for _, body := range bodies {
			s.webhook(body).want(http.StatusOK)
		}
		s.work()
		s.ask(mine, "daily", "cyd").overQuota(models.QuotaConcurrentParticipants, 1, 2)
		if len(s.cluster.removed) > 0 {
			t.Fatalf("removed %v", s.cluster.removed)
		}
	}
}

func TestARefusalForTheRoomWritesNothing(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"rooms": 1, "concurrent_participants": 1, "concurrent_agents": 9})
	s.ask(mine, "daily", "agent", map[string]any{"grants": map[string]any{"agent": true}}).want(http.StatusCreated)
	s.ask(mine, "weekly", "ann").overQuota(models.QuotaRooms, 1, 1)
	before := s.engine.writes.Load()
	s.ask(mine, "weekly", "ann").overQuota(models.QuotaRooms, 1, 1)
	if n := s.engine.writes.Load() - before; n != 0 {
		t.Errorf("%d writes", n)
	}
	for _, e := range s.quota(mine).Events {
		if e.Quota != models.QuotaRooms {
			t.Errorf("told of %+v while nobody is there", e)
		}
	}
}

func TestATokenThatOpensNothingUsesNothing(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 1, "rooms": 1})
	no := map[string]any{"grants": map[string]any{"roomJoin": false, "roomAdmin": true}}
	for n := range 3 {
		s.ask(mine, fmt.Sprint("room-", n), "admin", no).want(http.StatusCreated)
	}
	s.ask(mine, "daily", "ann").want(http.StatusCreated)
}

func TestARevocationReleasesReservedSlots(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 2})
	s.ask(mine, "daily", "mallory").want(http.StatusCreated)
	s.ask(mine, "weekly", "mallory").want(http.StatusCreated)
	s.ask(mine, "daily", "ann").overQuota(models.QuotaConcurrentParticipants, 2, 2)
	revoke := map[string]any{"participant_identity": "mallory", "room_name": "daily"}
	s.do(http.MethodPost, "/v1/tokens/revoke", revoke, mine.asOwn).want(http.StatusOK)
	s.ask(mine, "daily", "ann").want(http.StatusCreated)
	s.ask(mine, "daily", "bob").overQuota(models.QuotaConcurrentParticipants, 2, 2)
	delete(revoke, "room_name")
	s.do(http.MethodPost, "/v1/tokens/revoke", revoke, mine.asOwn).want(http.StatusOK)
	s.ask(mine, "daily", "bob").want(http.StatusCreated)
}

func TestARevocationReleasesRoomsReservedForThatParticipantOnly(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"rooms": 2})
	s.ask(mine, "junk", "mallory").want(http.StatusCreated)
	s.ask(mine, "daily", "mallory").want(http.StatusCreated)
	s.ask(mine, "daily", "ann", map[string]any{"ttl_seconds": 60}).want(http.StatusCreated)
	s.do(http.MethodPost, "/v1/tokens/revoke", map[string]any{"participant_identity": "mallory"}, mine.asOwn).want(http.StatusOK)
	s.ask(mine, "weekly", "bob").want(http.StatusCreated)
	s.ask(mine, "monthly", "bob").overQuota(models.QuotaRooms, 2, 2)
	s.ask(mine, "daily", "ann").want(http.StatusCreated)
}

func TestWithoutTheDatabaseOnlyAProjectWithoutQuotasGetsTokens(t *testing.T) {
	s := newServer(t)
	free, bound := s.tenant("free"), s.limited("bound", map[string]any{"concurrent_participants": 10})
	s.ask(free, "daily", "ann").want(http.StatusCreated)
	s.ask(bound, "daily", "ann").want(http.StatusCreated)
	s.engine.away.Store(true)
	s.ask(free, "daily", "bob").want(http.StatusCreated)
	s.ask(bound, "daily", "bob").refused(http.StatusServiceUnavailable, "service_unavailable")
	s.engine.away.Store(false)
	s.ask(bound, "daily", "bob").want(http.StatusCreated)
	if q := s.quota(bound).Quotas.ConcurrentParticipants; q.Used != 2 {
		t.Errorf("%v slots are held", q.Used)
	}
}
