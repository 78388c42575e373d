package routes_test

import (
	"os"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/rs/zerolog"

	"pulse-control-plane/utils/tuning"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)    // prints no routes
	tuning.Memory(zerolog.Nop()) // as the server
	os.Exit(m.Run())
}
