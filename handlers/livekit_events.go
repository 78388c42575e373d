package handlers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/services/metering"
)

// LiveKitEvents serves /v1/webhooks/livekit.
type LiveKitEvents struct{ inbox *metering.Inbox }

// NewLiveKitEvents serves an inbox.
func NewLiveKitEvents(i *metering.Inbox) *LiveKitEvents { return &LiveKitEvents{i} }

// Received tells LiveKit that its event is kept; it sends it again otherwise.
type Received struct {
	Status string `json:"status"`
}

// Receive takes an event in.
func (h *LiveKitEvents) Receive(c *gin.Context) error {
	if err := h.inbox.Receive(c.Request.Context(), c.GetHeader("Authorization"), c.Request.Body); err != nil {
		return readFailure(err)
	}
	return answer(c, http.StatusOK, Received{"received"})
}
