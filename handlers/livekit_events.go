package handlers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/services/metering"
)

// LiveKitEvents serves /v1/webhooks/livekit.
type LiveKitEvents struct{ inbox *metering.Inbox }

// NewLiveKitEvents makes the handlers of an inbox.
func NewLiveKitEvents(i *metering.Inbox) *LiveKitEvents { return &LiveKitEvents{i} }

// Received acknowledges an event; LiveKit sends it again otherwise.
type Received struct {
	Status string `json:"status"`
}

// Receive stores a LiveKit event.
func (h *LiveKitEvents) Receive(c *gin.Context) error {
	if err := h.inbox.Receive(c.Request.Context(), c.GetHeader("Authorization"), c.Request.Body); err != nil {
		return request.Unread(err)
	}
	return answer(c, http.StatusOK, Received{Status: "received"})
}
