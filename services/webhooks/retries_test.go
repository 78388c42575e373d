package webhooks

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/events"
)

// statuses gives the states and tries of an endpoint's one delivery.
func (r *rig) only(e models.Endpoint) models.Delivery {
	r.t.Helper()
	list := r.in(e, "")
	if len(list) != 1 {
		r.t.Fatalf("%d deliveries", len(list))
	}
	return list[0]
}

func TestADeliveryIsTriedEightTimesAtTheTimesOfTheTable(t *testing.T) {
	server := newReceiver(t, status(http.StatusInternalServerError))
	r := newRig(t)
	e, _ := r.endpoint(server.URL)
	r.event(1, "room.started", "lobby")
	r.work()
	for n, wait := range retryWaits() {
		if got := len(server.got); got != n+1 {
			t.Fatalf("%d requests before the wait of %v", got, wait)
		}
		r.later(wait - time.Millisecond) // the rig's jitter is none
		if got := len(server.got); got != n+1 {
			t.Fatalf("%d requests within the wait of %v", got, wait)
		}
		r.later(time.Millisecond)
	}
	d := r.only(e)
	if len(server.got) != 8 || d.State != models.DeliveryFailed || len(d.Attempts) != 8 || d.Attempts[0].Status != 500 {
		t.Fatalf("%d requests, %+v", len(server.got), d)
	}
	r.later(100 * time.Hour)
	if len(server.got) != 8 {
		t.Error("a failed delivery was sent again")
	}
}

func TestADeliveryThatAClockAheadPostponedIsTriedAgainWhenTheClockIsRight(t *testing.T) {
	server := newReceiver(t, status(http.StatusInternalServerError))
	r := newRig(t)
	e, _ := r.endpoint(server.URL)
	r.clock.Advance(1000 * time.Hour)
	r.event(1, "room.started", "lobby")
	r.work()
	r.later(-1000 * time.Hour)
	r.later(time.Second)
	if n := len(server.got); n != 2 {
		t.Errorf("%d requests; the delivery is %+v", n, r.only(e))
	}
}

func TestWaitsVaryByAFifth(t *testing.T) {
	for n, wait := range retryWaits() {
		d, now := models.Delivery{Tries: int64(n)}, time.Unix(1_800_000_000, 0)
		for random, want := range map[float64]time.Duration{0: wait * 4 / 5, 0.5: wait, 0.999999: wait * 6 / 5} {
			got := after(&d, &result{}, now, random).DueAt.Sub(now)
			if diff := got - want; diff.Abs() > time.Second {
				t.Errorf("wait %d with %v: %v", n, random, got)
			}
		}
	}
}

func TestRetryAfterPostponesButNeverHastensAnAttempt(t *testing.T) {
	for text, want := range map[string]time.Duration{"60": time.Minute, "1": 5 * time.Second, "999999999999": maxRetryAfter, "-5": 5 * time.Second, "soon": 5 * time.Second} {
		server := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Retry-After", text)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		r := newRig(t)
		e, _ := r.endpoint(server.URL)
		r.event(1, "room.started", "lobby")
		r.work()
		if got := r.only(e).DueAt.Sub(r.clock.Now()); got != want {
			t.Errorf("%s: tried again after %v", text, got)
		}
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	if got := retryAfterOf(http.Header{"Retry-After": {"Fri, 01 May 2026 12:02:00 GMT"}}, now); got != 2*time.Minute {
		t.Errorf("a date: %v", got)
	}
}

func TestOnlySuccessesAreDelivered(t *testing.T) {
	for code, want := range map[int]models.DeliveryState{200: "delivered", 201: "delivered", 204: "delivered", 299: "delivered",
		301: "pending", 302: "pending", 307: "pending", 308: "pending", 304: "pending", 400: "pending", 401: "pending", 404: "pending", 410: "pending", 422: "pending", 503: "pending"} {
		elsewhere := newReceiver(t, nil)
		server := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(code)
		})
		r := newRig(t)
		e, _ := r.endpoint(server.URL)
		r.event(1, "room.started", "lobby")
		r.work()
		d := r.only(e)
		if d.State != want || d.Attempts[0].Status != code {
			t.Errorf("%d: %+v", code, d)
		}
		if len(elsewhere.got) > 0 {
			t.Errorf("%d: the redirect was followed", code)
		}
	}
}

func TestAnAnswerOf410DisablesAnEndpointAndInformsItsOwner(t *testing.T) {
	server, other := newReceiver(t, status(http.StatusGone)), newReceiver(t, nil)
	r := newRig(t)
	e, _ := r.endpoint(server.URL)
	r.endpoint(other.URL, patterns("webhook.*"))
	r.event(1, "room.started", "lobby")
	r.work()
	if got := r.read(e.ID); got.Enabled || got.DisabledReason != models.EndpointGone || got.DisabledAt == nil {
		t.Fatalf("%+v", got)
	}
	for range 2 {
		if _, err := r.notices.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.work()
	}
	if len(other.got) != 1 || len(r.mails) != 1 {
		t.Fatalf("%d events and %d mails tell of it", len(other.got), len(r.mails))
	}
	// Nothing more is sent, nor kept to be sent.
	r.event(2, "room.started", "lobby")
	r.later(time.Hour)
	if len(server.got) != 1 || len(r.in(e, "")) != 1 {
		t.Errorf("%d requests, %d deliveries", len(server.got), len(r.in(e, "")))
	}
}

// enable enables an endpoint as a tenant does.
func (r *rig) enable(id models.EndpointID) {
	r.t.Helper()
	yes := true
	if _, err := r.Update(r.t.Context(), owner(), id, database.EndpointChange{Enabled: &yes}); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.recovery.Pass(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.work()
}

func TestFiveDaysOfFailureDisableAndEnablingResumes(t *testing.T) {
	server := newReceiver(t, status(http.StatusServiceUnavailable))
	r := newRig(t)
	e, _ := r.endpoint(server.URL)
	r.event(1, "room.started", "lobby")
	r.work()
	r.later(disableAfter - time.Second)
	r.event(2, "room.started", "lobby")
	r.work()
	if !r.read(e.ID).Enabled {
		t.Fatal("disabled too early")
	}
	r.later(time.Second)
	r.event(3, "room.started", "lobby")
	r.work()
	if got := r.read(e.ID); got.Enabled || got.DisabledReason != models.EndpointFailing || got.FailingSince == nil {
		t.Fatalf("%+v", got)
	}
	sent := len(server.got)
	r.later(time.Hour)
	if len(server.got) != sent {
		t.Fatal("a disabled endpoint was sent to")
	}
	server.set(nil)
	r.enable(e.ID)
	if got := r.read(e.ID); !got.Enabled || got.DisabledReason != "" || got.FailingSince != nil || got.DisabledAt != nil {
		t.Errorf("%+v", got)
	}
	if waiting := r.in(e, models.DeliveryPending); len(waiting) != 0 || len(r.in(e, models.DeliveryDelivered)) != 3 {
		t.Errorf("%d still wait", len(waiting))
	}
}

func TestASuccessEndsTheTimeOfFailure(t *testing.T) {
	server := newReceiver(t, status(http.StatusBadGateway))
	r := newRig(t)
	e, _ := r.endpoint(server.URL)
	r.event(1, "room.started", "lobby")
	r.work()
	server.set(nil)
	r.later(disableAfter - time.Hour)
	server.set(status(http.StatusBadGateway))
	r.event(2, "room.started", "lobby")
	r.later(2 * time.Hour)
	if got := r.read(e.ID); !got.Enabled || got.FailingSince == nil || got.FailingSince.Before(r.clock.Now().Add(-3*time.Hour)) {
		t.Errorf("%+v", got)
	}
}

func TestRecoverDeliversFailedEventsAndThoseMissedWhileDisabled(t *testing.T) {
	server := newReceiver(t, status(http.StatusInternalServerError))
	r := newRig(t)
	e, _ := r.endpoint(server.URL, patterns("room.*"))
	r.event(1, "room.started", "before") // stays failed: it is older than what is asked for
	r.work()
	for _, wait := range retryWaits() {
		r.later(wait)
	}
	r.clock.Advance(time.Hour)
	since := r.clock.Now()
	r.event(2, "room.started", "failed")
	r.work()
	for _, wait := range retryWaits() {
		r.later(wait)
	}
	if failed := r.in(e, models.DeliveryFailed); len(failed) != 2 {
		t.Fatalf("%d failed", len(failed))
	}
	no := false
	if _, err := r.Update(t.Context(), owner(), e.ID, database.EndpointChange{Enabled: &no}); err != nil {
		t.Fatal(err)
	}
	r.event(3, "room.started", "disabled")
	r.event(4, "participant.joined", "not asked for")
	r.work()
	server.set(nil)
	r.enable(e.ID)
	server.mu.Lock()
	server.got = nil
	server.mu.Unlock()
	if _, err := r.Recover(t.Context(), owner(), e.ID, since); err != nil {
		t.Fatal(err)
	}
	if _, err := r.recovery.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.work()
	if got := server.ids(); !slices.Equal(got, []string{eventID(2), eventID(3)}) {
		t.Errorf("recovered %v", got)
	}
	if got := r.read(e.ID); got.Recovering || got.RecoverSince != nil {
		t.Errorf("%+v", got)
	}
}

func TestAnInterruptedRecoveryResumesAtItsPosition(t *testing.T) {
	const many = 2500
	server := newReceiver(t, nil)
	r := newRig(t)
	no := func(in *EndpointInput) { in.Enabled = false }
	e, _ := r.endpoint(server.URL, no)
	since := r.clock.Now()
	for n := range many {
		r.event(n, "room.started", "lobby")
	}
	r.work()
	r.enable(e.ID)
	if _, err := r.Recover(t.Context(), owner(), e.ID, since); err != nil {
		t.Fatal(err)
	}
	for passes := 0; ; passes++ {
		n, err := r.recovery.Pass(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		if passes > 10 {
			t.Fatal("the recovery does not end")
		}
	}
	r.work()
	if got := server.each(); len(got) != many {
		t.Errorf("%d of %d", len(got), many)
	}
}

func TestRetrySendsADeliveryAgainAndResendAnEvent(t *testing.T) {
	server, second := newReceiver(t, nil), newReceiver(t, nil)
	r := newRig(t)
	e, _ := r.endpoint(server.URL)
	event := r.event(1, "room.started", "lobby")
	r.work()
	if _, err := r.Retry(t.Context(), owner(), r.only(e).ID); err != nil {
		t.Fatal(err)
	}
	r.work()
	if len(server.got) != 2 {
		t.Fatalf("%d requests after a retry", len(server.got))
	}
	late, _ := r.endpoint(second.URL)
	list, err := r.Resend(t.Context(), owner(), event.ID, "")
	if err != nil || len(list) != 2 {
		t.Fatalf("%d deliveries, %v", len(list), err)
	}
	r.work()
	if len(server.got) != 3 || len(second.got) != 1 || len(r.in(late, models.DeliveryDelivered)) != 1 {
		t.Errorf("%d and %d requests after a resend", len(server.got), len(second.got))
	}
	if d := r.only(e); len(d.Attempts) != 3 {
		t.Errorf("%d attempts are kept", len(d.Attempts))
	}
	if _, err := r.Resend(t.Context(), owner(), event.ID, late.ID); err != nil {
		t.Fatal(err)
	}
	r.work()
	if len(server.got) != 3 || len(second.got) != 2 {
		t.Errorf("%d and %d requests after a resend to one", len(server.got), len(second.got))
	}
}

func TestATestEventReachesItsEndpointAlone(t *testing.T) {
	server, other := newReceiver(t, nil), newReceiver(t, nil)
	r := newRig(t)
	e, secret := r.endpoint(server.URL, patterns("room.started"))
	r.endpoint(other.URL)
	d, err := r.Endpoints.Test(t.Context(), owner(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	r.work()
	if len(server.got) != 1 || len(other.got) != 0 || r.only(e).ID != d.ID || d.EventType != events.EndpointTest || !verifies(t, secret, server.got[0]) {
		t.Errorf("%d and %d requests, %+v", len(server.got), len(other.got), d)
	}
}

func TestADeliveryWithoutItsPayloadFails(t *testing.T) {
	server := newReceiver(t, status(http.StatusInternalServerError))
	r := newRig(t)
	e, _ := r.endpoint(server.URL)
	event := r.event(1, "room.started", "lobby")
	r.work()
	if _, err := r.engine.Delete(t.Context(), "events", idFilter(event.ID), 1); err != nil {
		t.Fatal(err)
	}
	r.later(time.Minute)
	d := r.only(e)
	if d.State != models.DeliveryFailed || d.Attempts[len(d.Attempts)-1].Error != errorExpired || len(server.got) != 1 {
		t.Errorf("%+v", d)
	}
}

func TestADeletedEndpointGetsNothingMore(t *testing.T) {
	server := newReceiver(t, status(http.StatusInternalServerError))
	r := newRig(t)
	e, _ := r.endpoint(server.URL)
	r.event(1, "room.started", "lobby")
	r.work()
	if err := r.Endpoints.Delete(t.Context(), owner(), e.ID); err != nil {
		t.Fatal(err)
	}
	r.event(2, "room.started", "lobby")
	r.later(time.Hour)
	if len(server.got) != 1 || len(r.in(e, models.DeliveryPending)) != 0 {
		t.Errorf("%d requests, %d wait", len(server.got), len(r.in(e, models.DeliveryPending)))
	}
}
