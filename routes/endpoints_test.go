package routes_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
	"pulse-control-plane/services/events"
	"pulse-control-plane/utils/ids"
)

// testNames resolves names without the network: inward.example leads to this
// machine, missing.example nowhere, others to a public address.
type testNames struct{}

func (testNames) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	switch name := strings.TrimSuffix(host, "."); {
	case strings.HasSuffix(name, "inward.example"):
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	case strings.HasSuffix(name, "missing.example"):
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr("93.184.215.14")}, nil
}

const hook = "https://hooks.example.com/pulse"

// newEndpoint makes a webhook endpoint of a tenant's project.
func (s *server) newEndpoint(t tenant, fields map[string]any) handlers.SecretEndpoint {
	s.t.Helper()
	body := map[string]any{"url": hook}
	for name, value := range fields {
		body[name] = value
	}
	return read[handlers.SecretEndpoint](s.do(http.MethodPost, "/v1/webhooks/endpoints", body, t.asOwn).want(http.StatusCreated))
}

// newDelivery has a delivery made to an endpoint.
func (s *server) newDelivery(t tenant, e handlers.Endpoint) handlers.Delivery {
	s.t.Helper()
	return read[handlers.Delivery](s.do(http.MethodPost, endpointPath(e.ID)+"/test", nil, t.asOwn).want(http.StatusAccepted))
}

// newEvent records an event of a tenant's project.
func (s *server) newEvent(t tenant, kind string) string {
	s.t.Helper()
	id := ids.New(models.EventPrefix)
	err := s.EventLog.Record(s.t.Context(), &models.Event{ID: id, Type: kind, OrgID: models.OrganizationID(t.org), ProjectID: models.ProjectID(t.project),
		At: s.clock.Now(), Data: `{"room_name":"hall","room_sid":"RM_1","metadata":"","created_at":null,"reconciled":false}`})
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// stores reports whether a text stands anywhere in what is stored of endpoints and
// in the trail.
func (s *server) stores(words string) (found bool) {
	s.t.Helper()
	for _, collection := range []string{"webhook_endpoints", "webhook_deliveries", "audit_logs", "events"} {
		err := s.engine.Find(s.t.Context(), collection, database.Query{Filter: bson.D{}, Limit: database.MaxBatch}, func(raw bson.Raw) error {
			found = found || strings.Contains(string(raw), words)
			return nil
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return found
}

func endpointPath(id any) string { return "/v1/webhooks/endpoints/" + text(id) }
func deliveryPath(id any) string { return "/v1/webhooks/deliveries/" + text(id) }

func TestAnEndpointsSecretIsShownOnceAndIsNotStoredReadably(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	made := s.newEndpoint(ada, map[string]any{"events": []string{"room.*", "livekit.*"}, "description": "Our rooms", "ordered": true})
	e := made.Endpoint
	if !strings.HasPrefix(made.Secret, "whsec_") || e.URL != hook || !e.Enabled || !e.Ordered || e.ProjectID == nil || string(*e.ProjectID) != ada.project || e.Description != "Our rooms" {
		t.Fatalf("%+v", made)
	}
	for _, path := range []string{"/v1/webhooks/endpoints", endpointPath(e.ID), "/v1/audit-logs"} {
		caller := ada.asPerson
		if strings.HasSuffix(path, "endpoints") {
			caller = ada.asOwn
		}
		if a := s.do(http.MethodGet, path, nil, caller).want(http.StatusOK); strings.Contains(string(a.body), made.Secret) {
			t.Errorf("%s shows the secret", path)
		}
	}
	rotated := read[handlers.SecretEndpoint](s.do(http.MethodPost, endpointPath(e.ID)+"/rotate-secret", map[string]any{"grace_period_seconds": 60}, ada.asOwn).want(http.StatusOK))
	if rotated.Secret == made.Secret || rotated.Endpoint.PreviousSecretUntil == nil || rotated.Endpoint.PreviousSecretUntil.Sub(s.clock.Now()) > time.Minute {
		t.Errorf("%+v", rotated)
	}
	for _, secret := range []string{made.Secret, rotated.Secret} {
		if s.stores(secret) || s.stores(strings.TrimPrefix(secret, "whsec_")) {
			t.Error("the database holds a secret")
		}
	}
}

func TestEndpointsAreBoundedPerProjectAndPerOrganization(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for range models.MaxEndpoints {
		s.newEndpoint(ada, nil)
	}
	s.do(http.MethodPost, "/v1/webhooks/endpoints", map[string]any{"url": hook}, ada.asOwn).refused(http.StatusConflict, "too_many_endpoints")
	own := read[handlers.SecretEndpoint](s.do(http.MethodPost, "/v1/webhooks/endpoints", map[string]any{"url": hook, "org_id": ada.org}, ada.asPerson).want(http.StatusCreated))
	if own.Endpoint.ProjectID != nil {
		t.Errorf("%+v", own.Endpoint)
	}
	list := read[handlers.List[handlers.Endpoint]](s.do(http.MethodGet, "/v1/webhooks/endpoints?limit=15", nil, ada.asOwn).want(http.StatusOK))
	rest := read[handlers.List[handlers.Endpoint]](s.do(http.MethodGet, "/v1/webhooks/endpoints?limit=15&cursor="+*list.NextCursor, nil, ada.asOwn).want(http.StatusOK))
	if len(list.Items) != 15 || len(rest.Items) != 5 || rest.HasMore {
		t.Errorf("%d and %d endpoints", len(list.Items), len(rest.Items))
	}
	s.do(http.MethodDelete, endpointPath(list.Items[0].ID), nil, ada.asOwn).want(http.StatusNoContent)
	s.newEndpoint(ada, nil)
}

func TestNoTwoReplicasExceedTheLimitOfEndpointsTogether(t *testing.T) {
	one := newServer(t)
	ada, two := one.tenant("ada"), one.another()
	const asked = 2 * models.MaxEndpoints
	made := make(chan bool, asked)
	for n := range asked {
		replica := []*server{one, two}[n%2]
		go func() {
			a := replica.do(http.MethodPost, "/v1/webhooks/endpoints", map[string]any{"url": hook}, ada.asOwn)
			made <- a.status == http.StatusCreated
		}()
	}
	count := 0
	for range asked {
		if <-made {
			count++
		}
	}
	if count != models.MaxEndpoints {
		t.Errorf("%d were made", count)
	}
}

func TestURLsOfPrivateAddressesAreRefused(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	e := s.newEndpoint(ada, nil).Endpoint
	for _, url := range []string{
		"https://127.0.0.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/",
		"https://localhost/", "https://localhost./", "https://inward.example/", "https://a.inward.example./", "https://169.254.169.254/latest/meta-data", "https://10.0.0.1/",
		"https://100.64.0.1/", "https://[fc00::1]/", "https://[64:ff9b::7f00:1]/", "http://hooks.example.com/", "ftp://hooks.example.com/", "https://user:pass@hooks.example.com/", "https://user@hooks.example.com/",
		"https://hooks.example.com/#", "https://hooks.example.com/a#b", "https://hooks.example.com:65536/", "https://hooks.example.com:99999999999999999999/", "https://hooks.example.com:-1/",
		"https://ｌｏｃａｌｈｏｓｔ/", "https://１２７.0.0.1/", "https://bü cher.example/", "https://hooks.example.com\\@10.0.0.1/", "//hooks.example.com", "hooks",
	} {
		s.do(http.MethodPost, "/v1/webhooks/endpoints", map[string]any{"url": url}, ada.asOwn).refused(http.StatusBadRequest, "invalid_request", "body.url")
		s.do(http.MethodPatch, endpointPath(e.ID), map[string]any{"url": url}, ada.asOwn).refused(http.StatusBadRequest, "invalid_request", "body.url")
	}
	// One that does not resolve yet may later; it is looked up whenever it is used.
	s.do(http.MethodPost, "/v1/webhooks/endpoints", map[string]any{"url": "https://missing.example/"}, ada.asOwn).want(http.StatusCreated)
	s.do(http.MethodPost, "/v1/webhooks/endpoints", map[string]any{"url": "https://bücher.example:65535/ü?a=b"}, ada.asOwn).want(http.StatusCreated)
	s.do(http.MethodPost, "/v1/webhooks/endpoints", map[string]any{"url": hook, "description": strings.Repeat("x", 1<<20)}, ada.asOwn).want(http.StatusRequestEntityTooLarge)
}

func TestUnknownTypesOfEventsAreRefused(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, pattern := range []string{"", "rooms.*", "room.start", "room", "*.*", "room.**", "Room.started", "livekit.", "*room", "**", "room.*.x", ".*", "room.started ", "room.started,room.finished", "livekit.A", "livekit.*x"} {
		s.do(http.MethodPost, "/v1/webhooks/endpoints", map[string]any{"url": hook, "events": []string{pattern}}, ada.asOwn).
			refused(http.StatusBadRequest, "invalid_request", "body.events")
	}
	for _, pattern := range append(events.Types(), "*", "room.*", "livekit.*", "livekit.something") {
		e := s.newEndpoint(ada, map[string]any{"events": []string{pattern}}).Endpoint
		s.do(http.MethodDelete, endpointPath(e.ID), nil, ada.asOwn).want(http.StatusNoContent)
	}
}

// What belongs to another tenant, to another project of the same organization and
// what is missing is told apart by nobody.
func TestEndpointsAndDeliveriesOfAnotherTenantAreMissingOnes(t *testing.T) {
	s := newServer(t)
	mine, other := s.tenant("mine"), s.tenant("other")
	second := s.newProject(mine, "second")
	theirs := s.newEndpoint(other, nil).Endpoint
	delivery, event := s.newDelivery(other, theirs), s.newEvent(other, "room.started")
	wide := read[handlers.SecretEndpoint](s.do(http.MethodPost, "/v1/webhooks/endpoints?org_id="+mine.org, map[string]any{"url": hook}, mine.asPerson).want(http.StatusCreated)).Endpoint
	own := s.newEndpoint(mine, nil).Endpoint
	ownDelivery := s.newDelivery(mine, own)
	const missing = "01a2063f-e6cc-7690-9e88-10046bbf09e7"
	since := map[string]any{"since": s.clock.Now().Add(-time.Hour)}
	same := header("X-Request-Id", "the-same-for-both")
	type target struct{ path, id, absent string }
	endpoint := func(id any) target { return target{"/v1/webhooks/endpoints/", text(id), "whe_" + missing} }
	for _, route := range []struct {
		method, rest string
		body         any
		target       target
	}{
		{http.MethodGet, "", nil, endpoint(theirs.ID)},
		{http.MethodPatch, "", map[string]any{"enabled": false}, endpoint(theirs.ID)},
		{http.MethodDelete, "", nil, endpoint(theirs.ID)},
		{http.MethodPost, "/rotate-secret", nil, endpoint(theirs.ID)},
		{http.MethodPost, "/test", nil, endpoint(theirs.ID)},
		{http.MethodPost, "/recover", since, endpoint(theirs.ID)},
		{http.MethodGet, "", nil, target{"/v1/webhooks/deliveries?endpoint_id=", text(theirs.ID), "whe_" + missing}},
		{http.MethodGet, "", nil, target{"/v1/webhooks/deliveries/", text(delivery.ID), "dlv_" + missing}},
		{http.MethodPost, "/retry", nil, target{"/v1/webhooks/deliveries/", text(delivery.ID), "dlv_" + missing}},
		{http.MethodPost, "/resend", nil, target{"/v1/events/", event, "evt_" + missing}},
		{http.MethodGet, "", nil, target{"/v1/webhooks/endpoints?project_id=", other.project, "prj_" + missing}},
		{http.MethodGet, "", nil, target{"/v1/webhooks/deliveries?project_id=", other.project, "prj_" + missing}},
	} {
		for who, caller := range map[string]with{"person": mine.asPerson, "key": mine.asOwn} {
			got := s.do(route.method, route.target.path+route.target.id+route.rest, route.body, caller, same).refused(http.StatusNotFound, "not_found")
			want := s.do(route.method, route.target.path+route.target.absent+route.rest, route.body, caller, same)
			if neutral(got, route.target.id) != neutral(want, route.target.absent) {
				t.Errorf("%s %s by %s:\n%s\n%s", route.method, route.target.path, who, got.body, want.body)
			}
		}
	}
	// A key sees its own project alone.
	key := asServer(second.PulseAPIKey, second.PulseAPISecret)
	for _, path := range []string{endpointPath(own.ID), endpointPath(wide.ID), deliveryPath(ownDelivery.ID)} {
		s.do(http.MethodGet, path, nil, key).refused(http.StatusNotFound, "not_found")
	}
	s.do(http.MethodPost, "/v1/webhooks/deliveries/"+text(ownDelivery.ID)+"/retry", nil, key).refused(http.StatusNotFound, "not_found")
	// A project that was deleted takes its endpoints along.
	s.do(http.MethodDelete, "/v1/projects/"+mine.project, nil, mine.asPerson).want(http.StatusNoContent)
	s.do(http.MethodGet, endpointPath(own.ID), nil, mine.asPerson).refused(http.StatusNotFound, "not_found")
	s.do(http.MethodGet, deliveryPath(ownDelivery.ID), nil, mine.asPerson).refused(http.StatusNotFound, "not_found")
}

func TestAnOrganizationsEndpointsNeedItsAdmins(t *testing.T) {
	w := newWorld(newServer(t))
	s := w.s
	made := read[handlers.SecretEndpoint](s.do(http.MethodPost, "/v1/webhooks/endpoints?org_id="+w.org.org, map[string]any{"url": hook}, w.as["admin"]).want(http.StatusCreated)).Endpoint
	delivery := read[handlers.Delivery](s.do(http.MethodPost, endpointPath(made.ID)+"/test", nil, w.as["owner"]).want(http.StatusAccepted))
	for _, ask := range []struct {
		method, path string
		body         any
	}{
		{http.MethodGet, endpointPath(made.ID), nil}, {http.MethodPatch, endpointPath(made.ID), map[string]any{"enabled": true}}, {http.MethodDelete, endpointPath(made.ID), nil},
		{http.MethodPost, endpointPath(made.ID) + "/rotate-secret", nil}, {http.MethodPost, endpointPath(made.ID) + "/test", nil},
		{http.MethodGet, deliveryPath(delivery.ID), nil}, {http.MethodPost, deliveryPath(delivery.ID) + "/retry", nil},
		{http.MethodGet, "/v1/webhooks/deliveries?org_id=" + w.org.org, nil}, {http.MethodGet, "/v1/webhooks/endpoints?org_id=" + w.org.org, nil},
	} {
		s.do(ask.method, ask.path, ask.body, w.as["developer"]).refused(http.StatusForbidden, "insufficient_role")
	}
	s.do(http.MethodPost, "/v1/webhooks/endpoints?org_id="+w.org.org, map[string]any{"url": hook, "project_id": w.org.project}, w.as["owner"]).
		refused(http.StatusBadRequest, "invalid_request", "query.org_id")
	s.do(http.MethodPost, "/v1/webhooks/endpoints?project_id=prj_x", map[string]any{"url": hook, "project_id": w.org.project}, w.as["owner"]).
		refused(http.StatusBadRequest, "invalid_request", "query.project_id")
}

// endpointBounds are the limits of the fields of webhook endpoints.
func endpointBounds(ada tenant) []bound {
	x := func(n int) string { return strings.Repeat("x", n) }
	endpoints, endpoint := "/v1/webhooks/endpoints", "/v1/webhooks/endpoints/{id}"
	long := hook + "/" + x(2048-len(hook)-1)
	flags, notFlags := []any{true, false}, []any{1, "true"}
	all := []bound{
		{method: "POST", path: endpoints, field: "url", fits: []any{hook, long}, over: []any{"", long + "x", 1}, unsaid: []any{"x", "a\nb", "http://hooks.example.com"}},
		{method: "PATCH", path: endpoint, field: "url", fits: []any{hook, long}, over: []any{"", long + "x", 1}, unsaid: []any{"a\nb"}},
		{method: "POST", path: endpoint + "/rotate-secret", field: "grace_period_seconds", fits: []any{0, 604800}, over: []any{-1, 604801, 1.5, "60"}},
		{method: "POST", path: endpoint + "/recover", field: "since", fits: []any{"2026-01-31T12:00:00Z"}, over: []any{"yesterday", 1}},
		{method: "POST", path: "/v1/events/{id}/resend", field: "endpoint_id", fits: []any{"", x(128)}, over: []any{x(129), 1}},
		{method: "POST", path: endpoints, field: "org_id", caller: ada.asPerson, fits: []any{x(128)}, over: []any{x(129), 1}},
		{method: "POST", path: endpoints, field: "project_id", fits: []any{ada.project, x(128)}, over: []any{x(129), 1}},
	}
	for _, b := range []bound{
		{field: "description", fits: []any{"", x(200)}, over: []any{x(201), 1}, unsaid: []any{"a\nb"}},
		{field: "events", fits: []any{repeat(50, "room.*"), []any{"*"}}, over: []any{repeat(51, "*"), "*", 1}},
		{field: "events", over: []any{[]any{x(65)}, []any{1}}, inside: "[0]"},
		{field: "enabled", fits: flags, over: notFlags},
		{field: "ordered", fits: flags, over: notFlags},
	} {
		b.method, b.path = "PATCH", endpoint
		all = append(all, b)
		b.method, b.path, b.base = "POST", endpoints, map[string]any{"url": hook}
		all = append(all, b)
	}
	for i := range all {
		if all[i].caller == nil {
			all[i].caller = ada.asOwn
		}
		if all[i].method == "POST" && all[i].path == endpoints && all[i].field != "url" {
			all[i].base = map[string]any{"url": hook}
		}
	}
	return all
}

// TestADeliveryAndItsAttemptsAreShownToTheTenant makes an endpoint, sends a test event to
// it and reads what became of it, as a tenant does.
func TestADeliveryAndItsAttemptsAreShownToTheTenant(t *testing.T) {
	s := newServer(t, func(o *setup) { o.privateTargets = true })
	ada := s.tenant("ada")
	fails := true
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if fails {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, "a teapot")
	}))
	t.Cleanup(receiver.Close)
	e := s.newEndpoint(ada, map[string]any{"url": receiver.URL}).Endpoint
	made := s.newDelivery(ada, e)
	work := func() {
		t.Helper()
		if err := s.Services.Deliveries.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	work()
	got := read[handlers.DeliveryDetails](s.do(http.MethodGet, deliveryPath(made.ID), nil, ada.asOwn).want(http.StatusOK))
	if got.Status != models.DeliveryPending || got.NextAttemptAt == nil || len(got.Attempts) != 1 || got.AttemptCount != 1 || *got.LastStatus != http.StatusTeapot ||
		got.Attempts[0].Answer != "a teapot" || got.Attempts[0].Request.URL != receiver.URL || got.Attempts[0].Request.Headers["webhook-id"] != got.EventID ||
		!strings.Contains(string(got.Payload), `"type":"webhook.test"`) {
		t.Errorf("%+v", got)
	}
	overview := func() handlers.ProjectOverview {
		s.clock.Advance(time.Minute)
		return read[handlers.OrganizationOverview](s.do(http.MethodGet, "/v1/overview", nil, ada.asPerson).want(http.StatusOK)).Items[0]
	}
	if o := overview(); o.FailingEndpoints != 1 || o.FailingEndpointIDs[0] != e.ID {
		t.Errorf("the overview does not name the failing endpoint: %+v", o)
	}
	fails = false
	s.do(http.MethodPost, deliveryPath(made.ID)+"/retry", nil, ada.asOwn).want(http.StatusAccepted)
	work()
	list := read[handlers.List[handlers.Delivery]](s.do(http.MethodGet, "/v1/webhooks/deliveries?status=delivered", nil, ada.asOwn).want(http.StatusOK))
	if len(list.Items) != 1 || list.Items[0].ID != made.ID || list.Items[0].AttemptCount != 2 {
		t.Errorf("%+v", list.Items)
	}
	if o := overview(); o.FailingEndpoints != 0 {
		t.Errorf("%+v", o)
	}
	no := map[string]any{"enabled": false}
	s.do(http.MethodPatch, endpointPath(e.ID), no, ada.asOwn).want(http.StatusOK)
	for _, path := range []string{endpointPath(e.ID) + "/test", deliveryPath(made.ID) + "/retry"} {
		s.do(http.MethodPost, path, nil, ada.asOwn).refused(http.StatusConflict, "endpoint_disabled")
	}
	s.do(http.MethodPost, endpointPath(e.ID)+"/recover", map[string]any{"since": s.clock.Now()}, ada.asOwn).refused(http.StatusConflict, "endpoint_disabled")
	s.do(http.MethodPost, "/v1/events/"+s.newEvent(ada, "room.started")+"/resend", nil, ada.asOwn).refused(http.StatusConflict, "no_endpoint")
}
