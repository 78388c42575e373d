package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/tokens"
)

// Revocations serves /v1/tokens/revoke.
type Revocations struct {
	requests *request.Reader
	service  *tokens.Revocations
}

// NewRevocations makes the handlers of a service.
func NewRevocations(r *request.Reader, s *tokens.Revocations) *Revocations {
	return &Revocations{r, s}
}

type revokeRequest struct {
	ParticipantIdentity string `json:"participant_identity,case:ignore" validate:"required,maxbytes=256,line"`
	RoomName            string `json:"room_name,case:ignore" validate:"omitempty,roomname"`
	BanSeconds          *int64 `json:"ban_seconds,case:ignore" validate:"omitempty,min=0,max=2592000"`
}

// Revocation is a revocation of tokens. A null room_name means every room.
type Revocation struct {
	ID                  models.RevocationID `json:"id"`
	ParticipantIdentity string              `json:"participant_identity"`
	RoomName            *string             `json:"room_name"`
	RevokedAt           time.Time           `json:"revoked_at"`
	BannedUntil         time.Time           `json:"banned_until"`
}

// Revoke revokes the tokens of a participant and evicts them.
func (h *Revocations) Revoke(c *gin.Context) error {
	var in revokeRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	ban := int64(models.DefaultBanSeconds)
	if in.BanSeconds != nil {
		ban = *in.BanSeconds
	}
	out, err := h.service.Revoke(c.Request.Context(), actor(c),
		tokens.RevokeInput{Project: project, Identity: in.ParticipantIdentity, RoomName: in.RoomName, BanSeconds: ban})
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderRevocation(out))
}

func renderRevocation(v models.Revocation) Revocation {
	out := Revocation{ID: v.PublicID, ParticipantIdentity: v.Identity, RevokedAt: instant(v.From()), BannedUntil: instant(v.BannedUntil)}
	if v.RoomName != "" {
		out.RoomName = &v.RoomName
	}
	return out
}

// List sends a page of the revocations in force.
func (h *Revocations) List(c *gin.Context) error {
	q := request.NewQuery(c)
	page, project := pageOf(q), projectOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), actor(c), project, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderRevocation))
}

// Lift ends the ban of a revocation.
func (h *Revocations) Lift(c *gin.Context) error {
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	if err := h.service.Lift(c.Request.Context(), actor(c), project, models.RevocationID(c.Param("id"))); err != nil {
		return err
	}
	return done(c)
}
