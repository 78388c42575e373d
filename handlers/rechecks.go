package handlers

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
)

// recheckEvery is how often an export asks whether its caller may still read it.
const recheckEvery = time.Second

// stillMay returns a check for what takes long: at most once a second it authenticates
// the caller again and asks may, which is the question that the request began with, so
// that it ends like a new request would be refused: also when what is read is gone.
// While the database is away that is unknown, and no row can be read.
func stillMay(c *gin.Context, again Again, may func(context.Context, *models.Principal) error) func() error {
	next := time.Now().Add(recheckEvery)
	return func() error {
		if time.Now().Before(next) {
			return nil
		}
		p, err := again(c)
		if err == nil {
			err = may(c.Request.Context(), p)
		}
		next = time.Now().Add(recheckEvery)
		if models.IsKind(err, models.KindUnavailable) {
			return nil
		}
		return err
	}
}
