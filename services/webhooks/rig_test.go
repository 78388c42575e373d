package webhooks

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/events"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/safedial"
	"pulse-control-plane/utils/worker"
)

const (
	testOrg   = models.OrganizationID("org_01936d6e-1111-7abc-8def-0123456789ab")
	otherOrg  = models.OrganizationID("org_01936d6e-2222-7abc-8def-0123456789ab")
	otherProj = models.ProjectID("prj_01936d6e-2222-7abc-8def-0123456789ab")
)

// rig is one process that makes and sends deliveries.
type rig struct {
	*Endpoints
	t          testing.TB
	engine     *testkit.Engine
	clock      *testkit.Clock
	log        *events.Log
	fanout     *Fanout
	worker     *Worker
	recovery   *Recovery
	notices    *Notices
	deliveries *database.Deliveries
	mails      []string
}

type rigOptions struct {
	holder string
	client *http.Client
	guard  safedial.Options
	tracer trace.Tracer
	// now is another clock than the rig's.
	now func() time.Time
}

func newRig(t testing.TB) *rig {
	t.Helper()
	return rigOn(t, testkit.NewEngine(t), testkit.NewClock(), rigOptions{})
}

// rigOn is a process on a database that others may use too.
func rigOn(t testing.TB, engine *testkit.Engine, clock *testkit.Clock, o rigOptions) *rig {
	t.Helper()
	r := &rig{t: t, engine: engine, clock: clock, deliveries: database.NewDeliveries(engine)}
	if o.now == nil {
		o.now = clock.Now
	}
	if o.holder == "" {
		o.holder = "the only process"
	}
	if o.guard.Resolver == nil && !o.guard.AllowHTTP {
		o.guard = safedial.Options{AllowPrivate: true, AllowHTTP: true}
	}
	if o.client == nil {
		o.client = safedial.NewClient(ClientOptions(o.guard))
	}
	t.Cleanup(o.client.CloseIdleConnections)
	sealed := testkit.Sealed(t, "webhook_endpoints", "secret")
	stored, endpoints, sequences := database.NewEvents(engine), database.NewEndpoints(engine), database.NewSequences(engine)
	projects, organizations := database.NewProjects(engine), database.NewOrganizations(engine)
	r.log = testkit.Must[*events.Log](t)(events.NewLog(events.LogConfig{Events: stored, Sequences: sequences, Now: o.now}))
	r.worker = testkit.Must[*Worker](t)(NewWorker(WorkerConfig{
		Endpoints: endpoints, Deliveries: r.deliveries, Events: stored, Sequences: sequences, Leases: database.NewLeases(engine), Site: worker.Site{Owner: o.holder, Tracer: o.tracer, Log: zerolog.Nop()}, Exclusive: true,
		Secret: sealed, Client: o.client, Now: o.now, Random: func() float64 { return 0.5 },
	}))
	r.fanout = testkit.Must[*Fanout](t)(NewFanout(FanoutConfig{
		Log: r.log, Endpoints: endpoints, Deliveries: r.deliveries, Sequences: sequences, Wake: r.worker.Wake, Now: o.now}))
	r.recovery = testkit.Must[*Recovery](t)(NewRecovery(RecoveryConfig{
		Events: stored, Endpoints: endpoints, Deliveries: r.deliveries, Sequences: sequences, Wake: r.worker.Wake, Now: o.now}))
	r.notices = testkit.Must[*Notices](t)(NewNotices(NoticesConfig{
		Log: r.log, Endpoints: endpoints, Organizations: organizations, Users: database.NewUsers(engine), Now: o.now,
		Mail: func(_ context.Context, to, _, text string) error { r.mails = append(r.mails, to+"\n"+text); return nil }}))
	trail := testkit.Must[*audit.Trail](t)(audit.NewTrail(database.NewAuditLogs(engine), testkit.Silence{}, o.now))
	r.Endpoints = testkit.Must[*Endpoints](t)(NewEndpoints(EndpointsConfig{
		Endpoints: endpoints, Deliveries: r.deliveries, Events: stored, Projects: projects, Organizations: organizations, Log: r.log,
		Guard: safedial.New(o.guard), Secret: sealed, Cursors: cursor.New([]byte("cursors")), Trail: trail,
		Wake: r.worker.Wake, Recover: func() {}, Now: o.now,
	}))
	for org, project := range map[models.OrganizationID]models.ProjectID{testOrg: testkit.Project, otherOrg: otherProj} {
		// Another process on the database may have made them.
		_ = organizations.Insert(t.Context(), &models.Organization{ID: org, Name: "An organization", AdminEmail: string(org), OwnerIDs: []models.UserID{"usr_" + models.UserID(org)}})
		_ = projects.Insert(t.Context(), &models.Project{ID: project, OrgID: org, Name: "A project", PulseAPIKey: string(project)})
		_ = database.NewUsers(engine).Insert(t.Context(), &models.User{ID: "usr_" + models.UserID(org), OrgID: org, Email: "owner@" + string(org) + ".example", Role: models.RoleOwner})
	}
	return r
}

// person is somebody of an organization.
func person(org models.OrganizationID, role models.Role) *models.Principal {
	return &models.Principal{Kind: models.CallerPerson, OrgID: org, UserID: "usr_x", Role: role}
}

func owner() *models.Principal { return person(testOrg, models.RoleOwner) }

// endpoint makes an endpoint of the test's project.
func (r *rig) endpoint(url string, change ...func(*EndpointInput)) (models.Endpoint, string) {
	r.t.Helper()
	in := EndpointInput{Owner: Owner{Project: testkit.Project}, URL: url, Enabled: true}
	for _, c := range change {
		c(&in)
	}
	e, shown, err := r.Create(r.t.Context(), owner(), in)
	if err != nil {
		r.t.Fatal(err)
	}
	return e, shown.Reveal()
}

func ordered(in *EndpointInput) { in.Ordered = true }

func patterns(list ...string) func(*EndpointInput) {
	return func(in *EndpointInput) { in.Events = list }
}

// event records an event number n of a room.
func (r *rig) event(n int, kind, room string) models.Event {
	r.t.Helper()
	e := models.Event{ID: eventID(n), Type: kind, OrgID: testOrg, ProjectID: testkit.Project, Order: room,
		At: r.clock.Now().Add(time.Duration(n) * time.Millisecond), Data: fmt.Sprintf(`{"n":%d,"room_name":%q}`, n, room)}
	if err := r.log.Record(r.t.Context(), &e); err != nil {
		r.t.Fatal(err)
	}
	return e
}

func eventID(n int) string { return fmt.Sprintf("evt_%06d", n) }

// work makes and sends what is due.
func (r *rig) work() {
	r.t.Helper()
	r.fan()
	if err := r.worker.Work(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) fan() {
	r.t.Helper()
	for {
		n, err := r.fanout.Pass(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// later moves the clock and works.
func (r *rig) later(d time.Duration) {
	r.t.Helper()
	r.clock.Advance(d)
	r.work()
}

// in gives the deliveries of an endpoint in a state.
func (r *rig) in(e models.Endpoint, state models.DeliveryState) []models.Delivery {
	r.t.Helper()
	list, err := r.deliveries.List(r.t.Context(), database.DeliveryScope{Owner: e.Owner, Endpoint: e.ID, State: state}, database.Page{Limit: 10_000})
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func (r *rig) read(id models.EndpointID) models.Endpoint {
	r.t.Helper()
	e, err := r.Endpoints.Get(r.t.Context(), owner(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

// receiver is an endpoint's server: it notes what comes, and answers as it is
// told.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	got  []received
	open int
	most int
	// answer, if set, answers; it is told how many requests came before.
	answer func(w http.ResponseWriter, r *http.Request, before int)
}

type received struct {
	header http.Header
	body   []byte
}

func newReceiver(t testing.TB, answer func(w http.ResponseWriter, r *http.Request, before int)) *receiver {
	t.Helper()
	s := &receiver{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		before, answer := len(s.got), s.answer
		s.got = append(s.got, received{r.Header, body})
		s.open++
		s.most = max(s.most, s.open)
		s.mu.Unlock()
		defer func() { s.mu.Lock(); s.open--; s.mu.Unlock() }()
		if answer != nil {
			answer(w, r, before)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// status answers with a status.
func status(code int) func(http.ResponseWriter, *http.Request, int) {
	return func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(code) }
}

func (s *receiver) set(answer func(http.ResponseWriter, *http.Request, int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// ids gives the events that came, in order.
func (s *receiver) ids() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.got {
		out = append(out, one.header.Get("Webhook-Id"))
	}
	return out
}

// each gives the events that came, sorted, each once.
func (s *receiver) each() []string {
	out := s.ids()
	slices.Sort(out)
	return slices.Compact(out)
}

// newTLSServer is a server whose certificate nobody vouches for.
func newTLSServer(t testing.TB) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}
