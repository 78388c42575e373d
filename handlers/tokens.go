package handlers

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/tokens"
)

// Tokens serves /v1/tokens.
type Tokens struct {
	requests *request.Reader
	service  *tokens.Minter
	// answers are buffers of responses.
	answers sync.Pool
}

// NewTokens makes the handlers of a service.
func NewTokens(r *request.Reader, s *tokens.Minter) *Tokens {
	return &Tokens{requests: r, service: s, answers: sync.Pool{New: func() any { return new([]byte) }}}
}

// tokenRequest is LiveKit's TokenSourceRequest, in snake_case or camelCase as
// LiveKit accepts it, with our ttl_seconds and grants.
type tokenRequest struct {
	RoomName              string            `json:"room_name,case:ignore" validate:"omitempty,roomname"`
	ParticipantIdentity   string            `json:"participant_identity,case:ignore" validate:"omitempty,maxbytes=256,line"`
	ParticipantName       string            `json:"participant_name,case:ignore" validate:"omitempty,maxbytes=256,line"`
	ParticipantMetadata   string            `json:"participant_metadata,case:ignore" validate:"omitempty,maxbytes=32768"`
	ParticipantAttributes map[string]string `json:"participant_attributes,case:ignore" validate:"omitempty,max=64,maxtotal=32768"`
	RoomConfig            request.Object    `json:"room_config,case:ignore"`
	TTLSeconds            *int64            `json:"ttl_seconds,case:ignore" validate:"omitempty,min=30,max=86400"`
	Grants                *grantsRequest    `json:"grants"`
}

// Token is the response of LiveKit's token endpoints, with our expires_at and
// token_id.
type Token struct {
	ServerURL           string         `json:"server_url"`
	ParticipantToken    string         `json:"participant_token"`
	RoomName            string         `json:"room_name"`
	ParticipantIdentity string         `json:"participant_identity"`
	ParticipantName     string         `json:"participant_name"`
	ExpiresAt           time.Time      `json:"expires_at"`
	TokenID             models.TokenID `json:"token_id"`
}

// Create mints a token.
func (h *Tokens) Create(c *gin.Context) error {
	var in tokenRequest
	if err := h.requests.OptionalBody(c, &in); err != nil {
		return err
	}
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	out, err := h.service.Create(c.Request.Context(), caller(c), &tokens.Input{
		Project: project, RoomName: in.RoomName, Identity: in.ParticipantIdentity, Name: in.ParticipantName,
		Metadata: in.ParticipantMetadata, Attributes: in.ParticipantAttributes, RoomConfig: in.RoomConfig,
		TTLSeconds: in.TTLSeconds, Grants: in.Grants.VideoGrants(), ServerWide: in.Grants.serverWide(),
		Origin: c.GetHeader("Origin"),
	})
	if err != nil {
		return err
	}
	token := Token{
		ServerURL: out.ServerURL, ParticipantToken: out.JWT, RoomName: out.RoomName, ParticipantIdentity: out.Identity,
		ParticipantName: out.Name, ExpiresAt: instant(out.ExpiresAt), TokenID: out.ID,
	}
	buffer := h.answers.Get().(*[]byte)
	defer h.answers.Put(buffer)
	data, err := token.appendJSON((*buffer)[:0])
	if err != nil {
		return models.Internal(err)
	}
	if cap(data) <= keptAnswer {
		*buffer = data
	}
	write(c, http.StatusCreated, data) // the writer copies it
	return nil
}

// keptAnswer is the largest buffer of a response, in bytes, that another one uses
// again.
const keptAnswer = 16 << 10

// appendJSON appends what json.Marshal gives, without reflection: this response
// is rendered on the hot path.
func (t *Token) appendJSON(b []byte) ([]byte, error) {
	var wrong error
	text := func(name, value string) {
		var err error
		b, err = jsontext.AppendQuote(append(b, name...), value)
		wrong = errors.Join(wrong, err)
	}
	text(`{"server_url":`, t.ServerURL)
	// A JWT is base64url and dots (RFC 7515): nothing to quote.
	b = append(append(b, `,"participant_token":"`...), t.ParticipantToken...)
	text(`","room_name":`, t.RoomName)
	text(`,"participant_identity":`, t.ParticipantIdentity)
	text(`,"participant_name":`, t.ParticipantName)
	b = t.ExpiresAt.AppendFormat(append(b, `,"expires_at":"`...), time.RFC3339Nano)
	text(`","token_id":`, string(t.TokenID))
	return append(b, '}'), wrong
}

type validateTokenRequest struct {
	Token string `json:"token" validate:"required,maxbytes=262144"`
}

// TokenCheck is the content of a token. All but valid and reason are null for
// a token of another project.
type TokenCheck struct {
	Valid               bool            `json:"valid"`
	Reason              string          `json:"reason,omitempty"`
	RoomName            *string         `json:"room_name"`
	ParticipantIdentity *string         `json:"participant_identity"`
	Grants              *Grants         `json:"grants"`
	IssuedAt            *time.Time      `json:"issued_at"`
	ExpiresAt           *time.Time      `json:"expires_at"`
	TokenID             *models.TokenID `json:"token_id"`
}

// Validate checks a token.
func (h *Tokens) Validate(c *gin.Context) error {
	var in validateTokenRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	out, err := h.service.Validate(c.Request.Context(), caller(c), project, in.Token)
	if err != nil {
		return err
	}
	check := TokenCheck{Valid: out.Valid, Reason: out.Reason}
	if out.RoomName != "" {
		grants := renderGrants(out.Grants)
		check.RoomName, check.ParticipantIdentity, check.Grants = &out.RoomName, &out.Identity, &grants
		check.IssuedAt, check.ExpiresAt, check.TokenID = instantUnlessZero(out.IssuedAt), instantUnlessZero(out.ExpiresAt), &out.TokenID
	}
	return answer(c, http.StatusOK, check)
}

func instantUnlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return instantOrNull(&t)
}

// projectNamed reads the project_id by which a person names a project; "" if
// absent. A key's request, which has no query, costs nothing.
func projectNamed(c *gin.Context) (models.ProjectID, error) {
	if c.Request.URL.RawQuery == "" {
		return "", nil
	}
	q := request.NewQuery(c)
	project := projectOf(q)
	return project, q.Err()
}
