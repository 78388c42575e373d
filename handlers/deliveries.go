package handlers

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/webhooks"
)

// Delivery is one event sent to one endpoint.
type Delivery struct {
	ID         models.DeliveryID    `json:"id"`
	EndpointID models.EndpointID    `json:"endpoint_id"`
	EventID    string               `json:"event_id"`
	EventType  string               `json:"event_type"`
	Status     models.DeliveryState `json:"status"`
	// AttemptCount is how many attempts are remembered, LastStatus the status of
	// the latest answer.
	AttemptCount int     `json:"attempt_count"`
	LastStatus   *int    `json:"last_status"`
	LastError    *string `json:"last_error"`
	// NextAttemptAt is null unless the delivery is pending after an attempt.
	NextAttemptAt *time.Time `json:"next_attempt_at"`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
}

// DeliveryDetails is a delivery with its attempts.
type DeliveryDetails struct {
	Delivery
	// Payload is the body of the requests; null after 30 days.
	Payload  jsontext.Value `json:"payload"`
	Attempts []Attempt      `json:"attempts"`
}

// Attempt is one request of a delivery and its answer.
type Attempt struct {
	At      time.Time      `json:"at"`
	Request AttemptRequest `json:"request"`
	// Status is null without an answer; Error then says why, as a code.
	Status *int    `json:"status"`
	Error  *string `json:"error"`
	Millis int64   `json:"ms"`
	// Answer is the first KiB of the body.
	Answer string `json:"answer"`
}

// AttemptRequest is what was sent besides the payload; the signature is not kept.
type AttemptRequest struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

func renderDelivery(d models.Delivery) Delivery {
	out := Delivery{ID: d.ID, EndpointID: d.EndpointID, EventID: d.EventID, EventType: d.EventType, Status: d.State,
		AttemptCount: len(d.Attempts), CreatedAt: instant(d.CreatedAt), UpdatedAt: instant(d.UpdatedAt)}
	if n := len(d.Attempts); n > 0 {
		out.LastStatus, out.LastError = answered(&d.Attempts[n-1])
	}
	if d.State == models.DeliveryPending && d.DueAt.After(models.DueAtOnce()) {
		out.NextAttemptAt = instantOrNull(&d.DueAt)
	}
	return out
}

// answered gives the status and the error of an attempt, null without one.
func answered(a *models.Attempt) (status *int, reason *string) {
	if a.Status != 0 {
		status = &a.Status
	}
	if a.Error != "" {
		reason = &a.Error
	}
	return status, reason
}

func renderDetails(v webhooks.DeliveryDetails) DeliveryDetails {
	out := DeliveryDetails{Delivery: renderDelivery(v.Delivery), Payload: v.Body, Attempts: make([]Attempt, len(v.Attempts))}
	if out.Payload == nil {
		out.Payload = jsontext.Value("null")
	}
	for i := range v.Attempts {
		a := &v.Attempts[i]
		one := Attempt{At: instant(a.At), Millis: a.Millis, Answer: a.Answer, Request: AttemptRequest{
			Method: http.MethodPost, URL: a.URL, Headers: map[string]string{
				"content-type": "application/json", "webhook-id": v.EventID, "webhook-timestamp": strconv.FormatInt(a.At.Unix(), 10)},
		}}
		one.Status, one.Error = answered(a)
		out.Attempts[i] = one
	}
	return out
}

// Deliveries returns a page of deliveries.
func (h *Endpoints) Deliveries(c *gin.Context) error {
	q := request.NewQuery(c)
	page := pageOf(q)
	asked := webhooks.DeliveryQuery{Owner: ownerOf(q), Endpoint: models.EndpointID(q.Text("endpoint_id")),
		State: oneOf(q, "status", models.DeliveryPending, models.DeliveryDelivered, models.DeliveryFailed)}
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.Deliveries(c.Request.Context(), actor(c), asked, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderDelivery))
}

// Delivery returns one delivery with its attempts.
func (h *Endpoints) Delivery(c *gin.Context) error {
	out, err := h.service.Delivery(c.Request.Context(), actor(c), models.DeliveryID(c.Param("id")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderDetails(out))
}

// Retry has a delivery sent again.
func (h *Endpoints) Retry(c *gin.Context) error {
	out, err := h.service.Retry(c.Request.Context(), actor(c), models.DeliveryID(c.Param("id")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusAccepted, renderDelivery(out))
}

type resendRequest struct {
	EndpointID string `json:"endpoint_id" validate:"omitempty,max=128,line"`
}

// Resent are the deliveries of an event that is sent again.
type Resent struct {
	Items []Delivery `json:"items"`
}

// Resend has an event sent again.
func (h *Endpoints) Resend(c *gin.Context) error {
	var in resendRequest
	if err := h.requests.OptionalBody(c, &in); err != nil {
		return err
	}
	list, err := h.service.Resend(c.Request.Context(), actor(c), c.Param("id"), models.EndpointID(in.EndpointID))
	if err != nil {
		return err
	}
	out := Resent{Items: make([]Delivery, len(list))}
	for i := range list {
		out.Items[i] = renderDelivery(list[i])
	}
	return answer(c, http.StatusAccepted, out)
}
