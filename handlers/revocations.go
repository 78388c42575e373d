package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/services/tokens"
)

// Revocations serves /v1/tokens/revoke.
type Revocations struct {
	requests *Requests
	service  *tokens.Revocations
}

// NewRevocations serves a service.
func NewRevocations(r *Requests, s *tokens.Revocations) *Revocations { return &Revocations{r, s} }

type revokeRequest struct {
	ParticipantIdentity string `json:"participant_identity" pulse:"alias=participantIdentity" validate:"required,maxbytes=256,line"`
	RoomName            string `json:"room_name" pulse:"alias=roomName" validate:"omitempty,roomname"`
	BanSeconds          *int64 `json:"ban_seconds" pulse:"alias=banSeconds" validate:"omitempty,min=0,max=2592000"`
}

// Revocation is what was taken back. A null room_name stands for every room.
type Revocation struct {
	ParticipantIdentity string    `json:"participant_identity"`
	RoomName            *string   `json:"room_name"`
	RevokedAt           time.Time `json:"revoked_at"`
	BannedUntil         time.Time `json:"banned_until"`
}

// Revoke takes back the tokens of a participant and removes them now.
func (h *Revocations) Revoke(c *gin.Context) error {
	var in revokeRequest
	if err := h.requests.body(c, &in); err != nil {
		return err
	}
	ban := int64(models.DefaultBanSeconds)
	if in.BanSeconds != nil {
		ban = *in.BanSeconds
	}
	out, err := h.service.Revoke(c.Request.Context(), actor(c),
		tokens.RevokeInput{Identity: in.ParticipantIdentity, RoomName: in.RoomName, BanSeconds: ban})
	if err != nil {
		return err
	}
	answered := Revocation{ParticipantIdentity: out.Identity, RevokedAt: instant(out.RevokedAt), BannedUntil: instant(out.BannedUntil)}
	if out.RoomName != "" {
		answered.RoomName = &out.RoomName
	}
	return answer(c, http.StatusOK, answered)
}
