package routes

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"pulse-control-plane/dashboard"
	"pulse-control-plane/handlers"
	"pulse-control-plane/middleware"
)

const (
	// maxBody and maxTokenBody bound request bodies, in bytes.
	maxBody      = 1 << 20
	maxTokenBody = 64 << 10
	// maxValidateBody holds any token that a request of maxTokenBody makes.
	maxValidateBody = 256 << 10
	// maxAnonymousBody is for routes that need no credential.
	maxAnonymousBody = 16 << 10
	maxEventBody     = 4 << 20
	// tokenPath is called from tenants' own pages: each project says which.
	tokenPath = "/v1/tokens/create"
	// requestTimeout is the deadline of one request; exportTimeout that of one
	// whose answer is streamed.
	requestTimeout = 15 * time.Second
	exportTimeout  = 50 * time.Second
	// egressTimeout leaves LiveKit the time to find a worker, or not.
	egressTimeout = 25 * time.Second
)

// Options of New.
type Options struct {
	Log zerolog.Logger
	// Mode is gin's: debug, release or test.
	Mode           string
	Authentication *middleware.Authentication
	// Requests counts the requests of each project.
	Requests    middleware.Counter
	Idempotency *middleware.Idempotency
	CORSOrigins []string
	// TrustedProxies are the CIDRs whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// BodyMemory bounds the bodies being read together, in bytes; 0 is no bound.
	BodyMemory int64
	// Inflight counts the requests under way.
	Inflight *middleware.Inflight
	// Tracing makes a span of each request; nil makes none.
	Tracing trace.TracerProvider
	// Strict adds what only makes sense behind TLS.
	Strict bool
	Now    func() time.Time
}

// group registers HEAD with every GET (RFC 9110, section 9.1).
type group struct{ *gin.RouterGroup }

func (g group) Group(path string, handlers ...gin.HandlerFunc) group {
	return group{g.RouterGroup.Group(path, handlers...)}
}

func (g group) GET(path string, handlers ...gin.HandlerFunc) {
	g.RouterGroup.GET(path, handlers...)
	g.HEAD(path, handlers...)
}

// New builds the router.
func New(h Handlers, o Options) (http.Handler, error) {
	gin.SetMode(o.Mode)
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	// A room or identity may contain an encoded slash.
	e.UseRawPath, e.UnescapePathValues = true, true
	// middleware.ClientAddress reads the chain of proxies instead.
	e.ForwardedByClientIP = false
	if err := e.SetTrustedProxies(nil); err != nil {
		return nil, err
	}

	guard, asked := middleware.Wrap, Parameters()
	wrap := func(f middleware.Func) gin.HandlerFunc { return guard(asked.Around(f)) }
	e.Use(middleware.ClientAddress(o.TrustedProxies), o.Inflight.Count, middleware.RequestID)
	if o.Tracing != nil {
		e.Use(middleware.Trace(o.Tracing)...)
	}
	e.Use(middleware.Log(o.Log, o.Now), h.Metrics.Observe, middleware.Recover(o.Log),
		middleware.SecurityHeaders(o.Strict), middleware.CORS(o.CORSOrigins, tokenPath))
	e.NoRoute(guard(o.Authentication.CountByIP(middleware.NotFound)))
	e.NoMethod(guard(o.Authentication.CountByIP(middleware.MethodNotAllowed)))

	root := group{&e.RouterGroup}
	root.GET("/health", wrap(h.Health.Live))
	root.GET("/health/ready", wrap(h.Health.Ready))
	root.GET("/metrics", wrap(h.Metrics.Serve))
	root.GET("/openapi.json", wrap(h.Docs.JSON))
	root.GET("/openapi.yaml", wrap(h.Docs.YAML))
	root.GET("/docs", wrap(h.Docs.Page))
	root.GET("/docs/*asset", wrap(h.Docs.Page))

	root.GET("/", wrap(handlers.NewRoot(h.Dashboard != nil).Show))
	if h.Dashboard != nil {
		root.GET("/dashboard/*path", gin.WrapH(h.Dashboard))
		root.GET("/dashboard", wrap(func(c *gin.Context) error { return handlers.SeeOther(c, dashboard.Path) }))
	}

	auth, bodies := o.Authentication, middleware.NewBodies(o.BodyMemory)
	// Unauthenticated callers share a part of the memory of bodies.
	anonymous := bodies.Share(25)
	// Every POST that makes something can be sent again safely.
	once := guard(o.Idempotency.Once)
	anybody := root.Group("/v1", middleware.Timeout(requestTimeout), guard(auth.Anonymous), anonymous.Limit(maxAnonymousBody))
	signUp := root.Group("/v1", middleware.Timeout(requestTimeout), guard(auth.FoundOrganization), anonymous.Limit(maxAnonymousBody))
	count := middleware.CountRequests(o.Requests)
	v1 := root.Group("/v1", middleware.Timeout(requestTimeout), guard(auth.Identify), count)
	egress := root.Group("/v1", middleware.Timeout(egressTimeout), guard(auth.Identify), count, bodies.Limit(maxBody), guard(middleware.AuthenticateAPISecret))
	export := root.Group("/v1", middleware.Timeout(exportTimeout), guard(auth.Identify), count, guard(middleware.AuthenticateAPISecret))
	// Without a deadline: the handler bounds each write.
	lasting := root.Group("/v1", middleware.Lasting, guard(auth.Identify), count, guard(middleware.AuthenticateAPISecret))
	cluster := root.Group("/v1", middleware.Timeout(requestTimeout), bodies.Share(25).Limit(maxEventBody))
	limited := v1.Group("", bodies.Limit(maxBody))
	person := limited.Group("", guard(middleware.RequireOrganization))
	server := limited.Group("", guard(middleware.AuthenticateAPISecret))
	project := v1.Group("", guard(middleware.AuthenticateProject))
	minting := project.Group("", bodies.Limit(maxTokenBody))

	limited.GET("/status", wrap(h.Health.Status))
	server.GET("/regions", wrap(h.Clusters.Regions))
	person.GET("/clusters", wrap(h.Clusters.List))
	person.GET("/operations", wrap(h.Operations.Get))
	person.POST("/operations/dead-events/retry", wrap(h.Operations.RetryDeadEvents))
	anybody.GET("/config", wrap(h.Installation.Config))
	person.GET("/plans", wrap(h.Installation.Plans))
	person.GET("/overview", wrap(h.Overview.Get))
	person.POST("/downloads", wrap(h.Downloads.Create))
	fetched := root.Group("/v1", middleware.Timeout(exportTimeout), guard(auth.Anonymous))
	fetched.GET("/downloads/:id", wrap(h.Downloads.Fetch))

	signUp.POST("/organizations", once, wrap(h.Organizations.Create))
	person.GET("/organizations", wrap(h.Organizations.List))
	person.GET("/organizations/:id", wrap(h.Organizations.Get))
	person.PUT("/organizations/:id", wrap(h.Organizations.Put))
	person.PATCH("/organizations/:id", wrap(h.Organizations.Patch))
	person.DELETE("/organizations/:id", wrap(h.Organizations.Delete))

	person.POST("/organizations/:id/suspend", wrap(h.Organizations.Suspend))
	person.POST("/organizations/:id/unsuspend", wrap(h.Organizations.Unsuspend))

	person.GET("/organizations/:id/members", wrap(h.Members.List))
	person.GET("/organizations/:id/members/:user_id", wrap(h.Members.Get))
	person.PATCH("/organizations/:id/members/:user_id", wrap(h.Members.Patch))
	person.DELETE("/organizations/:id/members/:user_id", wrap(h.Members.Delete))
	person.POST("/organizations/:id/invitations", once, wrap(h.Invitations.Create))
	person.GET("/organizations/:id/invitations", wrap(h.Invitations.List))
	person.DELETE("/organizations/:id/invitations/:invitation_id", wrap(h.Invitations.Delete))
	anybody.POST("/invitations/accept", once, wrap(h.Invitations.Accept))

	anybody.POST("/auth/login", wrap(h.Auth.Login))
	anybody.POST("/auth/refresh", wrap(h.Auth.Refresh))
	anybody.GET("/auth/permissions", wrap(h.Auth.Permissions))
	anybody.POST("/auth/password/forgot", wrap(h.Auth.Forgot))
	anybody.POST("/auth/password/reset", wrap(h.Auth.Reset))
	anybody.POST("/auth/operator", wrap(h.Auth.Operator))
	limited.POST("/auth/logout", wrap(h.Auth.Logout))
	person.PATCH("/auth/me", wrap(h.Auth.Rename))
	person.GET("/auth/sessions", wrap(h.Auth.Logins))
	person.DELETE("/auth/sessions/:id", wrap(h.Auth.EndLogin))
	person.GET("/auth/me", wrap(h.Auth.Me))
	person.POST("/auth/password", wrap(h.Auth.Password))

	person.POST("/projects", once, wrap(h.Projects.Create))
	server.GET("/projects", wrap(h.Projects.List))
	server.GET("/projects/:id", wrap(h.Projects.Get))
	person.PUT("/projects/:id", wrap(h.Projects.Put))
	person.PATCH("/projects/:id", wrap(h.Projects.Patch))
	person.DELETE("/projects/:id", wrap(h.Projects.Delete))
	server.POST("/projects/:id/regenerate-keys", once, wrap(h.Projects.RegenerateKeys))

	person.POST("/projects/:id/storage/check", wrap(h.Storage.Check))
	server.POST("/projects/:id/keys", once, wrap(h.APIKeys.Create))
	server.GET("/projects/:id/keys", wrap(h.APIKeys.List))
	server.GET("/projects/:id/keys/:key_id", wrap(h.APIKeys.Get))
	server.PATCH("/projects/:id/keys/:key_id", wrap(h.APIKeys.Patch))
	server.DELETE("/projects/:id/keys/:key_id", wrap(h.APIKeys.Delete))

	person.GET("/audit-logs", wrap(h.AuditLogs.List))
	person.GET("/audit-logs/export", wrap(h.AuditLogs.Export(auth.Again)))
	person.GET("/audit-logs/verify", wrap(h.AuditLogs.Verify))

	// Without Idempotency-Key: a token costs nothing to mint again, and a key
	// alone must not fill the store of answers.
	minting.POST("/tokens/create", wrap(h.Tokens.Create))
	minting.POST("/tokens/revoke", wrap(h.Revocations.Revoke))
	project.POST("/tokens/validate", bodies.Limit(maxValidateBody), wrap(h.Tokens.Validate))
	server.GET("/tokens/revocations", wrap(h.Revocations.List))
	server.DELETE("/tokens/revocations/:id", wrap(h.Revocations.Lift))

	cluster.POST("/webhooks/livekit", guard(auth.Signed(h.LiveKitEvents.Receive)))

	server.POST("/webhooks/endpoints", once, wrap(h.Endpoints.Create))
	server.GET("/webhooks/endpoints", wrap(h.Endpoints.List))
	server.GET("/webhooks/endpoints/:id", wrap(h.Endpoints.Get))
	server.PATCH("/webhooks/endpoints/:id", wrap(h.Endpoints.Patch))
	server.DELETE("/webhooks/endpoints/:id", wrap(h.Endpoints.Delete))
	server.POST("/webhooks/endpoints/:id/rotate-secret", once, wrap(h.Endpoints.RotateSecret))
	server.POST("/webhooks/endpoints/:id/test", once, wrap(h.Endpoints.Test))
	server.POST("/webhooks/endpoints/:id/recover", wrap(h.Endpoints.Recover))
	server.GET("/webhooks/deliveries", wrap(h.Endpoints.Deliveries))
	server.GET("/webhooks/deliveries/:id", wrap(h.Endpoints.Delivery))
	server.POST("/webhooks/deliveries/:id/retry", wrap(h.Endpoints.Retry))
	server.POST("/events/:id/resend", wrap(h.Endpoints.Resend))

	server.POST("/rooms", once, wrap(h.Rooms.Create))
	server.GET("/rooms", wrap(h.Rooms.List))
	server.GET("/rooms/:room", wrap(h.Rooms.Get))
	server.PATCH("/rooms/:room", wrap(h.Rooms.Patch))
	server.DELETE("/rooms/:room", wrap(h.Rooms.Delete))
	server.POST("/rooms/:room/data", wrap(h.Rooms.SendData))
	server.GET("/rooms/:room/participants", wrap(h.Rooms.Participants))
	server.GET("/rooms/:room/participants/:identity", wrap(h.Rooms.Participant))
	server.PATCH("/rooms/:room/participants/:identity", wrap(h.Rooms.PatchParticipant))
	server.DELETE("/rooms/:room/participants/:identity", wrap(h.Rooms.DeleteParticipant))
	server.POST("/rooms/:room/participants/:identity/mute", wrap(h.Rooms.Mute))
	server.POST("/rooms/:room/participants/:identity/move", wrap(h.Rooms.Move))
	server.POST("/rooms/:room/participants/:identity/forward", wrap(h.Rooms.Forward))

	egress.POST("/media/egress/start", once, wrap(h.Egress.Start))
	server.POST("/media/egress/stop", wrap(h.Egress.Stop))
	server.GET("/media/egress", wrap(h.Egress.List))
	server.GET("/media/egress/:id", wrap(h.Egress.Get))
	server.PATCH("/media/egress/:id", wrap(h.Egress.Patch))
	server.POST("/media/ingress/create", once, wrap(h.Ingress.Create))
	server.GET("/media/ingress", wrap(h.Ingress.List))
	server.GET("/media/ingress/:id", wrap(h.Ingress.Get))
	server.PATCH("/media/ingress/:id", wrap(h.Ingress.Patch))
	server.DELETE("/media/ingress/:id", wrap(h.Ingress.Delete))
	server.GET("/events", wrap(h.Events.List))
	server.GET("/events/:id", wrap(h.Events.Get))
	lasting.GET("/events/stream", wrap(h.Events.Stream(auth.Again)))

	server.GET("/usage", wrap(h.Usage.Get))
	server.GET("/usage/sessions", wrap(h.Usage.Sessions))
	server.GET("/usage/sessions/:id", wrap(h.Usage.Session))
	server.GET("/usage/explain", wrap(h.Usage.Explain))
	server.GET("/usage/quota", wrap(h.Quotas.Get))
	export.GET("/usage/export", wrap(h.Usage.Export(auth.Again)))
	return e, nil
}
