package routes

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers"
	"pulse-control-plane/middleware"
	"pulse-control-plane/services/status"
)

// errStarting is why nothing but /health is served before the database is open.
var errStarting = errors.New("the database is not open yet")

// Starting builds the router of a process that waits for its database: /health says
// that it lives, /health/ready that it is not ready, and everything else is
// unavailable. Of the options it uses Log, Mode, CORSOrigins, TrustedProxies, Strict
// and Now.
func Starting(version string, o Options) http.Handler {
	gin.SetMode(o.Mode)
	e := gin.New()
	e.RedirectTrailingSlash, e.ForwardedByClientIP = false, false // middleware.ClientAddress reads the chain of proxies
	e.Use(middleware.ClientAddress(o.TrustedProxies), middleware.RequestID, middleware.Log(o.Log, o.Now), middleware.Recover(o.Log),
		middleware.SecurityHeaders(o.Strict), middleware.CORS(o.CORSOrigins, tokenPath))
	health := handlers.NewHealth(version, status.New(o.Now, status.Probe{Name: "database", Essential: true,
		Check: func(context.Context) error { return errStarting }}))
	root := group{&e.RouterGroup}
	root.GET("/health", middleware.Wrap(health.Live))
	root.GET("/health/ready", middleware.Wrap(health.Ready))
	e.NoRoute(middleware.Wrap(middleware.Unavailable(errStarting)))
	return e
}
