package routes_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"pulse-control-plane/handlers"
)

// newKey makes a further pair of a tenant's project as its owner.
func (s *server) newKey(t tenant, fields map[string]any) handlers.CreatedAPIKey {
	s.t.Helper()
	body := map[string]any{"name": "further"}
	for name, value := range fields {
		body[name] = value
	}
	return read[handlers.CreatedAPIKey](s.do(http.MethodPost, "/v1/projects/"+t.project+"/keys", body, t.asPerson).want(http.StatusCreated))
}

func (t tenant) keyPath(id any) string { return "/v1/projects/" + t.project + "/keys/" + text(id) }

func asPair(k handlers.CreatedAPIKey) with { return asServer(k.PulseAPIKey, k.PulseAPISecret) }

func TestAFurtherKeyIsMadeListedChangedAndRemoved(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	end := s.clock.Now().Add(time.Hour)
	made := s.newKey(own, map[string]any{"scopes": []string{"tokens:create"}, "expires_at": end, "allowed_ips": []string{"203.0.113.7/24", "2001:db8::1"}})
	if got := made.Key.AllowedIPs; !slices.Equal(got, []string{"203.0.113.0/24", "2001:db8::1/128"}) {
		t.Errorf("allowed_ips %q", got)
	}
	if hint := made.PulseAPISecret[len(made.PulseAPISecret)-4:]; made.Key.SecretHint != hint || !made.Key.ExpiresAt.Equal(end) || *made.Key.CreatedBy == "" {
		t.Errorf("got %+v", made.Key)
	}
	list := read[handlers.List[handlers.APIKey]](s.do(http.MethodGet, "/v1/projects/"+own.project+"/keys", nil, own.asPerson).want(http.StatusOK))
	if len(list.Items) != 2 || list.Items[0].ID != made.Key.ID || list.Items[1].Name != "default" {
		t.Errorf("got %+v", list)
	}
	// What is not sent stays; null takes the end away.
	changed := read[handlers.APIKey](s.do(http.MethodPatch, own.keyPath(made.Key.ID), `{"name":"renamed"}`, own.asPerson).want(http.StatusOK))
	if changed.Name != "renamed" || changed.ExpiresAt == nil || len(changed.Scopes) != 1 || len(changed.AllowedIPs) != 2 {
		t.Errorf("got %+v", changed)
	}
	changed = read[handlers.APIKey](s.do(http.MethodPatch, own.keyPath(made.Key.ID), `{"expires_at":null,"allowed_ips":[]}`, own.asPerson).want(http.StatusOK))
	if changed.ExpiresAt != nil || len(changed.AllowedIPs) != 0 || changed.Name != "renamed" {
		t.Errorf("got %+v", changed)
	}
	s.do(http.MethodPost, "/v1/tokens/create", nil, asPair(made)).want(http.StatusCreated)
	s.do(http.MethodDelete, own.keyPath(made.Key.ID), nil, own.asPerson).want(http.StatusNoContent)
	s.do(http.MethodPost, "/v1/tokens/create", nil, asPair(made)).refused(http.StatusUnauthorized, "invalid_api_key")
	s.do(http.MethodGet, own.keyPath(made.Key.ID), nil, own.asPerson).refused(http.StatusNotFound, "not_found")
}

func TestEveryWrongFieldOfAKeyIsReportedAtOnce(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	path := "/v1/projects/" + own.project + "/keys"
	s.do(http.MethodPost, path, map[string]any{"name": " ", "scopes": []string{"rooms:burn"}}, own.asPerson).
		refused(http.StatusBadRequest, "invalid_request", "body.name", "body.scopes[0]")
	s.do(http.MethodPost, path, map[string]any{"name": "x", "expires_at": s.clock.Now(), "allowed_ips": []string{"10.0.0.1", "10.0.0.0/33", "fe80::1%eth0"}}, own.asPerson).
		refused(http.StatusBadRequest, "invalid_request", "body.expires_at", "body.allowed_ips[1]", "body.allowed_ips[2]")
	s.do(http.MethodPatch, own.keyPath("key_x"), `{"expires_at":"tomorrow","name":null}`, own.asPerson).
		refused(http.StatusBadRequest, "invalid_request", "body.expires_at", "body.name")
}

func TestAnotherProjectsKeyIsAMissingOne(t *testing.T) {
	s := newServer(t)
	mine, other := s.tenant("mine"), s.tenant("other")
	theirs := s.newKey(other, nil)
	for _, caller := range []with{mine.asPerson, mine.asOwn} {
		s.do(http.MethodGet, mine.keyPath(theirs.Key.ID), nil, caller).refused(http.StatusNotFound, "not_found")
		s.do(http.MethodPatch, mine.keyPath(theirs.Key.ID), `{"name":"x"}`, caller).refused(http.StatusNotFound, "not_found")
		s.do(http.MethodDelete, mine.keyPath(theirs.Key.ID), nil, caller).refused(http.StatusNotFound, "not_found")
	}
	s.do(http.MethodPost, "/v1/tokens/create", nil, asPair(theirs)).want(http.StatusCreated)
}

func TestAKeyStopsWhenItExpires(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	made := s.newKey(own, map[string]any{"expires_at": s.clock.Now().Add(time.Hour)})
	s.clock.Advance(time.Hour - time.Millisecond)
	s.do(http.MethodPost, "/v1/tokens/create", nil, asPair(made)).want(http.StatusCreated)
	s.clock.Advance(time.Millisecond)
	s.do(http.MethodPost, "/v1/tokens/create", nil, asPair(made)).refused(http.StatusUnauthorized, "invalid_api_key")
	s.do(http.MethodPost, "/v1/tokens/create", nil, asKey(made.PulseAPIKey)).refused(http.StatusUnauthorized, "invalid_api_key")
}

func TestAKeyWorksFromItsAddressesOnly(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	made := s.newKey(own, map[string]any{"allowed_ips": []string{"203.0.113.0/24", "2001:db8::7"}})
	for address, status := range map[string]int{
		"203.0.113.0": 201, "203.0.113.255": 201, "203.0.114.0": 403, "198.51.100.1": 403,
		"[2001:db8::7]": 201, "[2001:db8::8]": 403, "[::ffff:203.0.113.9]": 201,
	} {
		for _, how := range []with{asPair(made), asKey(made.PulseAPIKey)} {
			a := s.do(http.MethodPost, "/v1/tokens/create", nil, how, from(address)).want(status)
			if status == 403 {
				a.refused(403, "ip_not_allowed")
			}
		}
	}
	// A change is felt at once.
	s.do(http.MethodPatch, own.keyPath(made.Key.ID), map[string]any{"allowed_ips": []string{"198.51.100.1"}}, own.asPerson).want(http.StatusOK)
	s.do(http.MethodPost, "/v1/tokens/create", nil, asPair(made), from("203.0.113.0")).refused(403, "ip_not_allowed")
	s.do(http.MethodPost, "/v1/tokens/create", nil, asPair(made), from("198.51.100.1")).want(201)
}

func TestAKeyGivesAndChangesNoMoreThanItHas(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	writer := s.newKey(own, map[string]any{"scopes": []string{"keys:write", "rooms:read"}})
	path := "/v1/projects/" + own.project + "/keys"
	for _, body := range []string{`{"name":"x"}`, `{"name":"x","scopes":["*"]}`, `{"name":"x","scopes":["rooms:read","rooms:write"]}`} {
		s.do(http.MethodPost, path, body, asPair(writer)).refused(403, "insufficient_scope")
	}
	made := read[handlers.CreatedAPIKey](s.do(http.MethodPost, path, map[string]any{"name": "x", "scopes": []string{"rooms:read"}}, asPair(writer)).want(201))
	if made.Key.CreatedBy != nil {
		t.Errorf("made by %s", *made.Key.CreatedBy)
	}
	s.do(http.MethodPatch, own.keyPath(made.Key.ID), `{"scopes":["rooms:write"]}`, asPair(writer)).refused(403, "insufficient_scope")
	s.do(http.MethodPatch, own.keyPath(writer.Key.ID), `{"scopes":["*"]}`, asPair(writer)).refused(403, "insufficient_scope")
	keys := read[handlers.List[handlers.APIKey]](s.do(http.MethodGet, path, nil, asPair(writer)).want(200)).Items
	first := keys[len(keys)-1]
	s.do(http.MethodPatch, own.keyPath(first.ID), `{"allowed_ips":["203.0.113.1"]}`, asPair(writer)).refused(403, "insufficient_scope")
	s.do(http.MethodDelete, own.keyPath(first.ID), nil, asPair(writer)).refused(403, "insufficient_scope")
	// The first pair's successor would have all scopes.
	s.do(http.MethodPost, "/v1/projects/"+own.project+"/regenerate-keys", nil, asPair(writer)).refused(403, "insufficient_scope")
	s.do(http.MethodPost, "/v1/tokens/create", nil, own.asOwn).want(201)
}

func TestRegeneratedKeysKeepTheScopesOfTheOldOnes(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	path := "/v1/projects/" + own.project
	first := read[handlers.List[handlers.APIKey]](s.do(http.MethodGet, path+"/keys", nil, own.asPerson).want(200)).Items[0]
	s.do(http.MethodPatch, own.keyPath(first.ID), `{"scopes":["keys:write"],"allowed_ips":["203.0.113.1"]}`, own.asPerson).want(200)
	s.do(http.MethodPost, path+"/regenerate-keys", nil, own.asOwn, from("203.0.113.1")).want(200)
	next := read[handlers.List[handlers.APIKey]](s.do(http.MethodGet, path+"/keys", nil, own.asPerson).want(200)).Items[0]
	if len(next.Scopes) != 1 || next.Scopes[0] != "keys:write" || !slices.Equal(next.AllowedIPs, []string{"203.0.113.1/32"}) {
		t.Errorf("got %+v", next)
	}
}

func TestAnswersToAPairInGraceSayWhenItEnds(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	rotated := s.clock.Now()
	fresh := read[handlers.KeyedProject](s.do(http.MethodPost, "/v1/projects/"+own.project+"/regenerate-keys",
		map[string]any{"grace_period_seconds": 3600}, own.asPerson).want(200))
	for _, how := range []with{own.asOwn, own.asKey} {
		a := s.do(http.MethodPost, "/v1/tokens/create", nil, how).want(201)
		if got, want := a.header.Get("Deprecation"), "@"+text(rotated.Unix()); got != want {
			t.Errorf("Deprecation %q, want %q", got, want)
		}
		if got, want := a.header.Get("Sunset"), rotated.Add(time.Hour).Format(http.TimeFormat); got != want {
			t.Errorf("Sunset %q, want %q", got, want)
		}
	}
	// Refusals say so too; the new pair's answers do not.
	if a := s.do(http.MethodPost, "/v1/tokens/create", "{", own.asOwn).want(400); a.header.Get("Sunset") == "" {
		t.Error("a refusal does not say so")
	}
	a := s.do(http.MethodPost, "/v1/tokens/create", nil, asServer(fresh.PulseAPIKey, fresh.PulseAPISecret)).want(201)
	if a.header.Get("Deprecation")+a.header.Get("Sunset") != "" {
		t.Errorf("the new pair is told %v", a.header)
	}
	keys := read[handlers.List[handlers.APIKey]](s.do(http.MethodGet, "/v1/projects/"+own.project+"/keys", nil, own.asPerson).want(200)).Items
	old := keys[1]
	if old.RotatedAt == nil || !old.RotatedAt.Equal(rotated) {
		t.Errorf("got %+v", old)
	}
	s.do(http.MethodPatch, own.keyPath(old.ID), `{"expires_at":null}`, own.asPerson).refused(409, "key_rotated")
	s.clock.Advance(time.Hour)
	s.do(http.MethodPost, "/v1/tokens/create", nil, own.asOwn).refused(401, "invalid_api_key")
}

func TestTheLastUsableKeyIsNotRemovedWithoutForce(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	further := s.newKey(own, map[string]any{"expires_at": s.clock.Now().Add(time.Minute)})
	first := read[handlers.List[handlers.APIKey]](s.do(http.MethodGet, "/v1/projects/"+own.project+"/keys", nil, own.asPerson)).Items[1]
	s.clock.Advance(time.Minute)
	// The further one has expired: it does not count, and can go.
	s.do(http.MethodDelete, own.keyPath(first.ID), nil, own.asPerson).refused(409, "last_usable_key")
	s.do(http.MethodDelete, own.keyPath(first.ID)+"?force=perhaps", nil, own.asPerson).refused(400, "invalid_request", "query.force")
	s.do(http.MethodPost, "/v1/tokens/create", nil, own.asOwn).want(201)
	s.do(http.MethodDelete, own.keyPath(further.Key.ID), nil, own.asPerson).want(204)
	s.do(http.MethodDelete, own.keyPath(first.ID)+"?force=true", nil, own.asPerson).want(204)
	s.do(http.MethodPost, "/v1/tokens/create", nil, own.asOwn).refused(401, "invalid_api_key")
}

func TestRemovingEveryKeyAtTheSameTimeLeavesOne(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	for range 7 {
		s.newKey(own, nil)
	}
	keys := read[handlers.List[handlers.APIKey]](s.do(http.MethodGet, "/v1/projects/"+own.project+"/keys", nil, own.asPerson)).Items
	var all sync.WaitGroup
	for _, k := range keys {
		all.Go(func() {
			for {
				a := s.do(http.MethodDelete, own.keyPath(k.ID), nil, own.asPerson)
				if a.status == 409 && a.problem().Code == "concurrent_change" {
					continue
				}
				return
			}
		})
	}
	all.Wait()
	left := read[handlers.List[handlers.APIKey]](s.do(http.MethodGet, "/v1/projects/"+own.project+"/keys", nil, own.asPerson)).Items
	if len(left) != 1 {
		t.Errorf("%d are left", len(left))
	}
}

func TestADeletionThatDiedHalfWayCountsForAMinuteOnly(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	further := s.newKey(own, nil)
	first := read[handlers.List[handlers.APIKey]](s.do(http.MethodGet, "/v1/projects/"+own.project+"/keys", nil, own.asPerson)).Items[1]
	s.crash.dieBefore("api_keys", 1)
	s.do(http.MethodDelete, own.keyPath(first.ID), nil, own.asPerson).want(503)
	s.crash.revive()
	s.do(http.MethodDelete, own.keyPath(further.Key.ID), nil, own.asPerson).refused(409, "last_usable_key")
	s.clock.Advance(time.Minute)
	s.do(http.MethodDelete, own.keyPath(further.Key.ID), nil, own.asPerson).want(204)
	s.do(http.MethodPost, "/v1/tokens/create", nil, own.asOwn).want(201)
}

func TestAKeysUseIsWrittenAtMostOnceAMinute(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	made := s.newKey(own, nil)
	lastUsed := func() *time.Time {
		return read[handlers.APIKey](s.do(http.MethodGet, own.keyPath(made.Key.ID), nil, own.asPerson).want(200)).LastUsedAt
	}
	flush := func(want int64) {
		t.Helper()
		before := s.engine.writes.Load()
		if err := s.KeyAuth.Uses().Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.engine.writes.Load() - before; got != want {
			t.Errorf("%d writes, want %d", got, want)
		}
	}
	if lastUsed() != nil {
		t.Error("used before it was")
	}
	at := s.clock.Now()
	for range 50 {
		s.do(http.MethodPost, "/v1/tokens/create", nil, asPair(made)).want(201)
	}
	flush(1)
	if got := lastUsed(); got == nil || !got.Equal(at) {
		t.Errorf("used at %v, want %v", got, at)
	}
	s.clock.Advance(time.Minute - time.Millisecond)
	s.do(http.MethodPost, "/v1/tokens/create", nil, asPair(made)).want(201)
	flush(0)
	s.clock.Advance(time.Millisecond)
	s.do(http.MethodPost, "/v1/tokens/create", nil, asKey(made.PulseAPIKey)).want(201)
	// A write that fails is made up for.
	s.engine.away.Store(true)
	if s.KeyAuth.Uses().Flush(t.Context()) == nil {
		t.Error("no error of a database that is away")
	}
	s.engine.away.Store(false)
	flush(1)
	if got := lastUsed(); !got.Equal(at.Add(time.Minute)) {
		t.Errorf("used at %v", got)
	}
}

func TestAKeyCreatesNoKeyThatWorksLongerOrFromMoreNetworks(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	end := s.clock.Now().Add(time.Hour)
	held := s.newKey(own, map[string]any{"expires_at": end, "allowed_ips": []string{"203.0.113.0/24"}})
	how, path := both(asPair(held), from("203.0.113.7")), "/v1/projects/"+own.project
	for _, beyond := range []map[string]any{
		{}, {"expires_at": end}, {"allowed_ips": []string{"203.0.113.0/24"}},
		{"expires_at": end.Add(time.Second), "allowed_ips": []string{"203.0.113.0/24"}},
		{"expires_at": end, "allowed_ips": []string{"203.0.112.0/23"}},
		{"expires_at": end, "allowed_ips": []string{"203.0.113.7", "198.51.100.7"}},
	} {
		beyond["name"] = "x"
		s.do(http.MethodPost, path+"/keys", beyond, how).refused(403, "insufficient_scope")
	}
	for _, body := range []string{`{"expires_at":null}`, `{"allowed_ips":[]}`, `{"allowed_ips":["0.0.0.0/0"]}`} {
		s.do(http.MethodPatch, own.keyPath(held.Key.ID), body, how).refused(403, "insufficient_scope")
	}
	s.do(http.MethodPost, path+"/regenerate-keys", nil, how).refused(403, "insufficient_scope")
	s.do(http.MethodPost, path+"/keys", map[string]any{"name": "x", "expires_at": end, "allowed_ips": []string{"203.0.113.128/25"}}, how).want(201)
	s.do(http.MethodPatch, own.keyPath(held.Key.ID), `{"name":"renamed"}`, how).want(200)
	s.do(http.MethodPatch, own.keyPath(held.Key.ID), `{"expires_at":null,"allowed_ips":[]}`, own.asPerson).want(200)
}

func TestAPairInItsGracePeriodGivesItselfNoSuccessor(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	path := "/v1/projects/" + own.project
	s.do(http.MethodPost, path+"/regenerate-keys", map[string]any{"grace_period_seconds": 3600}, own.asPerson).want(200)
	s.do(http.MethodPost, path+"/regenerate-keys", nil, own.asOwn).refused(403, "insufficient_scope")
	s.do(http.MethodPost, path+"/keys", `{"name":"x"}`, own.asOwn).refused(403, "insufficient_scope")
	s.do(http.MethodPost, "/v1/tokens/create", nil, own.asOwn).want(201)
}

func TestAReplacedPairIsNotGivenItsEndBackByAChangeUnderWay(t *testing.T) {
	s := newServer(t)
	for round := range 20 {
		own := s.tenant("acme" + text(round))
		first := read[handlers.List[handlers.APIKey]](s.do(http.MethodGet, "/v1/projects/"+own.project+"/keys", nil, own.asPerson)).Items[0]
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() { s.do(http.MethodPatch, own.keyPath(first.ID), `{"expires_at":null}`, own.asOwn) })
		}
		s.do(http.MethodPost, "/v1/projects/"+own.project+"/regenerate-keys", nil, own.asPerson).want(200)
		all.Wait()
		s.do(http.MethodPost, "/v1/tokens/create", nil, own.asOwn).refused(401, "invalid_api_key")
	}
}

func TestAKeysEndIsOneThatAnAnswerCanHold(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	path := "/v1/projects/" + own.project + "/keys"
	s.do(http.MethodPost, path, `{"name":"x","expires_at":"9999-12-31T23:59:59-23:59"}`, own.asPerson).refused(400, "invalid_request", "body.expires_at")
	s.do(http.MethodPost, path, `{"name":"x","expires_at":"9999-12-31T23:59:59Z"}`, own.asPerson).want(201)
	s.do(http.MethodGet, path, nil, own.asPerson).want(200)
}
