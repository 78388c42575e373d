package handlers

import (
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
)

// recheckEvery is how often an export asks whether its caller may still read it.
const recheckEvery = time.Second

// stillMay returns a check for what takes long: at most once a second it authenticates
// the caller again, and returns an error if they may no longer do what they began.
// While the database is away the caller's rights are unknown, and no row can be read.
func stillMay(c *gin.Context, again Again, action models.Action) func() error {
	next := time.Now().Add(recheckEvery)
	return func() error {
		if time.Now().Before(next) {
			return nil
		}
		p, err := again(c)
		if err == nil {
			err = p.May(action)
		}
		next = time.Now().Add(recheckEvery)
		if models.IsKind(err, models.KindUnavailable) {
			return nil
		}
		return err
	}
}
