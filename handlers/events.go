package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/events"
)

const (
	// heartbeatEvery is how often a stream is written to while nothing happens.
	heartbeatEvery = 15 * time.Second
	// streamWrite is how long a reader may take to accept a page of events; one
	// that takes longer is dropped.
	streamWrite = 10 * time.Second
)

// Events serves /v1/events.
type Events struct{ feed *events.Feed }

// NewEvents makes the handlers of a feed.
func NewEvents(f *events.Feed) *Events { return &Events{f} }

// Again authenticates a request a second time, without counting it.
type Again func(*gin.Context) (*models.Principal, error)

// Event is an event as it is delivered, and which of LiveKit's it was made of.
type Event struct {
	events.Body
	LiveKitEventID *string `json:"livekit_event_id"`
}

func renderEvent(e models.Event) Event {
	out := Event{Body: events.BodyOf(&e)}
	if e.SourceID != "" {
		out.LiveKitEventID = &e.SourceID
	}
	return out
}

func scopeOf(q *request.Query) events.Scope {
	return events.Scope{Project: projectOf(q), Org: models.OrganizationID(q.Text("org_id"))}
}

// List returns a page of events, latest arrival first.
func (h *Events) List(c *gin.Context) error {
	q := request.NewQuery(c)
	page := pageOf(q)
	ask := events.Query{Scope: scopeOf(q), Type: q.Text("type"), Start: q.Time("start"), End: q.Time("end")}
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.feed.List(c.Request.Context(), caller(c), ask, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderEvent))
}

// Get returns an event, by its id or by LiveKit's.
func (h *Events) Get(c *gin.Context) error {
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	e, err := h.feed.Get(c.Request.Context(), caller(c), project, c.Param("id"))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderEvent(e))
}

// Stream sends events as they come, as Server-Sent Events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html), until the
// client goes, is too slow, loses its rights or the process stops. A stream lasts
// longer than its credential may, so it is authenticated again with
// each heartbeat, and when what it rests on was changed.
func (h *Events) Stream(again Again) func(*gin.Context) error {
	return func(c *gin.Context) error { return h.stream(c, again) }
}

func (h *Events) stream(c *gin.Context, again Again) error {
	q := request.NewQuery(c)
	ask := events.StreamQuery{Scope: scopeOf(q), Type: q.Text("type"), LastEventID: c.GetHeader("Last-Event-ID")}
	if err := q.Err(); err != nil {
		return err
	}
	stream, err := h.feed.Open(c.Request.Context(), caller(c), ask)
	if err != nil {
		return err
	}
	defer stream.Close()
	header := c.Writer.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // nginx would hold events back
	c.Status(http.StatusOK)
	c.Writer.WriteHeaderNow()
	if c.Request.Method == http.MethodHead {
		return nil
	}
	_ = send(c, stream, again) // there is nobody left to tell of an error
	return nil
}

// send writes a stream until it ends.
func send(c *gin.Context, stream *events.Stream, again Again) error {
	out := http.NewResponseController(c.Writer)
	if err := out.SetReadDeadline(time.Time{}); err != nil { // nothing more is read
		return err
	}
	write := func(parts ...[]byte) error {
		for _, part := range parts {
			if _, err := c.Writer.Write(part); err != nil {
				return err
			}
		}
		return nil
	}
	ctx, comment := c.Request.Context(), []byte(": connected\n\n")
	heartbeat := time.NewTicker(heartbeatEvery)
	defer heartbeat.Stop()
	var list []*events.Entry
	for {
		if err := out.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
			return err
		}
		if len(list) == 0 {
			if err := write(comment); err != nil {
				return err
			}
			comment = []byte(": heartbeat\n\n")
		}
		for _, e := range list {
			body, err := e.Body()
			if err != nil {
				return err
			}
			if err := write([]byte("id: "), []byte(e.Event.ID), []byte("\ndata: "), body, []byte("\n\n")); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
		var err error
		if list, err = stream.Next(ctx, heartbeat.C); err != nil {
			return err
		}
		if len(list) == 0 {
			if err := check(c, stream, again); err != nil {
				return err
			}
		}
	}
}

// check returns an error if the caller may no longer read a stream. While the
// database is away nobody can tell, and there is nothing to read.
func check(c *gin.Context, stream *events.Stream, again Again) error {
	p, err := again(c)
	if err == nil {
		err = stream.Check(c.Request.Context(), p)
	}
	if models.IsKind(err, models.KindUnavailable) {
		return nil
	}
	return err
}
