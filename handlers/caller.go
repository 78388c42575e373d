package handlers

import (
	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
)

// actor takes the caller out of the request with the request's origin, which
// the audit trail records.
func actor(c *gin.Context) *models.Principal {
	p := *caller(c)
	p.Origin = origin(c)
	return &p
}

// origin is where a request came from, for the audit trail.
func origin(c *gin.Context) models.Origin {
	return models.Origin{IP: c.RemoteIP(), UserAgent: c.Request.UserAgent(), RequestID: c.Writer.Header().Get("X-Request-Id")}
}

// caller is actor without the origin and without a copy, for hot paths that
// write no audit entry. The principal is shared by all requests of the caller.
func caller(c *gin.Context) *models.Principal {
	if v, ok := c.Get(models.PrincipalKey); ok {
		if p, ok := v.(*models.Principal); ok {
			return p
		}
	}
	return &models.Principal{}
}
